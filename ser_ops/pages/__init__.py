"""What every page is made of: small pieces of inline SVG, and figures in words."""
