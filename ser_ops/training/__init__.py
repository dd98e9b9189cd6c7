"""One loop for all models, its checkpoints, and the search of its settings; it knows no tracking server."""
