"""Long steps: a bar with rate and time left, and one map over processes here or over a Dask cluster."""

from ser_ops.progress.bar import progress
from ser_ops.progress.processes import cores
from ser_ops.progress.spreading import spread

__all__ = ["cores", "progress", "spread"]
