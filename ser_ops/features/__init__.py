"""What the models of both papers read, as batched tensors; the index maps; standardisation."""

from ser_ops.features.descriptors import mel_bands, mfcc, rms, zcr
from ser_ops.features.extractor import Extractor
from ser_ops.features.index_map import (
    Place,
    channels_of,
    describe,
    feature_at,
    frames_of,
    grid,
    index_at,
    shape_of,
    to_frames,
    to_grid,
)
from ser_ops.features.rows import mel_edges_hertz, mel_hertz, mel_rows, row_name
from ser_ops.features.standardise import Moments

__all__ = ["Extractor", "Moments", "Place", "channels_of", "describe", "feature_at", "frames_of", "grid", "index_at",
           "mel_bands", "mel_edges_hertz", "mel_hertz", "mel_rows", "mfcc", "rms", "row_name", "shape_of", "to_frames",
           "to_grid", "zcr"]
