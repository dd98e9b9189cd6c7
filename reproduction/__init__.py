"""Both papers' tables and figures: made again with the core of ser_ops, one page for each."""
