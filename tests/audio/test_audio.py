import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_ops.audio.signal import fit_window, measure_levels, window_spans


def tone(seconds: float, rate: int, frequency: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(int(seconds * rate)) / rate).astype(np.float32)


def test_levels_by_hand():
    square = np.tile(np.array([0.5, -0.5], np.float32), 4000)
    level = measure_levels(square, 16000, -60)
    assert (level.peak_dbfs, level.rms_dbfs) == pytest.approx((-6.02, -6.02), abs=0.01)
    assert level.silent_share == 0
    half = np.concatenate([square, np.zeros(8000, np.float32)])
    assert measure_levels(half, 16000, -60).silent_share == pytest.approx(0.5)
    assert measure_levels(np.zeros(0, np.float32), 16000, -60).silent_share == 1


@given(st.integers(1, 400), st.integers(1, 50), st.integers(1, 50))
def test_windows_cover_every_sample_and_stay_inside(total, length, hop):
    made = window_spans(total, length, min(hop, length))
    assert made[0][0] == 0 and made[-1][1] == total
    assert all(end - start == min(length, total) for start, end in made)
    assert all(b[0] <= a[1] for a, b in itertools.pairwise(made))


@given(st.integers(1, 300), st.integers(1, 100))
def test_fitting_keeps_the_middle(total, length):
    samples = np.arange(1, total + 1, dtype=np.float32)
    window, valid = fit_window(samples, length)
    assert window.shape == (length,) and valid == min(total, length)
    assert (window[valid:] == 0).all() and (np.diff(window[:valid]) == 1).all()
    if total > length:
        assert abs((window[0] - 1) - (total - window[-1])) <= 1
