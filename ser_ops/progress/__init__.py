"""Long steps: a bar with rate and time left, and one map over processes here or over a Dask cluster."""
