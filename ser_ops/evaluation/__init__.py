"""Metrics with intervals, the noise grid, table VI; the papers' numbers."""
