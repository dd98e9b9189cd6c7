"""What the models of both papers read, as batched tensors; the index maps; standardisation."""
