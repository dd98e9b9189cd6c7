"""Settings: params.yaml and its presets as strict frozen models, and the model.json of a model folder."""
