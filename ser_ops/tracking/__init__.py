"""Runs, the registry and the packaged model: the only room that imports mlflow, and only when it is used."""
