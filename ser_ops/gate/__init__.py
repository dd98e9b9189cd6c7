"""The gate: its rules, the verdict on a model, and what stands as staging or production in the registry."""
