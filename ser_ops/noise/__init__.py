"""Noise and its mixing into speech: stationary colours, recordings and their partitions (paper 1, III-B)."""
