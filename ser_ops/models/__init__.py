"""Both papers' architectures: plain torch modules, and one table from name to builder."""
