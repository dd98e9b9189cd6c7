"""Noise: stationary colours, recordings and their partitions, mixing (paper 1, section III-B)."""
