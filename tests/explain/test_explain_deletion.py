"""Deletion and insertion against areas by hand; fills against the sound they replace; intervals against theory."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_ops.explain.deletion import FILLS, Cells, fill_window, rank_cells, ranking_curves, removal_masks
from ser_ops.explain.intervals import Resamples, rank_correlation
from ser_ops.explain.trace import Trace
from ser_ops.seeds import generator

RATE, SIZE = 1000, 1000     # a second of ones, in ten cells of 100 samples
CELLS = Cells.of(SIZE, 0.1, RATE)


class Cue:
    """The probability of class 0 is the share of the cue's samples that are left."""

    def __init__(self, *cells: int) -> None:
        self.inside = np.concatenate([np.arange(100 * cell, 100 * cell + 100) for cell in cells])
        self.calls: list[tuple[int, ...]] = []

    def __call__(self, windows, valid):
        self.calls.append(tuple(windows.shape))
        share = windows[:, self.inside].double().mean(1)
        return torch.stack([share, 1 - share], 1).log()


def taken_apart(cue, rankings, steps=10, valid=SIZE, length=SIZE):
    window = np.zeros(length, np.float32)
    window[:valid] = 1
    return ranking_curves(cue, window, valid, 0, Cells.of(valid, 0.1, RATE), np.zeros(length, np.float32), rankings,
                          steps, 0.0)


PERFECT = np.array([3, *(cell for cell in range(10) if cell != 3)])


def test_areas_by_hand():
    curves = taken_apart(Cue(3), {"perfect": PERFECT, "reversed": PERFECT[::-1], "in time": np.arange(10)})
    # gone in the first of ten steps: 1 falls to 0 within 0.1, half of which is under the line
    assert curves["perfect"].deletion.area == pytest.approx(0.05) and \
        curves["perfect"].insertion.area == pytest.approx(0.95)
    assert curves["reversed"].deletion.area == pytest.approx(0.95) and \
        curves["reversed"].insertion.area == pytest.approx(0.05)
    assert curves["in time"].deletion.area == pytest.approx(0.35)
    np.testing.assert_allclose(curves["in time"].deletion.probabilities, [1, 1, 1, 1, *[0] * 7], atol=1e-6)
    np.testing.assert_allclose(curves["in time"].deletion.shares, np.arange(11) / 10)


def test_a_cue_of_two_cells_in_five_steps_by_hand():
    curves = taken_apart(Cue(3, 7), {"one": np.array([3, 0, 7, 1, 2, 4, 5, 6, 8, 9])}, steps=5)["one"]
    np.testing.assert_allclose(curves.deletion.probabilities, [1, 0.5, 0, 0, 0, 0], atol=1e-6)
    assert curves.deletion.area == pytest.approx(0.2 * (0.75 + 0.25))
    assert curves.insertion.area == pytest.approx(0.2 * (0.25 + 0.75 + 3))


def test_all_steps_of_all_curves_are_asked_at_once_and_both_ends_once():
    cue = Cue(3)
    taken_apart(cue, {"one": PERFECT, "other": PERFECT[::-1]})
    assert cue.calls == [(2 + 2 * 2 * 9, SIZE)]


@settings(max_examples=25)
@given(st.permutations(range(10)), st.sets(st.integers(0, 9), min_size=1), st.integers(2, 10))
def test_what_deletion_takes_insertion_brings(ranking, cells, steps):
    ranking = np.array(ranking)
    curves = taken_apart(Cue(*cells), {"one": ranking, "back": ranking[::-1]}, steps)
    forwards, back = curves["one"], curves["back"]
    assert forwards.deletion.area + forwards.insertion.area == pytest.approx(1, abs=1e-5)
    assert 0 <= forwards.deletion.area <= 1
    if steps in (2, 5, 10):     # equal steps: what went first comes last
        assert forwards.deletion.area == pytest.approx(back.insertion.area, abs=1e-5)
    best = taken_apart(Cue(*cells), {"best": rank_cells(np.isin(np.arange(10), list(cells)).astype(float),
                                                        generator(1, "ties"))}, steps)["best"]
    assert best.deletion.area <= forwards.deletion.area + 1e-5


def test_padding_is_neither_ranked_nor_touched():
    seen = []

    def answer(windows, valid):
        seen.append((windows[:, 600:].abs().max().item(), set(valid.tolist())))
        return torch.zeros(len(windows), 2)

    filled = fill_window(np.ones(SIZE, np.float32), 600, "noise", 1, "k")
    curves = ranking_curves(answer, np.ones(SIZE, np.float32), 600, 0, Cells.of(600, 0.1, RATE), filled,
                            {"one": np.arange(6)}, 10, 0.005)
    assert seen == [(1.0, {600})] and len(curves["one"].deletion.shares) == 7


@settings(max_examples=60)
@given(st.integers(1, 3000), st.integers(2, 12), st.sampled_from([0.0, 0.004, 0.05, 9.0]), st.integers(0, 99))
def test_masks_cover_what_the_shares_say_and_no_edge_is_sudden(valid, steps, fade, seed):
    cells = Cells.of(valid, 0.05, RATE)
    assert cells.edges[0] == 0 and cells.edges[-1] == valid and np.ptp(np.diff(cells.edges)) <= 1
    shares, masks = removal_masks(cells, generator(seed, "r").permutation(len(cells)), steps, fade, 3000)
    assert shares[0] == 0 and shares[-1] == 1 and (np.diff(shares) > 0).all() and len(shares) <= steps + 1
    assert ((masks >= 0) & (masks <= 1)).all() and not masks[0].any() and (masks[-1, :valid] == 1).all()
    assert not masks[:, valid:].any()
    if len(cells) > 1:      # ramps are as long inside as outside: on the whole they cover what they should
        np.testing.assert_allclose(masks.sum(1) / valid, shares, atol=1e-4)
    if fade:
        steepest = 1 / min(fade * RATE, np.diff(cells.edges).min())
        assert np.abs(np.diff(masks[:, :valid])).max(initial=0) <= steepest + 1e-5


def test_cells_read_a_trace_and_the_sound():
    rising = Trace("made", np.array([0.0, 1.0]), np.array([0.0, 1.0]), "")
    np.testing.assert_allclose(CELLS.mean(rising), np.arange(10) / 10 + 0.05)
    np.testing.assert_allclose(CELLS.seconds, np.arange(10) / 10 + 0.05)
    peak = Trace("made", np.array([0.30, 0.35, 0.40]), np.array([0.0, 1.0, 0.0]), "")
    assert CELLS.mean(peak)[3] == pytest.approx(0.52) and CELLS.mean(peak)[2] == 0    # of five points
    window = np.repeat(np.arange(10.0), 100).astype(np.float32)
    np.testing.assert_allclose(CELLS.rms(window), np.arange(10))


def test_equal_values_are_not_ranked_by_their_time():
    first = [rank_cells(np.zeros(10), generator(seed, "ties"))[0] for seed in range(300)]
    assert len(set(first)) == 10
    np.testing.assert_array_equal(rank_cells(np.array([1.0, 3.0, 2.0]), generator(1, "t")), [1, 2, 0])


def coloured(samples=16000, seed=1):
    noise = generator(seed, "coloured").normal(size=samples)
    return np.convolve(noise, [1, 0.9, 0.8, 0.5], "same").astype(np.float32) * 0.05


def test_noise_has_the_level_and_the_spectrum_of_what_it_replaces():
    sound = coloured()
    made = FILLS["noise"](sound, 1, "clip")
    assert np.sqrt(np.mean(made**2)) == pytest.approx(np.sqrt(np.mean(sound**2)), rel=1e-5)
    bands = [np.add.reduceat(np.abs(np.fft.rfft(samples))**2, np.arange(0, 8000, 500)) for samples in (sound, made)]
    assert np.abs(10 * np.log10(bands[0] / bands[1])).max() < 1.5
    assert np.mean(made**4) / np.mean(made**2)**2 == pytest.approx(3, abs=0.2)      # Gaussian
    assert abs(np.corrcoef(sound, made)[0, 1]) < 0.1
    np.testing.assert_array_equal(made, FILLS["noise"](sound, 1, "clip"))
    assert np.abs(made - FILLS["noise"](sound, 1, "other")).max() > 0.01


def test_noise_of_a_loud_and_a_quiet_half_is_stationary():
    made = FILLS["noise"](coloured() * np.repeat([1.0, 0.01], 8000).astype(np.float32), 1, "clip")
    assert np.std(made[:8000]) == pytest.approx(np.std(made[8000:]), rel=0.1)


@pytest.mark.parametrize("size", [1, 2, 5, 1023])
def test_fills_of_short_and_silent_clips(size):
    assert np.isfinite(FILLS["noise"](np.ones(size, np.float32), 1, "k")).all()
    assert not FILLS["noise"](np.zeros(size, np.float32), 1, "k").any()
    assert not FILLS["silence"](np.ones(size, np.float32), 1, "k").any()
    made = fill_window(np.ones(2000, np.float32), size, "noise", 1, "k")
    assert made.shape == (2000,) and made[:size].any() and not made[size:].any()


def test_bounds_are_as_wide_as_theory_has_it():
    values = generator(3, "values").normal(size=200)
    mean, low, high = Resamples.of([str(k) for k in range(200)], 2000, 0.95, 1).mean(values)
    assert mean == pytest.approx(values.mean())
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(200), rel=0.1)
    assert low < mean < high


def test_clips_of_one_utterance_are_no_new_evidence():
    values = generator(3, "values").normal(size=20)
    names = [str(k) for k in range(20)]
    once = Resamples.of(names, 500, 0.95, 1).mean(values)
    thrice = Resamples.of(names * 3, 500, 0.95, 1).mean(np.tile(values, 3))
    assert once == pytest.approx(thrice)
    assert Resamples.of(["a", "a", "b"], 500, 0.95, 1).mean(np.array([0.0, 2.0, 5.0]))[0] == pytest.approx(3)


def test_differences_are_paired():
    values = generator(4, "values").normal(size=10)
    resamples = Resamples.of([str(k) for k in range(10)], 500, 0.95, 1)
    assert resamples.mean(values + 0.01 - values) == pytest.approx((0.01, 0.01, 0.01))
    assert resamples.mean(np.array([3.0])[[0] * 10]) == pytest.approx((3.0, 3.0, 3.0))


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=30))
def test_rank_correlation_is_scipys(pairs):
    from scipy.stats import spearmanr
    first, second = np.array(pairs, float).T
    correlation = rank_correlation(first, second)
    if len(set(first)) > 1 and len(set(second)) > 1:
        assert correlation == pytest.approx(spearmanr(first, second).statistic)
    else:
        assert correlation == 0
