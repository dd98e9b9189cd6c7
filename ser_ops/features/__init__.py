"""Spectral features of paper 1 (section III-D) as batched tensors, their index map and their standardisation."""

from ser_ops.features.descriptors import mfcc, rms, zcr
from ser_ops.features.extractor import Extractor
from ser_ops.features.index_map import (
    Place,
    describe,
    feature_at,
    frames_of,
    grid,
    index_at,
    shape_of,
    to_frames,
    to_grid,
)
from ser_ops.features.standardise import Moments

__all__ = ["Extractor", "Moments", "Place", "describe", "feature_at", "frames_of", "grid", "index_at", "mfcc", "rms",
           "shape_of", "to_frames", "to_grid", "zcr"]
