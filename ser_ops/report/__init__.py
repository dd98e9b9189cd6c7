"""The page that says whether to trust the model: one self-contained file, from reports/ alone."""
