"""The door for sound: what is admitted and how it is read; the fixed window; levels."""
