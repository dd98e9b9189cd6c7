"""Records of what a served model heard, and what they say of it now."""
