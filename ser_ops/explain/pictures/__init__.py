"""Paper 1's figures 2 to 5, drawn from arrays: one file a figure, each says what it does not show."""
