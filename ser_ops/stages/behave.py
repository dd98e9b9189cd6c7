"""behave: small changes, groups of voices and calibration of the main model, into reports/behaviour.json."""

from typing import Any

import numpy as np

from ser_ops.config.params import Params, load_params
from ser_ops.device import device_of
from ser_ops.evaluation import behaviour, groups, predictions
from ser_ops.evaluation.behaviour import ALL
from ser_ops.evaluation.predictions import CLEAN
from ser_ops.evaluation.robustness import Panel
from ser_ops.files import write_json
from ser_ops.manifest import VariantRow, unaltered, validated_utterances
from ser_ops.models.model_folder import load
from ser_ops.shards import Shards
from ser_ops.stages import run


def main() -> None:
    """Write behaviour.json: groups and calibration from predictions.csv, small changes by asking the model again."""
    params = load_params()
    work, model, settings = params.paths.work, str(params.train.model), params.behave
    panel = Panel({model: load(work / "models" / model)}, device_of(params.compute.device),
                  params.evaluate.batch_size)
    waveforms, rows = Shards(work / "ingest" / "waveforms"), unaltered(work, "test")
    true = np.array([row.label for row in rows])
    selected = [rows[index].utterance for index in
                behaviour.select_balanced([row.utterance for row in rows], true, settings.utterances, settings.seed)]
    changed = behaviour.small_changes(lambda samples: panel(samples)[0], waveforms, selected, panel.sample_rate,
                                      settings)
    validation = unaltered(work, "validation")
    validation_answers = panel([waveforms[row.utterance] for row in validation])[0]
    test_answers = _clean_answers(params, rows)
    report: dict[str, Any] = {
        "model": model, "utterances": len(rows), "speakers": len({row.speaker for row in rows}), "changes": changed,
        "groups": _groups(params, rows, true, test_answers.argmax(1) == true, waveforms, panel.sample_rate),
        "calibration": behaviour.calibration((np.array([row.label for row in validation]), validation_answers),
                                             (true, test_answers))}
    write_json(params.paths.reports / "behaviour.json", report)
    worst = min((name for name in changed if name != ALL), key=lambda name: changed[name]["unchanged"])
    print(f"behaviour of {model}: {changed[ALL]['unchanged']:.1%} of labels stay under small changes, "
          f"{changed[worst]['unchanged']:.1%} under {worst}; calibration error {report['calibration']['error']:.3f}")


def _clean_answers(params: Params, rows: list[VariantRow]) -> np.ndarray:
    """Probabilities (n, 7) that predictions.csv holds for clean speech, in the order of `rows`."""
    table = predictions.read_predictions(params.paths.reports / "predictions.csv", params.train.model)
    index = {utterance: number for number, utterance in enumerate(table.utterances)}
    return table.probabilities[0, table.conditions.index(CLEAN)][[index[row.utterance] for row in rows]]


def _groups(params: Params, rows: list[VariantRow], true: np.ndarray, right: np.ndarray, waveforms: Shards,
            sample_rate: int) -> dict[str, Any]:
    sexes = {row.utterance: row.gender for row in validated_utterances(params.paths.work)}
    utterances = [row.utterance for row in rows]
    pitch = behaviour.median_pitches(waveforms, utterances, sample_rate, params.behave)
    return groups.compare_by_group(true, right, [row.corpus for row in rows], [row.speaker for row in rows],
                                   [sexes.get(utterance, "") for utterance in utterances], pitch, params.behave)


if __name__ == "__main__":
    run(main)
