"""The stages of papers/dvc.yaml: what `ser-ops reproduce` runs beside the main pipeline."""
