"""The door for sound: what is admitted and how it is read; the fixed window; levels."""

from ser_ops.audio.admission import FORMATS, SHORTEST, SILENCE_DBFS, bandwidth, padding, silent
from ser_ops.audio.hearing import Heard, hear_all
from ser_ops.audio.levels import Levels, dbfs, levels
from ser_ops.audio.low_cut import without_offset
from ser_ops.audio.reading import Clip, Listening, Recording, clean, read, resample
from ser_ops.audio.window import fit, fit_all, spans

__all__ = ["FORMATS", "SHORTEST", "SILENCE_DBFS", "Clip", "Heard", "Levels", "Listening", "Recording", "bandwidth",
           "clean", "dbfs", "fit", "fit_all", "hear_all", "levels", "padding", "read", "resample", "silent", "spans",
           "without_offset"]
