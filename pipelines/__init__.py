"""Prefect flows and deployments: when, where and retries; DVC owns the graph. The only room that imports prefect."""
