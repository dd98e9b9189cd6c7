"""Paper 1's figures 2 to 5, drawn from arrays: one file a figure, each says what it does not show."""

from ser_ops.explain.pictures.overall import ShapRow, global_figures, waterfall_of
from ser_ops.explain.pictures.paper import KEYS, paper_figures
from ser_ops.explain.pictures.regions import active

__all__ = ["KEYS", "ShapRow", "active", "global_figures", "paper_figures", "waterfall_of"]
