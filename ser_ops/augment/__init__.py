"""Pitch, noise and both for the training partition (paper 1, section III-C); noisy copies for validation."""
