"""Reading, resampling, length and levels of recordings."""

from ser_ops.audio.levels import Levels, clipped_share, dbfs, levels
from ser_ops.audio.reading import FORMATS, Recording, blocks, describe, read, resample
from ser_ops.audio.window import fit, fit_all, spans

__all__ = ["FORMATS", "Levels", "Recording", "blocks", "clipped_share", "dbfs", "describe", "fit", "fit_all", "levels",
           "read", "resample", "spans"]
