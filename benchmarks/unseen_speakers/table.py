"""The table: every system that answered all folds, with intervals over speakers, and each against the reference."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.unseen_speakers import answers, figures
from benchmarks.unseen_speakers.choices import Choices
from benchmarks.unseen_speakers.figures import System
from benchmarks.unseen_speakers.folds import Fold
from ser_ops.errors import UserError
from ser_ops.evaluation import bootstrap
from ser_ops.tables import write_csv
from ser_ops.transmission.conditions import ROOMS, TELEPHONE

REFERENCE = "compare_svm_noise"
FIELDS = ("system", "clean_uar", "clean_low", "clean_high", "noisy_uar", "noisy_low", "noisy_high", "worst_cell",
          "worst_uar", "telephone_uar", "rooms_uar", "seconds_training", "clean_over_reference", "clean_over_low",
          "clean_over_high", "noisy_over_reference", "noisy_over_low", "noisy_over_high")


def systems(folder: Path, folds: Sequence[Fold]) -> list[System]:
    """Systems that answered every fold, by name, over the same utterances and conditions.

    Raises UserError when two of them did not hear the same.
    """
    numbers = [fold.number for fold in folds]
    names = sorted(path.name for path in folder.glob("*") if path.is_dir()
                   and all(answers.done(folder, path.name, number) for number in numbers))
    tested = [figures.read(folder, name, numbers) for name in names]
    for system in tested[1:]:
        if (system.utterances, sorted(system.conditions)) != (tested[0].utterances, sorted(tested[0].conditions)):
            raise UserError(f"{folder / system.name}: heard other utterances or conditions than {tested[0].name}: "
                            "run it again")
    return tested


def compared(tested: Sequence[System], choices: Choices, against: str = REFERENCE) -> list[dict[str, object]]:
    """The rows of table.csv.

    Intervals resample whole speakers over all folds, the same draws for every system: each speaker is tested in one
    fold, so that the pooled UAR of a resample is the mean over folds up to one missing utterance. `*_over_*`: the
    system less `against`, paired.
    """
    if not tested:
        return []
    draws = bootstrap.resample_speakers(tested[0].true, tested[0].speakers, choices.resamples, choices.bootstrap_seed)
    reference = next((system for system in tested if system.name == against), None)
    rows = []
    for system in tested:
        cells = system.cells
        worst = min(cells, key=lambda name: cells[name])
        clean = bootstrap.percentile_interval(draws.uar(system.right[0]), choices.confidence)
        noisy = bootstrap.percentile_interval(draws.uar(system.right[1:].mean(0)), choices.confidence)
        values: list[object] = [system.name, system.clean, *clean, system.noisy, *noisy, worst, cells[worst],
                                *(mean if (mean := system.mean_over(names)) is not None else ""
                                  for names in (TELEPHONE, ROOMS)), system.seconds]
        for heard in (lambda system: system.right[0], lambda system: system.right[1:].mean(0)):
            if reference is None or reference is system:
                values += ["", "", ""]
                continue
            difference = bootstrap.compare_paired(draws, heard(reference), heard(system), choices.confidence)
            values += [difference.difference, difference.low, difference.high]
        rows.append(dict(zip(FIELDS, (round(value, 4) if isinstance(value, float) else value for value in values),
                             strict=True)))
    return sorted(rows, key=lambda row: -float(str(row["noisy_uar"])))


def table(folder: Path, choices: Choices, folds: Sequence[Fold], against: str = REFERENCE) -> str:
    """The table in words (Markdown); table.csv and cells.csv are written beside `folder`."""
    tested = systems(folder, folds)
    rows = compared(tested, choices, against)
    if not rows:
        return f"{folder}: no system has answered every fold yet"
    write_csv(folder.parent / "table.csv", rows, FIELDS)
    write_csv(folder.parent / "cells.csv", [{"system": system.name, "clean": round(system.clean, 4),
                                             **{name: round(uar, 4) for name, uar in system.cells.items()}}
                                            for system in tested], ("system", "clean", *sorted(tested[0].cells)))
    lines = [f"fold {', '.join(str(fold.number) for fold in folds)} of whole speakers, "
             f"{len(tested[0].utterances)} utterances of {len(set(tested[0].speakers))} speakers, "
             f"grid of {len(tested[0].cells)} cells. Mean UAR over folds "
             f"[{choices.confidence:.0%} interval: speakers resampled]; over: less {against}, paired",
             "",
             "| system | clean | noisy | worst cell | telephone | rooms | folds, clean | training, s | clean over | "
             "noisy over |", "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    by_name = {system.name: system for system in tested}
    for row in rows:
        each = " ".join(f"{uar:.2f}" for uar in by_name[str(row["system"])].uar(0))
        lines.append(f"| {row['system']} | {_words(row, 'clean_uar', 'clean')} | {_words(row, 'noisy_uar', 'noisy')} | "
                     f"{row['worst_uar']:.3f} {row['worst_cell']} | {row['telephone_uar']} | "
                     f"{row['rooms_uar']} | {each} | {row['seconds_training']:.0f} | "
                     f"{_words(row, 'clean_over_reference', 'clean_over')} | "
                     f"{_words(row, 'noisy_over_reference', 'noisy_over')} |")
    return "\n".join(lines)


def _words(row: dict[str, object], figure: str, bounds: str) -> str:
    if row[figure] == "":
        return ""
    sign = "+" if "over" in figure else ""
    value, low, high = (np.float64(str(row[name])) for name in (figure, f"{bounds}_low", f"{bounds}_high"))
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
