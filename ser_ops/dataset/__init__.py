"""Rows of the training table to batches of tensors: the one way by which a model gets its input."""
