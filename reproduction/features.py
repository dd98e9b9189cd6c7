"""Stage features: what every model reads of every row of work/papers/augmented, into work/papers/features."""

from reproduction.experiment import work_folder
from ser_ops.config.params import load_params
from ser_ops.model_table import MODELS
from ser_ops.stages import features, run


def main() -> None:
    """Write a store for each kind of input; each experiment standardises by its own training rows."""
    params = load_params()
    rows = features.source_rows(params.paths.work / "ingest", work_folder(params) / "augmented")
    features.extract_all(params, rows, list(MODELS), work_folder(params) / "features")


if __name__ == "__main__":
    run(main)
