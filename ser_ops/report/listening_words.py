"""What the listening page says in words and tables: warnings, captions, a method's mark, and figures in rows.

A table is {head, rows}, each row {name, cells, failed}; a cell is a text or a list of lines.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ser_ops.methods import method
from ser_ops.pages import number, percent, pick, plain
from ser_ops.report.listening_charts import spread

Table = dict[str, Any]
NOT_BETTER_THAN_RANDOM = "does not beat random order here"
CAPTIONS: dict[str, str] = {
    "waveform": "The window as the model heard it, noise included; amplitude 1 is full scale. It does not show pitch "
                "or words, nor what the model uses.",
    "gain": "How loud each moment is in what the buttons play. It changes what you hear; the model heard all of it.",
    "spectrogram": "Level of each mel band over time; the bands are of equal height, so hertz are on the mel scale. It "
                   "does not show what the model uses, and not every model reads it.",
    "probabilities": "The model's own probabilities. They do not say how often it is right when it is that sure.",
    "streams": "Exact Shapley values: what each stream adds to the score, averaged over every order in which the "
               "streams can join. They do not show when in the clip, nor why.",
    "stream_shares": "Share of |Shapley value| that each stream has, mean over the clips with its interval. A share "
                     "says how much a stream moves the score, not whether it moves it to the right answer.",
    "rank_correlation": "Rank correlation (Spearman) of a clip's attribution over time with that of the same utterance "
                        "clean, mean with its interval: 1 is the same order of moments, 0 is none. A high value does "
                        "not show that either explanation is right.",
    "speech": "Share of the positive attribution that lies where the clean recording has speech by its energy, mean "
              "with its interval. The dotted line is the share of the window that is speech: what attribution would "
              "reach that is spread evenly. More inside speech does not show that the right cue was found.",
    "curves": "The answer's probability while the moments that a method names first are taken away (deletion) or put "
              "back (insertion), mean over the clips. A curve does not show why a moment matters, and under each fill "
              "the model hears sounds that no speaker makes.",
    "areas": "Area under the curve of the answer's probability while the moments that a method names first are taken "
             "away (deletion: low is good) or put back (insertion: high is good), mean with its interval. It says "
             "whether the order of moments matters to the model, not why; each fill makes sounds that no speaker "
             "makes.",
}
_BASELINES = {"random": "random order", "energy": "order by energy"}


def mark_of(faithfulness: Any, method: str) -> str | None:
    """The mark beside a method wherever it is shown; None where the method beat random order.

    >>> mark_of({"methods": {"shap": {"beats_random": False}}}, "shap")
    'does not beat random order here'
    """
    beats = pick(faithfulness, "methods", method, "beats_random")
    if beats is True:
        return None
    return NOT_BETTER_THAN_RANDOM if beats is False else "faithfulness not measured"


def badges(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Warnings in capitals with what each means."""
    warnings = []
    synthetic, partial, backbone = (provenance.get(name) for name in ("synthetic", "partial", "backbone"))
    if synthetic:
        warnings.append(("Synthetic speech", f"Spoken by a synthesiser ({_names(synthetic)}). What a model looks at "
                         "here says nothing about people."))
    if partial:
        warnings.append(("Partial corpus", f"Not the full published corpus: {_names(partial)}."))
    if isinstance(backbone, str) and "random" in backbone.lower():
        warnings.append(("Random weights", f"The backbone was not pretrained ({backbone}): what is explained is a much "
                         "weaker model than the paper's."))
    return warnings


def across(across_noise: Any, methods: Mapping[str, Any]) -> Table | None:
    """Every cell in figures: streams, rank correlations, shares inside speech, and answers that stayed."""
    cells = [cell for cell in pick(across_noise, "cells") or [] if isinstance(cell, Mapping)]
    if not cells:
        return None
    titles = {"streams": "share of |φ|", "rank_correlation": "rank correlation", "speech_share": "inside speech"}
    parts = [(key, name, title) for key, title in titles.items()
             for name in dict.fromkeys(str(name) for cell in cells for name in pick(cell, key) or {})]
    head = ["noise", "intensity", "clips", "same answer",
            *(f"{plain(name) if key == 'streams' else method(name).title}: {title}" for key, name, title in parts)]
    clean = pick(across_noise, "clean")
    shown = [*([{**clean, "noise": "clean", "intensity": None}] if isinstance(clean, Mapping) else []), *cells]
    return {"head": head, "rows": [
        {"name": plain(cell.get("noise")), "failed": False, "cells": [
            number(cell.get("intensity")), number(cell.get("n"), 0), percent(cell.get("same_answer")),
            *(spread(pick(cell, key, name)) for key, name, _ in parts)]} for cell in shown]}


def faithfulness(measured: Any, methods: Mapping[str, Any]) -> Table | None:
    """Areas of each method, fill and curve, against random order and order by energy; whether it beats random."""
    fills = [str(fill) for fill in pick(measured, "fills") or []]
    curves = [(curve, fill) for curve in ("deletion", "insertion") for fill in fills]
    rows = [_row(method(key).title, figures, curves)
            for key, figures in (pick(measured, "methods") or {}).items()]
    if not rows:
        return None
    rows += [_row(title, pick(measured, name), curves) for name, title in _BASELINES.items() if pick(measured, name)]
    better = {"deletion": "low is good", "insertion": "high is good"}
    return {"head": ["order of moments", "beats random order",
                     *(f"{curve}, {plain(fill)} ({better[curve]})" for curve, fill in curves)], "rows": rows}


def _row(name: str, figures: Any, curves: Sequence[tuple[str, str]]) -> Table:
    beats = pick(figures, "beats_random")
    cells: list[Any] = []
    for curve, fill in curves:
        lines = [spread(pick(figures, curve, fill), 3, "area")]
        lines += [f"{title}: {spread(pick(figures, key, curve, fill), 3, 'difference')}"
                  for key, title in (("against_random", "less random"), ("against_energy", "less energy"))
                  if pick(figures, key, curve, fill)]
        cells.append(lines)
    verdict = {True: "✓ yes", False: f"✗ {NOT_BETTER_THAN_RANDOM}"}.get(beats, "–") if isinstance(beats, bool) else "–"
    return {"name": name, "failed": beats is False, "cells": [verdict, *cells]}


def extent(faithfulness: Any) -> str | None:
    """Over how many clips, steps and fills."""
    if not isinstance(faithfulness, Mapping):
        return None
    clips, steps, fills = (faithfulness.get(name) for name in ("clips", "steps", "fills"))
    return f"Measured on {clips} clips in {steps} steps, with {len(fills or [])} fills: {_names(fills or [])}."


def checks(faithfulness: Any, planted: Any, methods: Mapping[str, Any]) -> Table | None:
    """Completeness, agreement between seeds, randomisation and the planted cue, of each method."""
    named = dict.fromkeys([*methods, *(pick(faithfulness, "methods") or {}), *(pick(planted, "methods") or {})])
    rows = []
    for key in named:
        figures, cue = pick(faithfulness, "methods", key), pick(planted, "methods", key)
        if figures is None and cue is None:
            continue
        random = _number_or(pick(figures, "randomised_correlation"), "not measured")
        head = pick(figures, "randomised_head_correlation")
        rows.append({"name": method(key).title, "failed": pick(figures, "beats_random") is False, "cells": [
            _number_or(pick(figures, "completeness_error"), "does not apply"),
            _number_or(pick(figures, "seed_agreement"), "no chance in it"),
            [random, *([] if head is None else [f"last layers alone: {number(head, 3)}"])], _hit_rate(cue)]})
    return {"head": ["method", "completeness error, share of what is explained (0 is complete)",
                     "agreement between seeds (1 is the same order)",
                     "rank correlation with a randomised model (0 is good)", "finds the planted cue"],
            "rows": rows} if rows else None


def _number_or(value: Any, words: str) -> str:
    return words if value is None else number(value, 3)


def _hit_rate(cue: Any) -> list[str]:
    """How often the planted cue was found, and what would be reached blindly."""
    if not cue:
        return ["not measured"]
    verdict = {True: ["✓ more than chance"], False: ["✗ not clearly more than chance"]}.get(cue.get("found"), [])
    return [f"{percent(cue.get('hit_rate'))} of {number(cue.get('n'), 0)} (by chance {percent(cue.get('chance'))})",
            *verdict]


def planted_cue(experiment: Any) -> str | None:
    """What was planted, in words; None when nothing was."""
    cue = pick(experiment, "cue")
    if not isinstance(cue, Mapping):
        return None
    seconds = " to ".join(number(value) for value in cue.get("seconds") or [])
    hertz = " or ".join(number(value, 0) for value in cue.get("hertz") or [])
    return (f"Planted cue: a model was trained on clips whose class is decided by a burst of {hertz} Hz somewhere at "
            f"{seconds} s, among others as loud that decide nothing. Its accuracy is "
            f"{number(experiment.get('accuracy'))}. A method that points elsewhere is wrong, whatever else it shows.")


def _names(names: Any) -> str:
    return ", ".join(plain(name) for name in ([names] if isinstance(names, str) else names))
