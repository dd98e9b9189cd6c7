"""Corpora: naming rules and oddities of each, the CSV manifest, partitions and the leak audit."""
