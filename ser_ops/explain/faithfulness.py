"""How far the traces of the methods can be believed: what the model answers to them, compared with other rankings.

A clip is measured where it is explained (`measure_clip`): deletion and insertion against random rankings and against a
ranking by loudness, and each method's own checks. All clips are then put together (`combine_clips`), and their figures
are written as sentences. One check is parameter randomisation (Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS
2018): the clip is explained again on the same architecture with random weights. A trace that stays the same tells of
the clip, such as where it is loud, and not of what the model learned.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, cast

import numpy as np
from torch import nn

from ser_ops.config.explaining import Explain
from ser_ops.explain.deletion import (
    RANDOM,
    Cells,
    ClassifyWindows,
    Counterfactual,
    Curve,
    RankingCurves,
    counterfactual_of_curves,
    fill_window,
    random_rankings,
    rank_cells,
    ranking_curves,
)
from ser_ops.explain.intervals import Resamples, rank_correlation
from ser_ops.explain.question import Explanation, Question, explain_clip
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.methods import METHODS
from ser_ops.model_table import MODELS
from ser_ops.models.architectures import build
from ser_ops.models.base import EmotionModel
from ser_ops.models.wav2vec_backbone import config_record
from ser_ops.seeds import derive_seed, generator

BETTER = {"deletion": -1, "insertion": 1}     # the sign of a difference in area that speaks for a ranking
MODES = tuple(BETTER)
RANDOMISED_PARTS = ("head", "all")    # what gets random weights: the last layers alone, and everything
_MUTED = "silence"      # the fill under which paper 1 takes sound away (figure 3e)
_ENERGY = "energy"      # the name of the ranking by loudness
_Key = tuple[str, str, str]     # ranking, mode, fill
Differences = Mapping[str, Mapping[str, float]]  # fill: difference, low, high


@dataclass(frozen=True)
class ClipFaithfulness:
    """One clip; rankings are its methods, "energy", and "random", the mean of several draws.

    areas           under the curve of each ranking, mode and fill
    heights         of that curve at equal shares from 0 to 1, (steps + 1,)
    course          what muting does in the order of the first method, for figure 3e; None where silence is no fill
    gaps            by additive methods: |sum of the trace less what it should explain|, and the size of the latter
    agreement       by methods with sampling: rank correlations between draws; empty where they were drawn once
    randomised      by part of RANDOMISED_PARTS and method: correlation with random weights; empty where not asked
    """

    utterance: str
    areas: dict[_Key, float]
    heights: dict[_Key, np.ndarray]
    course: Counterfactual | None
    gaps: dict[str, tuple[float, float]]
    agreement: dict[str, list[float]]
    randomised: dict[str, dict[str, float]]


def measure_clip(question: Question, explanations: Mapping[str, Explanation], classify: ClassifyWindows | None = None,
                 randomised: Mapping[str, Subject] | None = None, reseeded: bool = False) -> ClipFaithfulness:
    """Measure what methods gave to a clip.

    explanations  by method, at least one, of the class that the model answers
    classify      windows to logits; None: the question's own model
    randomised    the model with random weights, as `randomise` gives it; None: that check is left out
    reseeded      whether methods with sampling are drawn again with other seeds
    """
    clip, settings = question.clip, question.settings
    chosen, traces = settings.faithfulness, {name: explanation.trace for name, explanation in explanations.items()}
    cells = Cells.of(clip.valid, chosen.cell_seconds, question.subject.sample_rate)
    draw = generator(settings.seed, "rankings", clip.key)
    values = {name: cells.mean(trace) for name, trace in traces.items()} | {_ENERGY: cells.rms(clip.window)}
    rankings = {name: rank_cells(per_cell, draw) for name, per_cell in values.items()} | \
        random_rankings(cells, chosen.random_draws, draw)
    areas, heights, course = dict[_Key, float](), dict[_Key, np.ndarray](), None
    for fill in chosen.fills:
        empty = fill_window(clip.window, clip.valid, fill, settings.seed, clip.key)
        curves = ranking_curves(classify or question.classify_windows, clip.window, clip.valid, question.target, cells,
                                empty, rankings, chosen.steps, chosen.fade_seconds)
        if fill == _MUTED:
            course = counterfactual_of_curves(next(iter(traces.values())), question.target, cells, rankings, curves,
                                              chosen.steps)
        for (ranking, mode), draws in _by_ranking(curves).items():
            areas[ranking, mode, fill] = float(np.mean([curve.area for curve in draws]))
            heights[ranking, mode, fill] = np.mean(
                [np.interp(_shares(chosen.steps), curve.shares, curve.probabilities) for curve in draws], axis=0)
    return ClipFaithfulness(clip.row.utterance, areas, heights, course,
                            _completeness_gaps(question.target, explanations),
                            _seed_agreement(question, explanations, cells) if reseeded else {},
                            randomised_correlations(question, traces, randomised) if randomised else {})


def _by_ranking(curves: Mapping[str, RankingCurves]) -> dict[tuple[str, str], list[Curve]]:
    """Curves by ranking and mode; all random rankings together."""
    grouped: dict[tuple[str, str], list[Curve]] = {}
    for mode in MODES:
        for name, pair in curves.items():
            grouped.setdefault((name.split()[0], mode), []).append(getattr(pair, mode))
    return grouped


def _shares(steps: int) -> np.ndarray:
    return np.arange(steps + 1) / steps


def _completeness_gaps(target: int, explanations: Mapping[str, Explanation]) -> dict[str, tuple[float, float]]:
    """How far additive methods miss their sum (paper 1, equation 25); the score is a logit less the mean of all."""
    gaps = {}
    for name, explanation in explanations.items():
        if METHODS[name].additive and explanation.details is not None:
            explained = float(explanation.details.score[target] - explanation.details.base[target])
            gaps[name] = (abs(float(explanation.trace.values.sum()) - explained), abs(explained))
    return gaps


def _seed_agreement(question: Question, explanations: Mapping[str, Explanation],
                    cells: Cells) -> dict[str, list[float]]:
    """Spearman's correlations of traces under different sampling seeds, of all pairs, the clip's own trace included."""
    agreement = {}
    for name in [method for method in explanations if METHODS[method].sampled]:
        draws = [cells.mean(explanations[name].trace)]
        for seed in question.settings.faithfulness.other_seeds:
            other = Question(question.subject, question.clip, question.target, question.settings, question.background,
                             question.classify_features.context, question.samples, f" sampling {seed}")
            draws.append(cells.mean(explain_clip(other, [name])[name].trace))
        agreement[name] = [rank_correlation(first, second) for first, second in combinations(draws, 2)]
    return agreement


def randomise(subject: Subject, seed: int) -> dict[str, Subject]:
    """The subject for each of RANDOMISED_PARTS, with random weights from the head down: both ends of the cascade.

    The head is what the model defines last: its layers from the streams' embeddings to the logits.
    """
    everything = untrained_model(subject, derive_seed(seed, "randomised"))
    head_alone = copy.deepcopy(subject.model)
    name, head = list(everything.named_children())[-1]
    cast(nn.Module, head_alone.get_submodule(name)).load_state_dict(head.state_dict())
    return {part: replace(subject, model=model.to(subject.device).eval())
            for part, model in zip(RANDOMISED_PARTS, (head_alone, everything), strict=True)}


def untrained_model(subject: Subject, seed: int) -> EmotionModel:
    """The subject's architecture, preset and standardisation with random weights; no checkpoint is looked for."""
    model = subject.model
    backbone = config_record(cast(Any, model.backbone).config) if MODELS[model.name].backbone else None
    standardisation = None if subject.standardisation is None else \
        {name: list(values) for name, values in subject.standardisation.items()}
    return build(model.name, model.preset, standardisation, seed, backbone)


def randomised_correlations(question: Question, traces: Mapping[str, Trace],
                            randomised: Mapping[str, Subject]) -> dict[str, dict[str, float]]:
    """For each part and method Spearman's correlation of |trace| with that of the trained model, in [-1, 1].

    traces: of the trained model, for the question's class; randomised: what `randomise` gives. Near 0 a trace follows
    the weights, near 1 it does without them. Over the valid part alone, in cells of `cell_seconds`: padding, which is
    flat on both sides, would look like agreement. A trace that is flat on one side agrees with nothing.
    """
    cells = Cells.of(question.clip.valid, question.settings.faithfulness.cell_seconds, question.subject.sample_rate)
    correlations = dict[str, dict[str, float]]()
    for part, subject in randomised.items():
        explanations = explain_clip(replace(question, subject=subject, context=None, every_class=False), traces)
        correlations[part] = {
            method: rank_correlation(np.abs(cells.mean(traces[method])), np.abs(cells.mean(explanation.trace)))
            for method, explanation in explanations.items()}
    return correlations


def combine_clips(clips: Sequence[ClipFaithfulness], settings: Explain) -> dict[str, Any]:
    """What explanations.json holds under "faithfulness".

    clips: at least one, all of the same methods. Clips of the same utterance count as one. Areas are in [0, 1]; a
    difference is the method's area less that of the other ranking, and each has the percentile interval of a bootstrap
    over utterances. completeness_error: what an additive method misses, as a share of what it should explain.
    """
    chosen = settings.faithfulness
    methods = list(dict.fromkeys(name for name, _, _ in clips[0].areas if name not in (RANDOM, _ENERGY)))
    resamples = Resamples.of([clip.utterance for clip in clips], chosen.resamples, chosen.confidence, settings.seed)
    figures = _Figures(chosen.fills, resamples,
                       {key: np.array([clip.areas[key] for clip in clips]) for key in clips[0].areas},
                       {key: np.mean([clip.heights[key] for clip in clips], axis=0) for key in clips[0].heights})
    report: dict[str, Any] = {
        "fills": list(chosen.fills), "steps": chosen.steps, "clips": len(clips),
        "utterances": resamples.weights.shape[1], "cell_seconds": chosen.cell_seconds,
        "confidence": chosen.confidence, "random_draws": chosen.random_draws,
        "shares": _shares(chosen.steps).tolist(),
        "methods": {name: figures.compared_with_random(name) | {"against_energy": figures.differences(name, _ENERGY)}
                    | _checks(name, clips) for name in methods},
        RANDOM: figures.curves(RANDOM), _ENERGY: figures.compared_with_random(_ENERGY)}
    return report | {"words": faithfulness_sentences(report, chosen.randomised_limit)}


@dataclass(frozen=True)
class _Figures:
    """Areas of all clips (n,) and mean heights of curves, by ranking, mode and fill, as the report holds them."""

    fills: Sequence[str]
    resamples: Resamples
    areas: Mapping[_Key, np.ndarray]
    heights: Mapping[_Key, np.ndarray]

    def curves(self, name: str) -> dict[str, Any]:
        """A ranking's areas with their intervals, and its mean curves."""
        return {mode: {fill: _interval("area", self.resamples.mean(self.areas[name, mode, fill])) |
                       {"curve": np.round(self.heights[name, mode, fill], 5).tolist()} for fill in self.fills}
                for mode in MODES}

    def differences(self, name: str, other: str) -> dict[str, dict[str, dict[str, float]]]:
        """A ranking's areas less those of another one, clip by clip, with their intervals."""
        return {mode: {fill: _interval("difference", self.resamples.mean(
            self.areas[name, mode, fill] - self.areas[other, mode, fill])) for fill in self.fills} for mode in MODES}

    def compared_with_random(self, name: str) -> dict[str, Any]:
        """A ranking's curves, and whether it beats random rankings."""
        differences = self.differences(name, RANDOM)
        return self.curves(name) | {"against_random": differences, "beats_random": beats(differences)}


def _interval(name: str, figures: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip((name, "low", "high"), figures, strict=True))


def _checks(name: str, clips: Sequence[ClipFaithfulness]) -> dict[str, float | None]:
    """A method's checks by its own standards, over the clips on which they were made; None where on none."""
    gaps = [clip.gaps[name] for clip in clips if name in clip.gaps]
    agreement = [correlation for clip in clips for correlation in clip.agreement.get(name, [])]
    head, everything = ([clip.randomised[part][name] for clip in clips if name in clip.randomised.get(part, {})]
                        for part in RANDOMISED_PARTS)
    error = float(sum(gap for gap, _ in gaps) / (sum(reach for _, reach in gaps) or 1.0)) if gaps else None
    return {"completeness_error": error, "seed_agreement": _mean(agreement),
            "randomised_correlation": _mean(everything), "randomised_head_correlation": _mean(head)}


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def beats(against: Mapping[str, Differences]) -> bool:
    """Whether under every fill the whole interval lies on the right side of 0, in deletion and in insertion."""
    return not any(any(failures(against[mode], direction).values()) for mode, direction in BETTER.items())


def failures(differences: Differences, direction: int) -> dict[str, bool]:
    """For each fill whether the interval of a difference reaches 0 or lies beyond it.

    direction: -1 where a smaller area is better, 1 where a larger one is.

    >>> failures({"noise": {"difference": -0.1, "low": -0.2, "high": 0.01}}, -1)
    {'noise': True}
    """
    nearest = "high" if direction < 0 else "low"
    return {fill: not figure[nearest] * direction > 0 for fill, figure in differences.items()}


def faithfulness_sentences(report: Mapping[str, Any], limit: float) -> list[str]:
    """Sentences on each method: against chance, against loudness, and what its own checks say.

    report: what `combine_clips` put together. limit: rank correlation beyond which a trace tells of the clip rather
    than of the weights. A method that does not beat a random ranking is named in a sentence with these words: the gate
    reads them.
    """
    fills = " and ".join(report["fills"])
    sentences = [f"Each of {report['clips']} clips of {report['utterances']} utterances was taken apart and put "
                 f"together in {report['steps']} steps, with {fills} in the place of sound."]
    for name, figures in report["methods"].items():
        title = METHODS[name].title
        sentences.append(_random_sentence(title, figures["against_random"], report["fills"]))
        sentences.append(_loudness_sentence(title, figures["against_energy"]))
        if figures["randomised_correlation"] is not None:
            sentences.append(_weights_sentence(title, figures["randomised_correlation"], limit))
        if figures["completeness_error"] is not None:
            sentences.append(f"The values of {title} miss their sum by {figures['completeness_error']:.1%} of what "
                             "they explain.")
        if figures["seed_agreement"] is not None:
            sentences.append(f"Drawn again with other sampling seeds {title} ranks moments with a correlation of "
                             f"{figures['seed_agreement']:.2f}.")
    sentences.append(_random_sentence("Loudness, which asks no model,", report["energy"]["against_random"],
                                      report["fills"]))
    return sentences


def _random_sentence(title: str, against: Mapping[str, Differences], fills: list[str]) -> str:
    failed = _failures_in_words(against)
    if failed:
        return f"{title} does not beat a random ranking in {', nor in '.join(failed)}."
    worst = {mode: min((against[mode][fill] for fill in fills), key=lambda figure: abs(figure["difference"]))
             for mode in BETTER}
    return (f"{title} beats a random ranking in deletion and insertion under every fill: in area by at least "
            f"{_interval_in_words(worst['deletion'])} and {_interval_in_words(worst['insertion'])}.")


def _loudness_sentence(title: str, against: Mapping[str, Differences]) -> str:
    failed = _failures_in_words(against)
    if not failed:
        return f"{title} is better than a ranking by loudness in deletion and insertion under every fill."
    return f"{title} is no better than a ranking by loudness in {', nor in '.join(failed)}."


def _failures_in_words(against: Mapping[str, Differences]) -> list[str]:
    """Where an interval does not exclude 0, in words with its figures."""
    return [f"{mode} under {fill} ({_interval_in_words(against[mode][fill])})" for mode, direction in BETTER.items()
            for fill, failed in failures(against[mode], direction).items() if failed]


def _interval_in_words(figure: Mapping[str, float]) -> str:
    return f"{figure['difference']:+.3f} [{figure['low']:+.3f}, {figure['high']:+.3f}]"


def _weights_sentence(title: str, correlation: float, limit: float) -> str:
    if abs(correlation) > limit:
        return (f"On random weights {title} ranks moments much as before (rank correlation {correlation:.2f}, beyond "
                f"{limit:g}): it tells of the clip more than of what the model learned.")
    return (f"On random weights {title} ranks moments otherwise (rank correlation {correlation:.2f}, within "
            f"{limit:g}).")


def method_sentences(report: Mapping[str, Any]) -> dict[str, str]:
    """A method to the sentence that says whether it beats chance, for the captions of its figures."""
    return {name: next((sentence for sentence in report["words"] if sentence.startswith(METHODS[name].title)), "")
            for name in report["methods"]}
