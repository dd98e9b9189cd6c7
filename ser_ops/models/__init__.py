"""The architectures of paper 1 (section III-E) as plain torch modules, and one table from name to builder."""

from ser_ops.models.base import EmotionModel
from ser_ops.models.folder import load, save
from ser_ops.models.table import MODELS, build, count

__all__ = ["MODELS", "EmotionModel", "build", "count", "load", "save"]
