"""One loop for all models and the search of its settings: checkpoints; it knows no tracking server."""
