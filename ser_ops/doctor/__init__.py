"""What is configured, what answers and what is wrong: versions, paths, servers; one line on how to mend each fault."""
