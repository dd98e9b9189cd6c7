"""Windows of a stream against those of a whole recording."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_ops.audio.signal import window_spans
from ser_ops.inference.recogniser import is_silent, windows


@settings(max_examples=200)
@given(total=st.integers(1, 400), length=st.integers(1, 60), hop=st.integers(1, 90), cuts=st.lists(st.integers(0, 400)))
def test_a_stream_has_the_windows_of_the_whole_however_it_is_cut(total, length, hop, cuts):
    whole = np.arange(1, total + 1, dtype=np.float32)
    blocks = np.split(whole, sorted(cut for cut in cuts if cut <= total))
    streamed = list(windows(blocks, length, hop))
    expected = window_spans(total, length, hop)
    assert [(start, start + len(samples)) for start, samples in streamed] == expected
    assert all((samples == whole[start:start + len(samples)]).all() for start, samples in streamed)
    assert expected[-1][1] == total


@pytest.mark.parametrize(("samples", "expected"), [
    (np.zeros(0), True), (np.zeros(10), True), ([0.0, 9e-4, -9e-4], True),
    ([0.0, 2e-3, -2e-3], False), ([0.0, -2e-3], False)])
def test_silence_is_what_stays_below_minus_60_dbfs(samples, expected):
    assert is_silent(np.asarray(samples, np.float32)) is expected
