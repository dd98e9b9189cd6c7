"""What a registered model answers on today's test partition: promotion compares a candidate with it."""

from collections.abc import Callable

from ser_ops.config import Params
from ser_ops.dataset.rows import unaltered
from ser_ops.evaluation import predictions
from ser_ops.evaluation.predictions import Predictions
from ser_ops.stages.evaluate import job_of, predictions_of
from ser_ops.tables import read_csv
from ser_ops.tracking.models import fetch


def standing(params: Params, alias: str) -> Callable[[], Predictions]:
    """Evaluates the registered model under `alias` on today's test partition and grid, when called.

    For promotion: a model that was evaluated on other data is compared over the same utterances all the same.
    """
    def again() -> Predictions:
        folder = fetch(params, f"models:/{params.tracking.registered_model}@{alias}")
        rows = unaltered(params.paths.work, "test")
        grid = predictions.grid(read_csv(params.paths.work / "validated" / "noise.csv"), params.evaluate)
        return predictions_of(params, job_of(params, {alias: folder}, rows), rows, grid)
    return again
