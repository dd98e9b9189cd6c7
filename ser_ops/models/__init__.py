"""The architectures of both papers as plain torch modules, and one table from name to builder."""

from ser_ops.config import input_of
from ser_ops.models.base import EmotionModel
from ser_ops.models.folder import load, save
from ser_ops.models.members import separate
from ser_ops.models.table import MODELS, build, count

__all__ = ["MODELS", "EmotionModel", "build", "count", "input_of", "load", "save", "separate"]
