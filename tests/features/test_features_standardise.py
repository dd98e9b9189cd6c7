"""Streaming mean and deviation against NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_ops.config.models import Features
from ser_ops.features.index_map import to_grid
from ser_ops.features.standardise import Moments, sum_moments


def small(layout: str) -> Features:
    return Features(sample_rate=16000, seconds=0.2, frame=512, hop=800, mfcc=3, mels=128, layout=layout, level="keep",
                    centre=False, standardise=True)


@pytest.mark.parametrize("layout", ["serial", "frames"])
@settings(max_examples=25)
@given(cuts=st.lists(st.integers(0, 40), max_size=5), seed=st.integers(0, 1000))
def test_any_cut_gives_the_whole(layout: str, cuts: list[int], seed: int) -> None:
    chosen = small(layout)
    shape = (5, 5) if layout == "frames" else (25,)
    rows = (np.random.default_rng(seed).standard_normal((40, *shape)) * 3 - 500).astype(np.float32)
    parts = [Moments.of(torch.from_numpy(part), chosen) for part in np.split(rows, sorted(cuts))]
    result = sum_moments(parts, chosen).standardisation()
    values = to_grid(rows.astype(np.float64), chosen)
    np.testing.assert_allclose(result["mean"], values.mean((0, 2)), rtol=1e-12)
    np.testing.assert_allclose(result["std"], values.std((0, 2)), rtol=1e-9)


def test_a_kind_that_never_varies_is_left_alone() -> None:
    result = Moments.of(np.full((4, 25), 2.0, np.float32), small("serial")).standardisation()
    assert result == {"mean": [2.0] * 5, "std": [1.0] * 5}
    assert Moments.none(small("serial")).standardisation() == {"mean": [0.0] * 5, "std": [1.0] * 5}
