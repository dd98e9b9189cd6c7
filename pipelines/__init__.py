"""Prefect owns when, where and retries; DVC owns the graph. The only room that imports prefect."""
