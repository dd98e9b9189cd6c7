"""The rule that needs the registry: a candidate is not significantly worse than the model that it would replace."""

from pathlib import Path

import numpy as np

from ser_ops.config.evaluation import Limit
from ser_ops.config.params import Params
from ser_ops.evaluation import bootstrap
from ser_ops.evaluation.predictions import (
    CLEAN,
    Predictions,
    noise_grid,
    read_predictions,
    transmission_conditions,
)
from ser_ops.gate.rules import Rule, decide, missing_figure, not_applicable

RULE = "not_worse_than_staging"
_SNR_DB = 0.01      # decibels by which two SNR of the same mixture may differ: predictions.csv is rounded

Evaluated = tuple[Path, str]    # predictions.csv, and the name of a model in it


def compare_with_current(params: Params, alias: str, candidate: Evaluated, current: Evaluated | None) -> Rule:
    """The rule not_worse_than_staging for a candidate and the model that stands under `alias` now (None: no model).

    A current model that was evaluated on other utterances or mixtures is evaluated again on today's test partition.
    Raises UserError when a table of predictions cannot be read or the current model cannot be fetched.
    """
    ours, theirs = read_predictions(*candidate), read_predictions(*current) if current else None
    if theirs and why_not_comparable(ours, theirs):
        theirs = evaluate_current(params, alias)
    return not_worse_than(ours, theirs, params.gate.not_worse_than_staging, params.evaluate.resamples,
                          params.evaluate.bootstrap_seed)


def evaluate_current(params: Params, alias: str) -> Predictions:
    """Predictions of the registered model under `alias` for today's test partition, under today's conditions."""
    from ser_ops.evaluation.robustness import evaluation_job, predict_grid
    from ser_ops.manifest import unaltered, validated_noise
    from ser_ops.tracking.models import fetch_model

    folder = fetch_model(params, f"models:/{params.tracking.registered_model}@{alias}")
    rows = unaltered(params.paths.work, "test")
    conditions = [CLEAN, *noise_grid(validated_noise(params.paths.work), params.evaluate),
                  *transmission_conditions(params.evaluate)]
    job = evaluation_job(params, {alias: folder}, rows)
    return predict_grid(job, [row.speaker for row in rows], np.array([row.label for row in rows]), conditions,
                        params.compute.workers)


def not_worse_than(candidate: Predictions, current: Predictions | None, limit: Limit, resamples: int = 1000,
                   seed: int = 0) -> Rule:
    """Blocks when the current model's UAR is higher in at least `limit.limit` of the resamples, clean or in noise.

    Paired bootstrap over the same speakers, utterances and mixtures (`ser_ops.evaluation.bootstrap`): both models are
    there for people whom they have not heard. Of too few speakers it draws utterances and says so. candidate, current:
    predictions of one model each. The rule does not apply when `current` is None. It blocks when the two cannot be
    paired (`why_not_comparable`).
    """
    if current is None:
        return not_applicable(RULE, "there is no staging model yet", limit.reason)
    if difference := why_not_comparable(candidate, current):
        return missing_figure(RULE, f"today's staging model cannot be compared: {difference}: evaluate it on today's "
                              "test partition", limit)
    order = np.argsort(candidate.utterances)  # so that the draw does not depend on the order of the file
    ours = candidate.right[0][:, order].astype(float)
    theirs = current.right[0][np.ix_(*_shared(candidate, current))][:, order].astype(float)
    speakers = [candidate.speakers[index] for index in order]
    draws = bootstrap.resample_unseen(candidate.true[order], speakers, resamples, seed)
    shares, words = [], []
    for name, conditions in (("on clean speech", [candidate.conditions.index(CLEAN)]),
                             ("in noise", candidate.noisy_indices())):
        if conditions:
            pair = bootstrap.compare_paired(draws, ours[conditions].mean(0), theirs[conditions].mean(0), limit.limit)
            shares.append(pair.b_better)
            words.append(f"{name} in {pair.b_better:.1%} of resamples (UAR {pair.difference:+.3f}, {pair.low:+.3f} to "
                         f"{pair.high:+.3f})")
    passed = max(shares) < limit.limit
    verdict = f"today's staging model is better {' and '.join(words)}, {'below' if passed else 'not below'} " \
              f"{limit.limit:.0%}; resampled: {draws.unit}{f', because {draws.instead}' if draws.instead else ''}"
    return decide(RULE, passed, verdict, limit.reason, max(shares), limit.limit)


def why_not_comparable(candidate: Predictions, current: Predictions) -> str:
    """Why predictions of two models cannot be paired, in words; '' when they can.

    The current model must have answered every utterance and every mixture of the candidate's, with the same labels.
    """
    conditions, utterances = _shared(candidate, current)
    if CLEAN not in candidate.conditions:
        return "the candidate was not evaluated on clean speech"
    if len(utterances) < len(candidate.utterances):
        return f"it was evaluated on {len(utterances)} of these {len(candidate.utterances)} utterances"
    if len(conditions) < len(candidate.conditions):
        return f"it was evaluated under {len(conditions)} of these {len(candidate.conditions)} conditions"
    if (current.true[utterances] != candidate.true).any():
        return "its utterances had other labels"
    snr = current.snr[np.ix_(conditions, utterances)]
    same = np.isclose(snr, candidate.snr, atol=_SNR_DB, rtol=0, equal_nan=True).all()
    return "" if same else "its mixtures were others"


def _shared(candidate: Predictions, current: Predictions) -> tuple[list[int], list[int]]:
    """Indices of the candidate's conditions and utterances in the current model's predictions, of those it has."""
    conditions = {condition: index for index, condition in enumerate(current.conditions)}
    utterances = {utterance: index for index, utterance in enumerate(current.utterances)}
    return ([conditions[condition] for condition in candidate.conditions if condition in conditions],
            [utterances[utterance] for utterance in candidate.utterances if utterance in utterances])
