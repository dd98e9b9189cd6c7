"""How far the traces of the methods can be believed: what the model itself answers to them, against rankings that know
nothing of it.

A clip is measured where it is explained (`of_clip`), and all clips are put together (`together`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from ser_ops import config
from ser_ops.explain import believed, sanity
from ser_ops.explain.asking import explanations
from ser_ops.explain.counterfactual import Counterfactual, of_curves
from ser_ops.explain.deletion import RANDOM, Answer, Cells, Curve, curves, order, random_rankings
from ser_ops.explain.fills import filled
from ser_ops.explain.intervals import Resamples, rank_correlation
from ser_ops.explain.question import Explanation, Question
from ser_ops.explain.subject import Subject
from ser_ops.methods import METHODS
from ser_ops.seeds import generator

MODES = tuple(believed.BETTER)
_MUTED = "silence"      # the fill under which paper 1 takes sound away (figure 3e)
_ENERGY = "energy"
_Key = tuple[str, str, str]     # ranking, mode, fill


@dataclass(frozen=True)
class Measured:
    """One clip; rankings are its methods, "energy", and "random", the mean of several draws.

    areas           under the curve of each ranking, mode and fill
    heights         of that curve at equal shares from 0 to 1, (steps + 1,)
    course          what muting does in the order of the first method, for figure 3e; None where nothing is muted
    missed          by additive methods: |sum of the trace less what it should explain|, and the size of the latter
    agreement       by methods with chance in them: rank correlations between draws; empty where none were made
    randomised      by stage of `sanity.STAGES` and method: correlation with random weights; empty where not asked
    """

    utterance: str
    areas: dict[_Key, float]
    heights: dict[_Key, np.ndarray]
    course: Counterfactual | None
    missed: dict[str, tuple[float, float]]
    agreement: dict[str, list[float]]
    randomised: dict[str, dict[str, float]]


def of_clip(question: Question, found: Mapping[str, Explanation], answer: Answer | None = None,
            randomised: Mapping[str, Subject] | None = None, again: bool = False) -> Measured:
    """Measure what methods gave to a clip; `found` (at least one method): of the class that the model answers.

    answer: windows to logits, if not the question's own model. randomised: the model with random weights, for
    `sanity.correlations`. again: draw methods with chance in them with other seeds.
    """
    clip, settings = question.heard, question.settings
    chosen, traces = settings.faithfulness, {name: one.trace for name, one in found.items()}
    cells = Cells.of(clip.valid, chosen.cell_seconds, question.subject.sample_rate)
    draw = generator(settings.seed, "rankings", clip.key)
    values = {name: cells.mean(trace) for name, trace in traces.items()} | {_ENERGY: cells.rms(clip.window)}
    rankings = {name: order(one, draw) for name, one in values.items()} | \
        random_rankings(cells, chosen.random_draws, draw)
    areas, heights, course = dict[_Key, float](), dict[_Key, np.ndarray](), None
    shares = np.arange(chosen.steps + 1) / chosen.steps
    for fill in chosen.fills:
        empty = filled(clip.window, clip.valid, fill, settings.seed, clip.key)
        pairs = curves(answer or question.answering, clip.window, clip.valid, question.target, cells, empty, rankings,
                       chosen.steps, chosen.fade_seconds)
        if fill == _MUTED:
            course = of_curves(next(iter(traces.values())), question.target, cells, rankings, pairs, chosen.steps)
        for mode in MODES:
            drawn: dict[str, list[Curve]] = {}
            for name, pair in pairs.items():
                drawn.setdefault(name.split()[0], []).append(getattr(pair, mode))
            for name, some in drawn.items():
                areas[name, mode, fill] = float(np.mean([one.area for one in some]))
                heights[name, mode, fill] = np.mean([np.interp(shares, one.shares, one.probabilities)
                                                     for one in some], axis=0)
    return Measured(clip.row.utterance, areas, heights, course, _missed(question.target, found),
                    _agreement(question, found, cells) if again else {},
                    sanity.correlations(question, traces, randomised) if randomised else {})


def _missed(target: int, found: Mapping[str, Explanation]) -> dict[str, tuple[float, float]]:
    """How far additive methods miss their sum (paper 1, equation 25); the score is a logit less the mean of all."""
    gaps = {}
    for name, one in found.items():
        if METHODS[name].additive and one.details is not None:
            explained = float(one.details.score[target] - one.details.base[target])
            gaps[name] = (abs(float(one.trace.values.sum()) - explained), abs(explained))
    return gaps


def _agreement(question: Question, found: Mapping[str, Explanation], cells: Cells) -> dict[str, list[float]]:
    """Spearman's correlations of traces under different sampling seeds, of all pairs: the clip's own trace is one."""
    agreed = {}
    for name in [one for one in found if METHODS[one].sampled]:
        drawn = [cells.mean(found[name].trace)]
        for seed in question.settings.faithfulness.other_seeds:
            other = Question(question.subject, question.heard, question.target, question.settings,
                             question.background, question.held.context, question.samples, f" sampling {seed}")
            drawn.append(cells.mean(explanations(other, [name])[name].trace))
        agreed[name] = [rank_correlation(one, other) for one, other in combinations(drawn, 2)]
    return agreed


def together(clips: Sequence[Measured], settings: config.Explain) -> dict[str, Any]:
    """What explanations.json holds under "faithfulness".

    clips: at least one, all of the same methods. Clips of the same utterance count as one. Areas are in [0, 1]; a
    difference is the method's area less that of the other ranking, and each has the percentile interval of a bootstrap
    over utterances. completeness_error: what an additive method misses, as a share of what it should explain.
    """
    chosen = settings.faithfulness
    methods = list(dict.fromkeys(name for name, _, _ in clips[0].areas if name not in (RANDOM, _ENERGY)))
    resamples = Resamples.of([one.utterance for one in clips], chosen.resamples, chosen.confidence, settings.seed)
    areas = {key: np.array([one.areas[key] for one in clips]) for key in clips[0].areas}
    heights = {key: np.mean([one.heights[key] for one in clips], axis=0) for key in clips[0].heights}

    def figures(name: str) -> dict[str, Any]:
        return {mode: {fill: _named("area", resamples.mean(areas[name, mode, fill])) |
                       {"curve": np.round(heights[name, mode, fill], 5).tolist()} for fill in chosen.fills}
                for mode in MODES}

    def against(name: str, other: str) -> dict[str, Any]:
        return {mode: {fill: _named("difference", resamples.mean(areas[name, mode, fill] - areas[other, mode, fill]))
                       for fill in chosen.fills} for mode in MODES}

    def compared(name: str) -> dict[str, Any]:
        own = figures(name) | {"against_random": against(name, RANDOM)}
        return own | {"beats_random": believed.better(own["against_random"])}

    found: dict[str, Any] = {
        "fills": list(chosen.fills), "steps": chosen.steps, "clips": len(clips),
        "utterances": resamples.weights.shape[1], "cell_seconds": chosen.cell_seconds,
        "confidence": chosen.confidence, "random_draws": chosen.random_draws,
        "shares": (np.arange(chosen.steps + 1) / chosen.steps).tolist(),
        "methods": {name: compared(name) | {"against_energy": against(name, _ENERGY)} | _checks(name, clips)
                    for name in methods}, RANDOM: figures(RANDOM), _ENERGY: compared(_ENERGY)}
    return found | {"words": believed.words(found, chosen.randomised_limit)}


def _checks(name: str, clips: Sequence[Measured]) -> dict[str, float | None]:
    """A method's checks by its own standards, over the clips on which they were made; None where on none."""
    missed = [one.missed[name] for one in clips if name in one.missed]
    pairs = [pair for one in clips for pair in one.agreement.get(name, [])]
    stages = {stage: [one.randomised[stage][name] for one in clips if name in one.randomised.get(stage, {})]
              for stage in sanity.STAGES}
    return {"completeness_error": float(sum(gap for gap, _ in missed) / (sum(reach for _, reach in missed) or 1.0))
            if missed else None, "seed_agreement": _mean(pairs),
            "randomised_correlation": _mean(stages["all"]), "randomised_head_correlation": _mean(stages["head"])}


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _named(name: str, figures: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip((name, "low", "high"), figures, strict=True))
