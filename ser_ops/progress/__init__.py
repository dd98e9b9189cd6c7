"""Bars and parallel maps of long steps: rate and time left; processes here or a Dask cluster."""
