"""Corpora and their partitions: naming rules and oddities of each, the CSV manifest, the leak audit."""
