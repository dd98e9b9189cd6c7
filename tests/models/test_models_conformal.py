"""Sets at a promised coverage: kept on new answers, and those of another library."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_ops.emotions import EMOTIONS
from ser_ops.models.conformal import emotion_set, scores, threshold


def answers(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Classes and a fallible model's probabilities of them."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 7, number)
    logits = rng.normal(0, 1, (number, 7)) + 1.5 * np.eye(7)[true]
    odds = np.exp(logits)
    return true, odds / odds.sum(1, keepdims=True)


@pytest.mark.parametrize("coverage", [0.7, 0.9, 0.95])
def test_the_promise_is_kept_on_new_answers_whatever_the_model(coverage):
    held = []
    for seed in range(60):
        most = threshold(scores(*answers(200, seed)), coverage)
        true, chances = answers(500, 1000 + seed)
        held.append(np.mean([EMOTIONS[label] in emotion_set(row, most)
                             for label, row in zip(true, chances, strict=True)]))
    # In the mean over calibrations between the promise and 1 / (n + 1) more; each is off by chance.
    assert coverage - 0.008 < np.mean(held) < coverage + 1 / 201 + 0.008


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.97])
def test_sets_are_those_of_crepes(coverage):
    crepes = pytest.importorskip("crepes", reason="crepes is not installed: make test")
    true, chances = answers(300, 1)
    _, new = answers(200, 2)
    other = crepes.ConformalClassifier().fit(1 - chances[np.arange(300), true])
    theirs = other.predict_set(1 - new, confidence=coverage, smoothing=False)
    most = threshold(scores(true, chances), coverage)
    ours = np.array([[emotion in emotion_set(row, most) for emotion in EMOTIONS] for row in new])
    # Kept scores are rounded up to a ten-thousandth: a set is theirs, or holds what lies that close to the limit.
    assert (ours >= theirs).all() and (ours != theirs).sum() <= 1


@settings(max_examples=100)
@given(number=st.integers(1, 50), coverage=st.floats(0.01, 0.99))
def test_more_coverage_never_gives_a_smaller_set(number, coverage):
    kept = scores(*answers(number, number))
    chances = answers(1, 5)[1][0]
    lower, higher = (emotion_set(chances, threshold(kept, share)) for share in (coverage / 2, coverage))
    assert set(lower) <= set(higher)
    assert list(higher) == sorted(higher, key=lambda emotion: -chances[EMOTIONS.index(emotion)])


def test_too_few_scores_promise_nothing_but_everything():
    assert set(emotion_set(np.eye(7)[0], threshold([10, 20], 0.9))) == set(EMOTIONS)
