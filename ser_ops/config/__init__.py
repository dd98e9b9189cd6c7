"""Settings and their checks: params.yaml and its presets as strict frozen models; the model.json of a model folder."""
