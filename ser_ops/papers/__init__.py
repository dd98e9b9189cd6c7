"""Both papers' tables and figures, ours beside the printed ones, as values and as self-contained pages."""
