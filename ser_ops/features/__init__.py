"""What the models of both papers read, as batched tensors; the index map of paper 1; standardisation."""

from ser_ops.features.descriptors import mfcc, rms, zcr
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
from ser_ops.features.standardise import Moments

__all__ = ["Extractor", "Moments", "Place", "channels_of", "describe", "feature_at", "frames_of", "grid", "index_at",
           "mfcc", "rms", "shape_of", "to_frames", "to_grid", "zcr"]
