"""Great Expectations over the manifest: what is bad is quarantined and named, what is dangerous stops the run."""
