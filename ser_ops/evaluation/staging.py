"""The rule that needs the registry: not significantly worse than today's staging model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops.config import Evaluate, Limit
from ser_ops.evaluation import bootstrap
from ser_ops.evaluation.predictions import CLEAN, Predictions, read
from ser_ops.evaluation.rules import decide, spared

NAME = "not_worse_than_staging"
_SNR_DB = 0.01

Source = tuple[Path, str]  # predictions.csv and the model's name in it


def comparison(limit: Limit, settings: Evaluate) -> Callable[[Source, Source | None], dict[str, Any]]:
    """`not_worse_than` as promotion calls it: two tables of predictions in, a rule out."""
    def compare(candidate: Source, staging: Source | None) -> dict[str, Any]:
        return not_worse_than(read(*candidate), read(*staging) if staging else None, limit, settings.resamples,
                              settings.bootstrap_seed)
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
    aligned = _aligned(candidate, staging)
    if isinstance(aligned, str):
        return decide(NAME, False, f"today's staging model cannot be compared: {aligned}: evaluate it on today's test "
                      "partition", limit.reason, None, limit.limit).record()
    order = np.argsort(candidate.utterances)  # so that the draw does not depend on the order of the file
    right, other = candidate.right[0][:, order].astype(float), aligned[:, order].astype(float)
    draws = bootstrap.by_utterance(candidate.true[order], resamples, seed)
    shares, words = [], []
    for name, places in (("on clean speech", [candidate.conditions.index(CLEAN)]), ("in noise", candidate.places())):
        if not places:
            continue
        pair = bootstrap.paired(draws, right[places].mean(0), other[places].mean(0), limit.limit)
        shares.append(pair.b_better)
        words.append(f"{name} in {pair.b_better:.1%} of resamples (UAR {pair.difference:+.3f}, {pair.low:+.3f} to "
                     f"{pair.high:+.3f})")
    passed = max(shares) < limit.limit
    verdict = f"today's staging model is better {' and '.join(words)}, {'below' if passed else 'not below'} " \
              f"{limit.limit:.0%}"
    return decide(NAME, passed, verdict, limit.reason, max(shares), limit.limit).record()


def _aligned(candidate: Predictions, staging: Predictions) -> np.ndarray | str:
    """Staging's right answers in the candidate's order, bool (conditions, utterances), or why they do not fit."""
    place = {utterance: number for number, utterance in enumerate(staging.utterances)}
    at = {condition: number for number, condition in enumerate(staging.conditions)}
    utterances = [place[one] for one in candidate.utterances if one in place]
    if len(utterances) < len(candidate.utterances):
        return f"it was evaluated on {len(utterances)} of these {len(candidate.utterances)} utterances"
    conditions = [at[one] for one in candidate.conditions if one in at]
    if len(conditions) < len(candidate.conditions):
        return f"it was evaluated under {len(conditions)} of these {len(candidate.conditions)} conditions"
    if CLEAN not in candidate.conditions:
        return "the candidate was not evaluated on clean speech"
    if (staging.true[utterances] != candidate.true).any():
        return "its utterances had other labels"
    snr = staging.snr[np.ix_(conditions, utterances)]
    if not np.isclose(snr, candidate.snr, atol=_SNR_DB, rtol=0, equal_nan=True).all():
        return "its mixtures were others"
    return staging.right[0][np.ix_(conditions, utterances)]
