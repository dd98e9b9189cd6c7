"""The comparison with the model that a candidate would replace, on predictions of models of a chosen skill."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from ser_ops.config.evaluation import Limit
from ser_ops.config.params import load_params
from ser_ops.evaluation.predictions import CLEAN
from ser_ops.gate import comparison
from ser_ops.gate.comparison import not_worse_than

sys.path.append(str(Path(__file__).resolve().parents[1] / "evaluation"))
from made_predictions import made

LIMIT = Limit(limit=0.95, reason="not worse than today's model")


def test_without_staging_the_comparison_does_not_apply():
    rule = not_worse_than(made(), None, LIMIT)
    assert rule.passed and not rule.applies and rule.verdict.startswith("does not apply: ")


def test_an_identical_model_is_not_worse():
    rule = not_worse_than(made(), made(), LIMIT)
    assert rule.passed and rule.applies and rule.figure == 0


def test_a_clearly_worse_model_is_blocked():
    rule = not_worse_than(made(skill=0.5), made(skill=0.9, seed=1), LIMIT)
    assert not rule.passed and rule.figure == 1.0
    assert rule.verdict.startswith("blocked: today's staging model is better on clean speech in 100.0%")
    assert not_worse_than(made(skill=0.9), made(skill=0.5, seed=1), LIMIT).passed


def test_a_model_that_is_worse_only_in_noise_is_blocked():
    staging = made(skill=0.9)
    worse = staging.probabilities.copy()
    worse[:, 1:] = worse[:, 1:, :, ::-1]
    rule = not_worse_than(dataclasses.replace(staging, probabilities=worse), staging, LIMIT)
    assert not rule.passed and "on clean speech in 0.0%" in rule.verdict


def unlucky_with(predictions, speaker):
    """The same predictions, with every answer to one speaker wrong."""
    worse = predictions.probabilities.copy()
    own = np.array(predictions.speakers) == speaker
    worse[:, :, own] = np.eye(7)[(predictions.true[own] + 1) % 7]
    return dataclasses.replace(predictions, probabilities=worse)


def test_one_voice_that_staging_serves_better_is_no_claim_about_people():
    """Utterances alone would say so in every resample: a fifth of them is answered better by staging."""
    staging = made(skill=0.9)
    candidate = unlucky_with(staging, "corpus/s0")
    rule = not_worse_than(candidate, staging, LIMIT)
    assert rule.passed and 0.5 < rule.figure < 0.8 and rule.verdict.endswith("resampled: speakers")
    heard = dataclasses.replace(candidate, speakers=("corpus/a", "corpus/b") * 35)
    rule = not_worse_than(heard, staging, LIMIT)
    assert not rule.passed and rule.figure == 1.0
    assert rule.verdict.endswith("resampled: utterances, because of 2 speakers there is no interval over speakers "
                                 "(3 are needed)")


def test_the_order_of_a_file_does_not_matter():
    candidate, other = made(skill=0.5), made(skill=0.52, seed=1)
    order = np.random.default_rng(0).permutation(70)
    turned = dataclasses.replace(other, utterances=tuple(other.utterances[index] for index in order),
                                 speakers=tuple(other.speakers[index] for index in order),
                                 true=other.true[order], probabilities=other.probabilities[:, :, order],
                                 snr=other.snr[:, order])
    assert not_worse_than(candidate, other, LIMIT) == not_worse_than(candidate, turned, LIMIT)
    back = dataclasses.replace(candidate, utterances=candidate.utterances[::-1],
                               speakers=candidate.speakers[::-1], true=candidate.true[::-1],
                               probabilities=candidate.probabilities[:, :, ::-1], snr=candidate.snr[:, ::-1])
    assert not_worse_than(back, other, LIMIT) == not_worse_than(candidate, other, LIMIT)


@pytest.mark.parametrize(("change", "words"), [
    (lambda current: dataclasses.replace(current, utterances=tuple(f"other/{n}" for n in range(70))), "0 of these 70"),
    (lambda current: dataclasses.replace(current, conditions=(CLEAN,), probabilities=current.probabilities[:, :1],
                                         snr=current.snr[:1]), "1 of these 13 conditions"),
    (lambda current: dataclasses.replace(current, true=current.true[::-1]), "other labels"),
    (lambda current: dataclasses.replace(current, snr=current.snr + 1), "mixtures were others")])
def test_staging_that_was_evaluated_elsewhere_cannot_be_compared(change, words):
    rule = not_worse_than(made(), change(made()), LIMIT)
    assert not rule.passed and rule.figure is None and words in rule.verdict
    assert "evaluate it on today's test partition" in rule.verdict


PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")


def compare(*tables):
    return comparison.compare_with_current(PARAMS, "staging", *tables)


def test_promotion_hands_over_files(tmp_path):
    made(skill=0.5).write(tmp_path / "a.csv")
    made(("concat", "wav2vec"), skill=0.9, seed=1).write(tmp_path / "b.csv")
    assert not compare((tmp_path / "a.csv", "fusion"), (tmp_path / "b.csv", "concat")).passed
    assert compare((tmp_path / "b.csv", "wav2vec"), (tmp_path / "a.csv", "fusion")).passed
    assert not compare((tmp_path / "a.csv", "fusion"), None).applies


def test_staging_that_was_evaluated_elsewhere_is_evaluated_again(tmp_path, monkeypatch):
    made(skill=0.5).write(tmp_path / "a.csv")
    other = dataclasses.replace(made(), utterances=tuple(f"other/{number}" for number in range(70)))
    other.write(tmp_path / "b.csv")
    called = []

    def evaluate_current(params, alias):
        called.append(alias)
        return made(("staging",), skill=0.9, seed=1)

    monkeypatch.setattr(comparison, "evaluate_current", evaluate_current)
    rule = compare((tmp_path / "a.csv", "fusion"), (tmp_path / "b.csv", "fusion"))
    assert called == ["staging"] and not rule.passed and rule.figure == 1.0
    assert compare((tmp_path / "a.csv", "fusion"), (tmp_path / "a.csv", "fusion")).passed
    assert len(called) == 1
