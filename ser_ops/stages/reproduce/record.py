"""What reports of the reproductions say of where their figures come from, and scores with their intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ser_ops.config import Params
from ser_ops.corpora import layouts
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation import bootstrap, metrics
from ser_ops.tracking.provenance import data_md5, git_commit, git_dirty


def provenance(params: Params, variants: Sequence[str], declared: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Corpora (synthetic, partial, missing of the papers' four), preset, seed, variants, commit and declared leaks."""
    found = read_json(params.paths.work / "ingest" / "corpora.json")
    there = {one.get("layout") for one in found.values()}
    return {"corpora": list(found), "synthetic": [name for name, one in found.items() if one["synthetic"]],
            "partial": [name for name, one in found.items() if one.get("expected") and not one["complete"]],
            "missing": [layout for layout in layouts.LAYOUTS if layout not in there],
            "preset": params.preset, "variants": list(variants), "seed": params.reproduce.seed,
            "declared": {protocol: list(words) for protocol, words in declared.items()},
            "resamples": params.evaluate.resamples, "confidence": params.evaluate.confidence,
            "commit": git_commit(), "dirty": git_dirty(), "data_md5": data_md5()}


def with_intervals(params: Params, tests: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Scores of answered rows: with intervals over utterances, of UAR over speakers too, and how many there are."""
    ordered = sorted(tests, key=lambda row: row["row"])
    true, predicted = (np.array([EMOTIONS.index(row[name]) for row in ordered]) for name in ("emotion", "predicted"))
    right, settings = (true == predicted).astype(float), params.evaluate
    speakers = [row["speaker"] for row in ordered]
    by_utterance = bootstrap.by_utterance(true, settings.resamples, settings.bootstrap_seed)
    by_speaker = bootstrap.by_speaker(true, speakers, settings.resamples, settings.bootstrap_seed)
    found: dict[str, Any] = dict(metrics.scores(true, predicted))
    for name, values in (("uar", by_utterance.uar(right)), ("accuracy", by_utterance.accuracy(right)),
                         ("uar_speakers", by_speaker.uar(right))):
        score, _, over = name.partition("_")
        for end, bound in zip(("low", "high"), bootstrap.interval(values, settings.confidence), strict=True):
            found["_".join(filter(None, (score, end, over)))] = bound
    return found | {"n": len(ordered), "speakers": len(set(speakers))}
