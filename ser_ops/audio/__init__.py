"""Recordings: which are admitted, and how they are read; levels, and the window that a model sees."""
