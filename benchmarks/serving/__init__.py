"""`ser-ops serve` under load, beside the bare loop and `mlflow models serve`."""
