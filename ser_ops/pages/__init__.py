"""What every page is made of: small pieces of inline SVG, figures in words, and what it may do."""
