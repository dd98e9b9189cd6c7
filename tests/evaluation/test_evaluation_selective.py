"""The curve of error over answers given, and promised sets, on predictions whose chances are what they say."""

import numpy as np
import pytest

from ser_ops.evaluation.bootstrap import resample_utterances
from ser_ops.evaluation.predictions import CLEAN, Condition, Predictions
from ser_ops.evaluation.selective import POINTS, promised, risk_coverage, selective
from ser_ops.models.conformal import scores


def made(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities by which the truth itself was drawn: (classes, probabilities)."""
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet(np.full(7, 0.4), number)
    return (rng.random(number)[:, None] > chances.cumsum(1)).sum(1).clip(max=6), chances


def test_the_surest_answers_err_least_and_all_err_as_accuracy_says():
    true, chances = made(4000, 1)
    curve = risk_coverage(true, chances)
    errors = [point["error"] for point in curve]
    assert len(curve) == POINTS and curve[-1]["answered"] == 1
    assert errors[-1] == pytest.approx((chances.argmax(1) != true).mean(), abs=1e-6)
    assert errors[0] < errors[-1] / 2 and (np.diff(errors) > -0.01).all()
    half = np.argsort(-chances.max(1))[:2000]
    assert curve[POINTS // 2 - 1]["error"] == pytest.approx((chances.argmax(1) != true)[half].mean(), abs=1e-6)


@pytest.mark.parametrize("number", [1, 3, 19])
def test_a_few_answers_give_as_many_points(number):
    assert len(risk_coverage(*made(number, 2))) == number


def test_a_promise_is_kept_and_the_sure_err_less():
    true, chances = made(4000, 3)
    figures = promised(true, chances, scores(*made(2000, 4)), 0.9)
    assert figures["held"] == pytest.approx(0.9, abs=0.02) and 1 < figures["size"] < 7 and figures["n"] == 4000
    assert figures["error"] < (chances.argmax(1) != true).mean()
    assert promised(true, chances, [1], 0.9) == {"held": 1.0, "sure": 0.0, "error": None, "size": 7.0, "n": 4000}


def test_places_are_clean_noisy_and_ranges_of_snr():
    parts = [made(50, seed) for seed in range(3)]
    true = parts[0][0]
    conditions = (CLEAN, Condition("white", 0.5, 1), Condition("white", 0.5, 2))
    snr = np.stack([np.full(50, np.nan), np.full(50, -3.0), np.linspace(5, 25, 50)])
    predictions = Predictions(("spectral",), tuple(map(str, range(50))), ("",) * 50, true, conditions,
                              np.stack([chances for _, chances in parts])[None], snr)
    draws = resample_utterances(true, 200, seed=1)
    figures = selective(predictions, "spectral", scores(*made(100, 9)), (0.8, 0.9), draws, 0.95)
    rows = {(row["coverage"], row["place"]): row["n"] for row in figures["sets"]}
    places = {"clean": 50, "noisy": 100, "below 0 dB": 50, "0 to 10 dB": 13, "10 to 20 dB": 24, "from 20 dB": 13}
    assert rows == {(coverage, place): n for coverage in (0.8, 0.9) for place, n in places.items()}
    for row in figures["sets"]:
        assert (row["held_low"] < row["held"] < row["held_high"]) if row["place"] == "clean" else "held_low" not in row
    assert set(figures["curves"]) == {"clean", "noisy"} and figures["validation_answers"] == 100
