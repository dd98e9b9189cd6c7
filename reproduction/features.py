"""Stages features: what every model reads of every row of work/papers/<which>, into its folder features."""

import sys

from reproduction.experiment import rows_folder
from ser_ops.config.params import load_params
from ser_ops.model_table import MODELS
from ser_ops.stages import features, run


def main() -> None:
    """Write a store for each kind of input; each experiment standardises by its own training rows."""
    params = load_params()
    folder = rows_folder(params, sys.argv[1])
    rows = features.source_rows(params.paths.work / "ingest", folder / "augmented")
    features.extract_all(params, rows, list(MODELS), folder / "features")


if __name__ == "__main__":
    run(main)
