"""Augmentation: pitch, noise and both for training (paper 1, section III-C); noisy copies for validation."""
