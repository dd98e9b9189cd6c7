"""Metrics with intervals, the noise grid, table VI and the papers' numbers."""
