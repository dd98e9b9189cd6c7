"""Speech by energy: known stretches are found again, hysteresis and hangover by hand, shares of an attribution."""

import numpy as np
import pytest
from explain_stand_ins import RATE
from hypothesis import given
from hypothesis import strategies as st

from ser_ops.config.explaining import Speech
from ser_ops.explain.playback import _hysteresis, inside_stretches, share_inside, share_of_time, speech_stretches
from ser_ops.explain.trace import Trace

SETTINGS = Speech(frame=0.025, hop=0.01, start_db=-25, stop_db=-35, hangover=0.1)


def loud(*stretches: tuple[float, float, float], seconds: float = 2.0) -> np.ndarray:
    """Faint noise (-80 dBFS) with noise of an amplitude between moments."""
    random = np.random.default_rng(1)
    samples = random.normal(0, 1e-4, int(seconds * RATE))
    for start, end, amplitude in stretches:
        first, last = int(start * RATE), int(end * RATE)
        samples[first:last] = random.normal(0, amplitude, last - first)
    return samples.astype(np.float32)


def test_two_words_are_found_where_they_are():
    stretches = speech_stretches(loud((0.3, 0.7, 0.1), (1.2, 1.6, 0.05)), RATE, SETTINGS)
    np.testing.assert_allclose(stretches, [[0.3, 0.7], [1.2, 1.6]], atol=0.025)


def test_a_short_pause_is_bridged_and_a_long_one_is_not():
    assert len(speech_stretches(loud((0.3, 0.6, 0.1), (0.66, 0.9, 0.1)), RATE, SETTINGS)) == 1
    assert len(speech_stretches(loud((0.3, 0.6, 0.1), (0.8, 0.9, 0.1)), RATE, SETTINGS)) == 2


def test_a_quiet_end_belongs_to_the_word_and_a_rustle_of_that_level_does_not():
    quiet = 0.1 * 10 ** (-30 / 20)
    stretches = speech_stretches(loud((0.3, 0.6, 0.1), (0.6, 0.8, quiet), (1.4, 1.6, quiet)), RATE, SETTINGS)
    np.testing.assert_allclose(stretches, [[0.3, 0.8]], atol=0.025)


def test_hysteresis_by_hand():
    level = np.array([-30.0, -20.0, -30.0, -40.0, -30.0, -40.0, -10.0])
    assert _hysteresis(level, -25, -35).tolist() == [True, True, True, False, False, False, True]


@pytest.mark.parametrize("samples", [np.zeros(RATE, np.float32), np.zeros(10, np.float32)])
def test_silence_has_no_speech(samples):
    assert speech_stretches(samples, RATE, SETTINGS).shape == (0, 2)


@given(st.integers(0, 2 ** 32 - 1), st.floats(0.001, 100))
def test_it_lies_within_the_window_without_overlap_however_loud_the_recording(seed, gain):
    random = np.random.default_rng(seed)
    samples = (random.normal(size=4000) * random.choice([0, 1e-4, 1], 40).repeat(100)).astype(np.float32)
    stretches = speech_stretches(samples, RATE, SETTINGS)
    if len(stretches):
        flat = stretches.reshape(-1)
        assert flat[0] >= 0 and flat[-1] <= 4000 / RATE and np.all(np.diff(flat) > 0)
    louder = samples * np.float32(2.0 ** round(np.log2(gain)))
    np.testing.assert_array_equal(stretches, speech_stretches(louder, RATE, SETTINGS))


def test_the_share_of_an_attribution_by_hand():
    half, seconds = np.array([[0.0, 1.0]]), np.linspace(0, 2, 201)
    assert share_of_time(half, 2.0) == 0.5
    for values, expected in ((np.ones(201), 0.5), (np.where(seconds < 1, 3.0, -5.0), 1.0),
                             (np.where(seconds < 1, 3.0, 1.0), 0.75), (-np.ones(201), None)):
        share = share_inside(Trace("shap", seconds, values, "log odds"), half, 2.0, 0.01)
        assert share is None if expected is None else share == pytest.approx(expected, abs=0.01)
    assert inside_stretches(np.zeros((0, 2)), seconds).sum() == 0
