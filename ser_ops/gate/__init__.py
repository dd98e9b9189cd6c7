"""The gate and the registry's aliases: rules, the verdict on a model, what stands as staging or production."""
