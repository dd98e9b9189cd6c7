"""The architectures of both papers as plain torch modules, and one table from name to builder."""
