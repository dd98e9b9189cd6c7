"""How far the traces of the methods can be believed: what the model itself answers to them, against rankings that know
nothing of it.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ser_ops import config
from ser_ops.explain import believed, sanity
from ser_ops.explain.deletion import Answer, Cells, Curve, curves, order
from ser_ops.explain.fills import filled
from ser_ops.explain.heard import Heard
from ser_ops.explain.held import Centred, Held
from ser_ops.explain.intervals import Resamples, rank_correlation
from ser_ops.explain.methods import traces as traces_of
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.progress.bar import progress
from ser_ops.seeds import generator

MODES = tuple(believed.BETTER)
Areas = dict[tuple[str, str, str], np.ndarray]  # ranking, mode, fill: (clips,)


def measure(subject: Subject, heard: Sequence[Heard], traces: Sequence[Mapping[str, Trace]], answering: Answer,
            settings: config.Explain, background: Tensor | None = None) -> dict[str, Any]:
    """What explanations.json holds under "faithfulness".

    heard (n,), n at least 1, and traces (n,) of each for the class that the model answers, the same methods for each.
    background: features that SHAP's traces were made against; None where there are none. Clips of the same utterance
    count as one. Areas are in [0, 1]; a difference is the method's area less that of the other ranking, and each has
    the percentile interval of a bootstrap over utterances.
    """
    chosen = settings.faithfulness
    methods, targets = list(traces[0]), [_answer(answering, clip) for clip in heard]
    resamples = Resamples.of([clip.row.utterance for clip in heard], chosen.resamples, chosen.confidence, settings.seed)
    shares = np.arange(chosen.steps + 1) / chosen.steps
    areas, heights = _areas(subject, heard, targets, traces, answering, settings, shares)

    def figures(name: str) -> dict[str, Any]:
        return {mode: {fill: _named("area", resamples.mean(areas[name, mode, fill])) |
                       {"curve": np.round(heights[name, mode, fill], 5).tolist()} for fill in chosen.fills}
                for mode in MODES}

    def against(name: str, other: str) -> dict[str, Any]:
        return {mode: {fill: _named("difference", resamples.mean(areas[name, mode, fill] - areas[other, mode, fill]))
                       for fill in chosen.fills} for mode in MODES}

    found: dict[str, Any] = {
        "fills": list(chosen.fills), "steps": chosen.steps, "clips": len(heard),
        "utterances": resamples.weights.shape[1], "cell_seconds": chosen.cell_seconds,
        "confidence": chosen.confidence, "random_draws": chosen.random_draws, "shares": shares.tolist(),
        "methods": {}, "random": figures("random"), "energy": figures("energy")}
    for name in (*methods, "energy"):
        one = figures(name) | {"against_random": against(name, "random")}
        one["beats_random"] = believed.better(one["against_random"])
        if name == "energy":
            found["energy"] = one
        else:
            found["methods"][name] = one | {"against_energy": against(name, "energy"), "completeness_error": None,
                                            "seed_agreement": None}
    some = _spread(heard, chosen.randomised_clips)
    stages = sanity.correlations(subject, [heard[i] for i in some], [targets[i] for i in some],
                                 [traces[i] for i in some], background, settings)
    for name, one in found["methods"].items():
        one["randomised_correlation"] = stages["all"][name]
        one["randomised_head_correlation"] = stages["head"][name]
    if "shap" in found["methods"] and background is not None:
        found["methods"]["shap"] |= {
            "completeness_error": completeness(subject, heard, targets, traces, background),
            "seed_agreement": _agreement(subject, heard, targets, background, settings)}
    return found | {"words": believed.words(found, chosen.randomised_limit)}


def completeness(subject: Subject, heard: Sequence[Heard], targets: Sequence[int],
                 traces: Sequence[Mapping[str, Trace]], background: Tensor) -> float:
    """How far SHAP's values miss their sum (paper 1, equation 25), as a share of what they explain.

    Mean over clips of |sum of the trace - (score - mean score of the background)|, over the mean of that difference's
    size. The score is the class's logit less the mean of all seven.
    """
    gaps, reach = [], []
    with torch.no_grad():
        for clip, target, own in zip(heard, targets, traces, strict=True):
            scores = Centred(Held(subject.model, clip.batch.waveform[0], clip.batch.valid[0]))
            base = float(scores(background.to(subject.device))[:, target].double().mean())
            explained = float(scores(clip.batch.features)[0, target]) - base
            gaps.append(abs(float(own["shap"].values.sum()) - explained))
            reach.append(abs(explained))
    return float(np.sum(gaps) / (np.sum(reach) or 1.0))


def _agreement(subject: Subject, heard: Sequence[Heard], targets: Sequence[int], background: Tensor,
               settings: config.Explain) -> float:
    """Spearman's correlation of SHAP's traces under different sampling seeds: mean over all pairs and clips."""
    chosen, found = settings.faithfulness, []
    for position in progress(_spread(heard, chosen.seed_clips), "SHAP, other seeds"):
        clip = heard[position]
        cells = Cells.of(clip.valid, chosen.cell_seconds, subject.sample_rate)
        drawn = [cells.mean(traces_of(subject, clip, targets[position], background, settings, f" sampling {seed}",
                                      ("shap",))["shap"]) for seed in chosen.shap_seeds]
        found += [rank_correlation(one, other) for one, other in combinations(drawn, 2)]
    return float(np.mean(found))


def _areas(subject: Subject, heard: Sequence[Heard], targets: Sequence[int], traces: Sequence[Mapping[str, Trace]],
           answering: Answer, settings: config.Explain, shares: np.ndarray) -> tuple[Areas, Areas]:
    """Area under each curve of each clip (clips,), and each curve's mean over clips at `shares`.

    Rankings are the methods, "energy", and "random", the mean of several draws.
    """
    chosen = settings.faithfulness
    areas: dict[tuple[str, str, str], list[float]] = {}
    heights: dict[tuple[str, str, str], list[np.ndarray]] = {}
    for clip, target, own in progress(zip(heard, targets, traces, strict=True), "faithfulness", len(heard)):
        cells = Cells.of(clip.valid, chosen.cell_seconds, subject.sample_rate)
        draw = generator(settings.seed, "rankings", clip.key)
        values = {name: cells.mean(trace) for name, trace in own.items()} | {"energy": cells.rms(clip.window)}
        rankings = {name: order(one, draw) for name, one in values.items()}
        rankings |= {f"random {number}": draw.permutation(len(cells)) for number in range(chosen.random_draws)}
        for fill in chosen.fills:
            empty = filled(clip.window, clip.valid, fill, settings.seed, clip.key)
            found = curves(answering, clip.window, clip.valid, target, cells, empty, rankings, chosen.steps,
                           chosen.fade_seconds)
            for mode in MODES:
                drawn: dict[str, list[Curve]] = {}
                for name, pair in found.items():
                    drawn.setdefault(name.split()[0], []).append(getattr(pair, mode))
                for name, some in drawn.items():
                    areas.setdefault((name, mode, fill), []).append(float(np.mean([one.area for one in some])))
                    heights.setdefault((name, mode, fill), []).append(
                        np.mean([np.interp(shares, one.shares, one.probabilities) for one in some], axis=0))
    return ({key: np.array(some) for key, some in areas.items()},
            {key: np.mean(some, axis=0) for key, some in heights.items()})


def _answer(answering: Answer, clip: Heard) -> int:
    return int(answering(torch.from_numpy(clip.window)[None], torch.tensor([clip.valid]))[0].argmax())


def _spread(heard: Sequence[Heard], number: int) -> list[int]:
    """Positions of `number` clips, evenly over all of them: clips come class by class."""
    return sorted({round(place) for place in np.linspace(0, len(heard) - 1, min(number, len(heard)))})


def _named(name: str, figures: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip((name, "low", "high"), figures, strict=True))
