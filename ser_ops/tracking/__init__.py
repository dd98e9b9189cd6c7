"""Runs, the registry and the packaged model: the only room that imports mlflow, and only when it is used."""

from ser_ops.tracking.runs import Run, open_run, reopen

__all__ = ["Run", "open_run", "reopen"]
