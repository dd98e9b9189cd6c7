"""How far the traces of the methods can be believed: what the model itself answers to them, against rankings that know
nothing of it.

A clip is measured where it is explained (`of_clip`), and all clips are put together (`together`).

Parameter randomisation (Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018): what the weights have to do
with a trace.

A clip is explained again on the same architecture with weights that have learned nothing. A trace that stays the same
tells of the clip, such as where it is loud, and not of what the model learned.

The figures of faithfulness in sentences, each computed from them.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, cast

import numpy as np
from torch import nn

from ser_ops import config
from ser_ops.explain.deletion import (
    RANDOM,
    Answer,
    Cells,
    Counterfactual,
    Curve,
    curves,
    filled,
    of_curves,
    order,
    random_rankings,
)
from ser_ops.explain.intervals import Resamples, rank_correlation
from ser_ops.explain.question import Explanation, Question, explanations
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.methods import METHODS
from ser_ops.model_table import MODELS
from ser_ops.models.architectures import build
from ser_ops.models.base import EmotionModel
from ser_ops.models.wav2vec_backbone import config_record
from ser_ops.seeds import derive, generator

STAGES = ("head", "all")    # what is randomised: the last layers alone, and everything


def fresh(subject: Subject, seed: int) -> EmotionModel:
    """The subject's architecture, preset and standardisation with random weights; no checkpoint is looked for."""
    model = subject.model
    kept = config_record(cast(Any, model.backbone).config) if MODELS[model.name].backbone else None
    standardisation = None if subject.standardisation is None else \
        {name: list(values) for name, values in subject.standardisation.items()}
    return build(model.name, model.preset, standardisation, seed, kept)


def randomised(subject: Subject, seed: int) -> dict[str, Subject]:
    """The subject for each of STAGES, with random weights from the head down (the paper's cascade, both of its ends).

    The head is what the model defines last: its layers from the streams' embeddings to the logits.
    """
    everything = fresh(subject, derive(seed, "randomised"))
    above = copy.deepcopy(subject.model)
    name, head = list(everything.named_children())[-1]
    cast(nn.Module, above.get_submodule(name)).load_state_dict(head.state_dict())
    return {stage: replace(subject, model=model.to(subject.device).eval())
            for stage, model in zip(STAGES, (above, everything), strict=True)}


def correlations(question: Question, traces: Mapping[str, Trace],
                 others: Mapping[str, Subject]) -> dict[str, dict[str, float]]:
    """For each stage and method Spearman's correlation of |trace| with that of the trained model, in [-1, 1].

    traces: of the trained model, for the question's class; others: what `randomised` gives. Near 0 a trace follows the
    weights, near 1 it does without them. Over the valid part alone, in cells of `cell_seconds`: padding, which is flat
    on both sides, would look like agreement. A trace that is flat on one side agrees with nothing.
    """
    cells = Cells.of(question.heard.valid, question.settings.faithfulness.cell_seconds, question.subject.sample_rate)
    found = dict[str, dict[str, float]]()
    for stage, other in others.items():
        again = explanations(replace(question, subject=other, context=None, every_class=False), traces)
        found[stage] = {method: rank_correlation(np.abs(cells.mean(traces[method])), np.abs(cells.mean(one.trace)))
                        for method, one in again.items()}
    return found


BETTER = {"deletion": -1, "insertion": 1}     # which way an area should differ

Differences = Mapping[str, Mapping[str, float]]  # fill: difference, low, high


def failures(differences: Differences, direction: int) -> dict[str, bool]:
    """For each fill whether the interval of a difference reaches 0 or lies beyond it.

    direction: -1 where a smaller area is better, 1 where a larger one is.

    >>> failures({"noise": {"difference": -0.1, "low": -0.2, "high": 0.01}}, -1)
    {'noise': True}
    """
    nearest = "high" if direction < 0 else "low"
    return {fill: not one[nearest] * direction > 0 for fill, one in differences.items()}


def sentences(found: Mapping[str, Any]) -> dict[str, str]:
    """A method to the sentence that says whether it beats chance, for the captions of its figures."""
    return {name: next((one for one in found["words"] if one.startswith(METHODS[name].title)), "")
            for name in found["methods"]}


def better(against: Mapping[str, Differences]) -> bool:
    """Whether under every fill the whole interval lies on the right side of 0, in deletion and in insertion."""
    return not any(any(failures(against[mode], direction).values()) for mode, direction in BETTER.items())


def words(found: Mapping[str, Any], limit: float) -> list[str]:
    """Sentences on each method: against chance, against loudness, and what its own checks say.

    found: what `faithfulness.together` put together. limit: rank correlation beyond which a trace tells of the clip
    rather than of the weights. A method that does not beat a random ranking is named in a sentence with these words:
    the gate reads them.
    """
    fills = " and ".join(found["fills"])
    said = [f"Each of {found['clips']} clips of {found['utterances']} utterances was taken apart and put together in "
            f"{found['steps']} steps, with {fills} in the place of sound."]
    for name, one in found["methods"].items():
        title = METHODS[name].title
        said.append(_sentence(title, "a random ranking", one["against_random"], found["fills"]))
        said.append(_loudness(title, one["against_energy"]))
        if one["randomised_correlation"] is not None:
            said.append(_weights(title, one["randomised_correlation"], limit))
        if one["completeness_error"] is not None:
            said.append(f"The values of {title} miss their sum by {one['completeness_error']:.1%} of what they "
                        "explain.")
        if one["seed_agreement"] is not None:
            said.append(f"Drawn again with other sampling seeds {title} ranks moments with a correlation of "
                        f"{one['seed_agreement']:.2f}.")
    said.append(_sentence("Loudness, which asks no model,", "a random ranking", found["energy"]["against_random"],
                          found["fills"]))
    return said


def _missed_in_words(against: Mapping[str, Differences]) -> list[str]:
    """Where an interval does not exclude 0, in words with its figures."""
    return [f"{mode} under {fill} ({_figure(against[mode][fill])})" for mode, direction in BETTER.items()
            for fill, wrong in failures(against[mode], direction).items() if wrong]


def _figure(one: Mapping[str, float]) -> str:
    return f"{one['difference']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]"


def _sentence(title: str, other: str, against: Mapping[str, Differences], fills: list[str]) -> str:
    missed = _missed_in_words(against)
    if missed:
        return f"{title} does not beat {other} in {', nor in '.join(missed)}."
    worst = {mode: min((against[mode][fill] for fill in fills), key=lambda one: abs(one["difference"]))
             for mode in BETTER}
    return (f"{title} beats {other} in deletion and insertion under every fill: in area by at least "
            f"{_figure(worst['deletion'])} and {_figure(worst['insertion'])}.")


def _loudness(title: str, against: Mapping[str, Differences]) -> str:
    missed = _missed_in_words(against)
    if not missed:
        return f"{title} is better than a ranking by loudness in deletion and insertion under every fill."
    return f"{title} is no better than a ranking by loudness in {', nor in '.join(missed)}."


def _weights(title: str, correlation: float, limit: float) -> str:
    if abs(correlation) > limit:
        return (f"On random weights {title} ranks moments much as before (rank correlation {correlation:.2f}, beyond "
                f"{limit:g}): it tells of the clip more than of what the model learned.")
    return (f"On random weights {title} ranks moments otherwise (rank correlation {correlation:.2f}, within "
            f"{limit:g}).")


MODES = tuple(BETTER)
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
                    correlations(question, traces, randomised) if randomised else {})


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
        return own | {"beats_random": better(own["against_random"])}

    found: dict[str, Any] = {
        "fills": list(chosen.fills), "steps": chosen.steps, "clips": len(clips),
        "utterances": resamples.weights.shape[1], "cell_seconds": chosen.cell_seconds,
        "confidence": chosen.confidence, "random_draws": chosen.random_draws,
        "shares": (np.arange(chosen.steps + 1) / chosen.steps).tolist(),
        "methods": {name: compared(name) | {"against_energy": against(name, _ENERGY)} | _checks(name, clips)
                    for name in methods}, RANDOM: figures(RANDOM), _ENERGY: compared(_ENERGY)}
    return found | {"words": words(found, chosen.randomised_limit)}


def _checks(name: str, clips: Sequence[Measured]) -> dict[str, float | None]:
    """A method's checks by its own standards, over the clips on which they were made; None where on none."""
    missed = [one.missed[name] for one in clips if name in one.missed]
    pairs = [pair for one in clips for pair in one.agreement.get(name, [])]
    stages = {stage: [one.randomised[stage][name] for one in clips if name in one.randomised.get(stage, {})]
              for stage in STAGES}
    return {"completeness_error": float(sum(gap for gap, _ in missed) / (sum(reach for _, reach in missed) or 1.0))
            if missed else None, "seed_agreement": _mean(pairs),
            "randomised_correlation": _mean(stages["all"]), "randomised_head_correlation": _mean(stages["head"])}


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _named(name: str, figures: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip((name, "low", "high"), figures, strict=True))
