"""A model as a service over HTTP: batches across requests, limits, a page, live sound."""
