"""The rule that needs the registry: not significantly worse than today's staging model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops.config import Evaluate, Limit
from ser_ops.evaluation import bootstrap
from ser_ops.evaluation.predictions import CLEAN, Predictions, read
from ser_ops.gate.rules import decide, spared

NAME = "not_worse_than_staging"
_SNR_DB = 0.01

Source = tuple[Path, str]  # predictions.csv and the model's name in it


def comparison(limit: Limit, settings: Evaluate,
               again: Callable[[], Predictions] | None = None) -> Callable[[Source, Source | None], dict[str, Any]]:
    """`not_worse_than` as promotion calls it: two tables of predictions in, a rule out.

    again: evaluates today's staging model on today's test partition; called when its own predictions do not fit.
    """
    def compare(candidate: Source, staging: Source | None) -> dict[str, Any]:
        ours, theirs = read(*candidate), read(*staging) if staging else None
        if again and theirs and unlike(ours, theirs):
            theirs = again()
        return not_worse_than(ours, theirs, limit, settings.resamples, settings.bootstrap_seed)
    return compare


def not_worse_than(candidate: Predictions, staging: Predictions | None, limit: Limit, resamples: int = 1000,
                   seed: int = 0) -> dict[str, Any]:
    """Blocked when staging's UAR is higher in at least `limit.limit` of the resamples, clean or over the noise grid.

    Paired bootstrap over the same utterances and the same mixtures; the rule is in the form of gate.json.
    candidate, staging: predictions of one model each; None when the registry has no staging, and the rule does not
    apply. Predictions of staging that lack an utterance or a mixture of the candidate's, or have another label or SNR
    there, cannot be compared, and block: let that model be evaluated on today's test partition first.
    """
    if staging is None:
        return spared(NAME, "there is no staging model yet", limit.reason).record()
    if other := unlike(candidate, staging):
        return decide(NAME, False, f"today's staging model cannot be compared: {other}: evaluate it on today's test "
                      "partition", limit.reason, None, limit.limit).record()
    order = np.argsort(candidate.utterances)  # so that the draw does not depend on the order of the file
    ours, theirs = candidate.right[0][:, order].astype(float), _right(candidate, staging)[:, order].astype(float)
    draws = bootstrap.by_utterance(candidate.true[order], resamples, seed)
    shares, words = [], []
    for name, places in (("on clean speech", [candidate.conditions.index(CLEAN)]), ("in noise", candidate.places())):
        if places:
            pair = bootstrap.paired(draws, ours[places].mean(0), theirs[places].mean(0), limit.limit)
            shares.append(pair.b_better)
            words.append(f"{name} in {pair.b_better:.1%} of resamples (UAR {pair.difference:+.3f}, {pair.low:+.3f} to "
                         f"{pair.high:+.3f})")
    passed = max(shares) < limit.limit
    verdict = f"today's staging model is better {' and '.join(words)}, {'below' if passed else 'not below'} " \
              f"{limit.limit:.0%}"
    return decide(NAME, passed, verdict, limit.reason, max(shares), limit.limit).record()


def _places(candidate: Predictions, staging: Predictions) -> tuple[list[int], list[int]]:
    """Where the candidate's conditions and utterances stand in staging's predictions, those that do."""
    at = {condition: number for number, condition in enumerate(staging.conditions)}
    place = {utterance: number for number, utterance in enumerate(staging.utterances)}
    return ([at[one] for one in candidate.conditions if one in at],
            [place[one] for one in candidate.utterances if one in place])


def _right(candidate: Predictions, staging: Predictions) -> np.ndarray:
    """Whether staging was right, in the candidate's order: bool (conditions, utterances)."""
    return staging.right[0][np.ix_(*_places(candidate, staging))]


def unlike(candidate: Predictions, staging: Predictions) -> str:
    """Why predictions of two models cannot be paired, in words; '' when they can."""
    conditions, utterances = _places(candidate, staging)
    if CLEAN not in candidate.conditions:
        return "the candidate was not evaluated on clean speech"
    if len(utterances) < len(candidate.utterances):
        return f"it was evaluated on {len(utterances)} of these {len(candidate.utterances)} utterances"
    if len(conditions) < len(candidate.conditions):
        return f"it was evaluated under {len(conditions)} of these {len(candidate.conditions)} conditions"
    if (staging.true[utterances] != candidate.true).any():
        return "its utterances had other labels"
    snr = staging.snr[np.ix_(conditions, utterances)]
    same = np.isclose(snr, candidate.snr, atol=_SNR_DB, rtol=0, equal_nan=True).all()
    return "" if same else "its mixtures were others"
