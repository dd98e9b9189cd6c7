"""reports/behaviour.json: do answers stay under small changes, are they as good for everybody, as sure as right?

After the robustness and fairness tests of audEERING's public suite (github.com/audeering/ser-tests).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ser_ops.config import Behave
from ser_ops.evaluation import groups
from ser_ops.evaluation.behaved import ALL
from ser_ops.evaluation.changes import changes
from ser_ops.evaluation.metrics import calibration_error
from ser_ops.evaluation.pitch import median_pitch, upper_half
from ser_ops.models.temperature import fit_temperature, tempered
from ser_ops.progress.bar import progress
from ser_ops.seeds import derive, generator

Answers = Callable[[Sequence[np.ndarray]], np.ndarray]
SEXES = ("female", "male")
PITCHES = ("lower", "higher")


def chosen(utterances: Sequence[str], true: np.ndarray, count: int, seed: int) -> list[int]:
    """Places of `count` utterances at most, in order; each class as often as it goes.

    >>> chosen(["a", "b", "c", "d"], np.array([0, 0, 0, 1]), 2, seed=1)[-1]
    3
    """
    ranks: dict[int, int] = {}
    keys: list[tuple[int, int, int]] = []
    for place in sorted(range(len(utterances)), key=lambda one: derive(seed, "chosen", utterances[one])):
        rank = ranks[int(true[place])] = ranks.get(int(true[place]), -1) + 1
        keys.append((rank, len(keys), place))
    return sorted(place for _, _, place in sorted(keys)[:count])


def small_changes(answers: Answers, waveforms: Mapping[str, np.ndarray], utterances: Sequence[str], sample_rate: int,
                  settings: Behave) -> dict[str, dict[str, Any]]:
    """{change: {unchanged: share of labels that stay, in [0, 1], of: utterances}}, and of all changes together (ALL).

    answers: waveforms to probabilities (n, 7).
    """
    heard = [np.asarray(waveforms[one]) for one in utterances]
    before = answers(heard).argmax(1)
    found: dict[str, dict[str, Any]] = {}
    stay = []
    for name, change in progress(changes(settings).items(), "small changes", None, "change"):
        after = answers([change(samples, sample_rate, generator(settings.seed, name, one))
                         for one, samples in zip(utterances, heard, strict=True)]).argmax(1)
        stay.append(after == before)
        found[name] = {"unchanged": float(stay[-1].mean()), "of": len(heard)}
    return {ALL: {"unchanged": float(np.mean(stay)), "of": int(np.size(stay))}, **found}


def by_group(true: np.ndarray, right: np.ndarray, corpora: np.ndarray, sexes: Sequence[str], pitch: np.ndarray,
             settings: Behave) -> dict[str, Any]:
    """UAR of women and men, and of the lower and the higher half of each class's voices.

    sexes: female, male or "" (n,); pitch: median pitch in hertz (n,), NaN where there is none. Utterances without
    either are left out of that comparison.
    """
    def compare(names: tuple[str, str], known: np.ndarray, second: np.ndarray) -> Mapping[str, object]:
        return groups.record(groups.compare(true[known], right[known], second[known], corpora[known],
                                            settings.group_utterances, settings.simulations, settings.seed), names)

    sex = np.asarray(sexes, str)
    kinds = np.unique(corpora, return_inverse=True)[1] * 100 + true
    return {"sex": compare(SEXES, np.isin(sex, SEXES), sex == SEXES[1]),
            "pitch": compare(PITCHES, np.isfinite(pitch), upper_half(pitch, kinds))}


def pitches(waveforms: Mapping[str, np.ndarray], utterances: Sequence[str], sample_rate: int,
            settings: Behave) -> np.ndarray:
    """Median pitch in hertz of each utterance (n,), NaN where there is none."""
    found = [median_pitch(np.asarray(waveforms[one]), sample_rate, *settings.pitch_hertz)
             for one in progress(utterances, "pitch", len(utterances))]
    return np.array([np.nan if one is None else one for one in found])


def calibration(validation: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Calibration error of the test answers as they are and after the temperature that fits the validation answers.

    validation, test: true class indices (n,) and probabilities (n, 7).
    """
    temperature = fit_temperature(*validation)
    return {"error": calibration_error(*test), "temperature": temperature,
            "error_with_temperature": calibration_error(test[0], tempered(test[1], temperature)),
            "validation_utterances": len(validation[0])}
