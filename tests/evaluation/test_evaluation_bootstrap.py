"""Bootstrap: intervals that cover, keys that hold, and two models told apart or not."""

import numpy as np
import pytest
from scipy import stats

from ser_ops.evaluation import bootstrap, metrics


def _labels(n=140):
    return np.arange(n) % 7


def test_each_resample_is_what_metrics_would_say_of_it():
    rng = np.random.default_rng(1)
    true, predicted = rng.integers(0, 7, 50), rng.integers(0, 7, 50)
    draws = bootstrap.resample_utterances(true, 20, 3)
    uar, accuracy = draws.uar(true == predicted), draws.accuracy(true == predicted)
    for row, weights in enumerate(draws.weights.astype(int)):
        expected = metrics.scores(np.repeat(true, weights), np.repeat(predicted, weights))
        assert uar[row] == pytest.approx(expected["uar"]) and accuracy[row] == pytest.approx(expected["accuracy"])


def test_utterances_are_drawn_within_their_class():
    true = np.array([0] * 5 + [3] * 2 + [6])
    draws = bootstrap.resample_utterances(true, 200, 0)
    np.testing.assert_array_equal(draws.weights @ draws.classes, np.tile(np.bincount(true, minlength=7), (200, 1)))


def test_speakers_are_drawn_whole():
    true, speakers = _labels(42), [f"s{number // 7}" for number in range(42)]
    draws = bootstrap.resample_speakers(true, speakers, 100, 0)
    by_speaker = draws.weights.reshape(100, 6, 7)
    assert (by_speaker == by_speaker[:, :, :1]).all() and (by_speaker[:, :, 0].sum(1) == 6).all()


def test_speakers_that_differ_widen_the_interval():
    true, speakers = _labels(), [f"s{number // 28}" for number in range(140)]
    right = np.array([speaker in ("s0", "s1") for speaker in speakers], float)  # two of five are recognised, always
    wide = bootstrap.percentile_interval(bootstrap.resample_speakers(true, speakers, 500, 0).uar(right), 0.95)
    narrow = bootstrap.percentile_interval(bootstrap.resample_utterances(true, 500, 0).uar(right), 0.95)
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])


@pytest.mark.parametrize(("speakers", "heard", "unit", "why"), [
    (["a", "b", "c", "c"], (), "speakers", ""),
    (["a", "b", "c", "c"], ("d",), "speakers", ""),
    (["a", "b", "c", "c"], ("b", "d"), "utterances", "training heard 1 of the 3 speakers"),
    (["a", "a", "b", "b"], (), "utterances", "of 2 speakers there is no interval over speakers"),
    (["a"] * 4, (), "utterances", "of 1 speaker there is no interval over speakers"),
    (["a", "b", "c", ""], (), "utterances", "the speaker is not known")])
def test_what_is_drawn_is_what_can_be_claimed(speakers, heard, unit, why):
    true = np.array([0, 1, 2, 3])
    draws = bootstrap.resample_unseen(true, speakers, 100, 1, heard)
    assert draws.unit == unit and why in draws.instead and bool(draws.instead) == bool(why)
    other = bootstrap.resample_speakers(true, speakers, 100, 1) if unit == "speakers" else \
        bootstrap.resample_utterances(true, 100, 1)
    np.testing.assert_array_equal(draws.weights, other.weights)


def test_an_interval_over_speakers_covers_where_one_over_utterances_does_not():
    """Twenty voices that differ by 0.15: of 150 partitions the interval over speakers holds the truth about as often
    as it says."""
    rng, covered = np.random.default_rng(3), {"speakers": 0, "utterances": 0}
    speaker, true = np.repeat(np.arange(20), 35), np.tile(np.arange(7), 100)
    for number in range(150):
        skill = np.clip(rng.normal(0.6, 0.15, 20), 0, 1)
        right = (rng.random(700) < skill[speaker]).astype(float)
        for unit, draws in (("speakers", bootstrap.resample_speakers(true, list(map(str, speaker)), 200, number)),
                            ("utterances", bootstrap.resample_utterances(true, 200, number))):
            low, high = bootstrap.percentile_interval(draws.uar(right), 0.9)
            covered[unit] += low <= 0.6 <= high
    assert covered["speakers"] / 150 > 0.8 > 0.75 > covered["utterances"] / 150


def test_an_interval_agrees_with_scipy():
    rng = np.random.default_rng(0)
    right = (rng.random(200) < 0.6).astype(float)
    draws = bootstrap.resample_utterances(np.zeros(200, int), 4000, 1)
    ours = bootstrap.percentile_interval(draws.accuracy(right), 0.95)
    other = stats.bootstrap((right,), np.mean, n_resamples=4000, method="percentile", rng=rng).confidence_interval
    assert ours == pytest.approx(tuple(other), abs=0.01)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    rng = np.random.default_rng(5)
    covered = 0
    for number in range(200):
        right = (rng.random(140) < 0.7).astype(float)
        low, high = bootstrap.percentile_interval(bootstrap.resample_utterances(_labels(), 200, number).uar(right), 0.9)
        covered += low <= 0.7 <= high
    assert 0.80 <= covered / 200 <= 0.96


def test_the_draw_is_keyed():
    true = _labels()
    first, same, other = (bootstrap.resample_utterances(true, 50, seed).weights for seed in (1, 1, 2))
    assert (first == same).all() and not (first == other).all()


def test_a_class_that_a_resample_loses_is_left_out_of_its_mean():
    draws = bootstrap.Resamples(np.array([[1.0, 0.0]]), bootstrap.one_hot(np.array([0, 1])), "utterances")
    assert draws.uar(np.array([1.0, 0.0]))[0] == 1.0


def test_identical_models_beat_each_other_never():
    right = np.random.default_rng(0).random(140) < 0.5
    pair = bootstrap.compare_paired(bootstrap.resample_utterances(_labels(), 500, 0), right, right, 0.95)
    assert (pair.difference, pair.low, pair.high, pair.a_better, pair.b_better) == (0, 0, 0, 0, 0)


def test_a_clearly_better_model_is_recognised():
    rng = np.random.default_rng(0)
    a, b = rng.random(140) < 0.4, rng.random(140) < 0.8
    pair = bootstrap.compare_paired(bootstrap.resample_utterances(_labels(), 500, 0), a, b, 0.95)
    assert pair.b_better == 1 and pair.low > 0 and pair.difference == pytest.approx(b.mean() - a.mean())


def test_pairing_sees_what_two_intervals_do_not():
    """B gets all that A gets and five utterances more: the intervals overlap, the paired difference excludes 0."""
    rng = np.random.default_rng(2)
    a = (rng.random(140) < 0.5).astype(float)
    b = a.copy()
    b[np.flatnonzero(a == 0)[:8]] = 1
    draws = bootstrap.resample_utterances(_labels(), 1000, 0)
    assert bootstrap.percentile_interval(draws.uar(a), 0.95)[1] > bootstrap.percentile_interval(draws.uar(b), 0.95)[0]
    assert bootstrap.compare_paired(draws, a, b, 0.95).low > 0
