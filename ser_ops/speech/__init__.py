"""Where somebody speaks in a recording."""
