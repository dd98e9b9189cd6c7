"""From a recording of any length to its emotion: in windows and in bounded memory."""
