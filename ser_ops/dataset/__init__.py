"""Rows of the training table to batches of tensors: the one way by which a model gets its input."""

from ser_ops.dataset.batches import in_order, loader, shuffled
from ser_ops.dataset.examples import Batch, Examples, Stores, assemble
from ser_ops.dataset.rows import Row, read_rows

__all__ = ["Batch", "Examples", "Row", "Stores", "assemble", "in_order", "loader", "read_rows", "shuffled"]
