"""Augmentation of the training partition: pitch, noise, and both (paper 1, section III-C)."""
