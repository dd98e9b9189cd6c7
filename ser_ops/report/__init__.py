"""The page that says whether to trust the model: one self-contained file, from reports/ alone."""

from ser_ops.report.page import build

__all__ = ["build"]
