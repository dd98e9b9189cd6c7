"""The SVMs' side: each feature set, trained on clean speech and with noise, answers every fold over the grid."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.unseen_speakers import answers, svm
from benchmarks.unseen_speakers.answers import Answer
from benchmarks.unseen_speakers.choices import Choices
from benchmarks.unseen_speakers.folds import Fold
from benchmarks.unseen_speakers.smile import Functionals
from benchmarks.unseen_speakers.sound import Hearing, Sound
from ser_ops.emotions import EMOTIONS, class_index
from ser_ops.manifest import UtteranceRow

NAMES = {"ComParE_2016": "compare_svm", "eGeMAPSv02": "egemaps_svm"}


def tested(sound: Sound, choices: Choices) -> list[Hearing]:
    """Clean, then every cell of the grid, then the telephone lines and rooms of `evaluate.transmission`."""
    seed = choices.grid_seed
    conditions = [*sound.grid(seed), *sound.transmissions()]
    return [Hearing("test"), *(Hearing("test", condition, seed) for condition in conditions)]


def run(functionals: Functionals, choices: Choices, folds: Sequence[Fold], predictions: Path) -> None:
    """Both SVMs of one feature set, fold by fold; what is done already is left. The other folds choose C, in turn."""
    name = NAMES[functionals.name]
    clean, noisy = Hearing("test"), [Hearing("train", seed=seed) for seed in choices.training_seeds]
    validated = Hearing("validation", seed=choices.validation_seed)
    for system, sets, checks in ((name, [clean], [clean]), (f"{name}_noise", [clean, *noisy], [clean, validated])):
        left = [fold for fold in folds if not answers.done(predictions, system, fold.number)]
        if not left:
            continue
        heard = [functionals(heard_set) for heard_set in sets], [functionals(check) for check in checks]
        for fold in left:
            groups = [other.test for other in folds if other is not fold]
            _fold(functionals, system, heard, choices, fold, groups, predictions)
            print(f"{system} fold {fold.number}: done", flush=True)


def _fold(functionals: Functionals, system: str, heard: tuple[list[np.ndarray], list[np.ndarray]],
          choices: Choices, fold: Fold, groups: Sequence[tuple[str, ...]], predictions: Path) -> None:
    rows = functionals.sound.rows
    labels = np.array([class_index(row.emotion) for row in rows])
    test, *parts = (np.array([row.speaker in names for row in rows]) for names in (fold.test, *groups))
    fitted = svm.fit(*heard, labels, parts, choices.costs)
    tested_rows = [row for row, is_tested in zip(rows, test, strict=True) if is_tested]
    given = []
    for sound in tested(functionals.sound, choices):
        predictions_of_rows = fitted.svm(functionals(sound)[test])
        given += [_answer(sound, row, int(label)) for row, label in zip(tested_rows, predictions_of_rows, strict=True)]
    extracted = functionals.seconds(Hearing("test")) * int((~test).sum()) * len(heard[0])
    answers.write(predictions, system, fold.number, given, {
        "seconds_training": round(fitted.seconds, 1), "threads": 1,
        "seconds_features": round(extracted, 1),
        "trained_on": sorted(name for group in groups for name in group), "chosen": dict(fitted.chosen),
        "validation_uar": round(fitted.validation_uar, 4)})


def _answer(heard: Hearing, row: UtteranceRow, label: int) -> Answer:
    noise, intensity, seed = heard.condition.noise, heard.condition.intensity, heard.condition.seed
    return Answer(noise, intensity, seed, row.utterance, row.speaker, row.emotion, EMOTIONS[label])
