"""Reading of recordings: which are admitted; levels, and the window that a model sees."""
