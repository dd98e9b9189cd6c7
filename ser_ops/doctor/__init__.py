"""What is configured, what answers, which versions and paths, and what is wrong with one line on how to mend it."""
