"""Noise recordings: what there is, bringing more in, partitions by source."""

from ser_ops.folders import Unusable
from ser_ops.noise.recordings.adding import Found, add, list_all
from ser_ops.noise.recordings.card import Card, read_card
from ser_ops.noise.recordings.partitions import assign
from ser_ops.noise.recordings.scanning import NoiseRecording, scan, scan_folder, source_of

__all__ = ["Card", "Found", "NoiseRecording", "Unusable", "add", "assign", "list_all", "read_card", "scan",
           "scan_folder", "source_of"]
