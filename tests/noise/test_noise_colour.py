"""The slope of each colour, measured; equations 4 to 6 of paper 1."""

import itertools

import numpy as np
import pytest
import scipy.signal
import scipy.stats

from ser_ops.noise.mixing import LOWEST_HERTZ, NOISE_COLOURS, stationary_noise


def slope(noise: np.ndarray, sample_rate: int, low: float = 60.0) -> float:
    """Exponent beta of S(f) ~ 1/f^beta by regression over Welch's estimate, each octave of equal weight."""
    frequencies, density = scipy.signal.welch(noise, sample_rate, nperseg=4096)
    edges = np.geomspace(low, 0.45 * sample_rate, 25)
    centres, levels = [], []
    for left, right in itertools.pairwise(edges):
        inside = (frequencies >= left) & (frequencies < right)
        if inside.any():
            centres.append(np.log(frequencies[inside]).mean())
            levels.append(np.log(density[inside]).mean())
    return -np.polyfit(centres, levels, 1)[0]


@pytest.mark.parametrize("sample_rate", [16000, 22050])
@pytest.mark.parametrize("kind", NOISE_COLOURS)
def test_slope_is_beta(kind, sample_rate):
    noise = stationary_noise(kind, 60 * sample_rate, sample_rate, np.random.default_rng(1))
    assert slope(noise, sample_rate) == pytest.approx(NOISE_COLOURS[kind], abs=0.04)


@pytest.mark.parametrize("kind", NOISE_COLOURS)
def test_slope_of_one_utterance(kind):
    slopes = [slope(stationary_noise(kind, 3 * 16000, 16000, np.random.default_rng(seed)), 16000) for seed in range(8)]
    assert np.mean(slopes) == pytest.approx(NOISE_COLOURS[kind], abs=0.06)
    assert np.abs(np.array(slopes) - NOISE_COLOURS[kind]).max() < 0.2


@pytest.mark.parametrize(("kind", "decibels"), [("white", 0), ("pink", 3), ("brown", 6)])
def test_decibels_per_octave(kind, decibels):
    frequencies, density = scipy.signal.welch(stationary_noise(kind, 960000, 16000, np.random.default_rng(2)), 16000,
                                              nperseg=4096)
    octaves = [density[(frequencies >= low) & (frequencies < 2 * low)].mean() for low in (125, 250, 500, 1000, 2000)]
    assert np.diff(10 * np.log10(octaves)) == pytest.approx([-decibels] * 4, abs=0.25)


def test_a_running_sum_would_miss_the_slope_where_speech_is():
    """Why brown noise is not made by equation 7 as printed."""
    walk = np.random.default_rng(3).standard_normal(960000).cumsum()
    brown = stationary_noise("brown", 960000, 16000, np.random.default_rng(3))
    assert slope(walk, 16000, low=1000) < 1.75
    assert slope(brown, 16000, low=1000) == pytest.approx(2, abs=0.1)
    frequencies, density = scipy.signal.welch(walk, 16000, nperseg=65536)
    assert density[frequencies < LOWEST_HERTZ].sum() > 0.9 * density.sum()


def test_brown_is_flat_below_the_lowest_frequency():
    frequencies, density = scipy.signal.welch(stationary_noise("brown", 1600000, 16000, np.random.default_rng(4)),
                                              16000,
                                              nperseg=32000)
    low, high = (density[(frequencies > left) & (frequencies < left + 6)].mean() for left in (2, 12))
    assert low / high == pytest.approx(1, abs=0.25)


def test_white_is_gaussian():
    noise = stationary_noise("white", 160000, 16000, np.random.default_rng(5))
    assert abs(scipy.stats.skew(noise)) < 0.03
    assert abs(scipy.stats.kurtosis(noise)) < 0.05


@pytest.mark.parametrize("kind", ["pink", "brown"])
@pytest.mark.parametrize("length", [160000, 151875])
def test_behind_its_filter_every_colour_is_gaussian_and_white(kind, length):
    """What equations 5 and 6 make, for lengths that are transformed as they are."""
    noise = stationary_noise(kind, length, 16000, np.random.default_rng(7))
    spectrum = np.fft.rfft(noise)[1:-1]
    frequencies = np.fft.rfftfreq(length, 1 / 16000)[1:-1].clip(LOWEST_HERTZ)
    white = spectrum * frequencies ** (NOISE_COLOURS[kind] / 2)
    parts = np.array([white.real, white.imag])
    parts /= parts.std()
    assert [scipy.stats.kstest(part, "norm").pvalue > 0.01 for part in parts] == [True, True]
    assert abs(np.corrcoef(parts)[0, 1]) < 0.02
    assert [abs(np.corrcoef(part[1:], part[:-1])[0, 1]) < 0.02 for part in parts] == [True, True]


@pytest.mark.parametrize("kind", NOISE_COLOURS)
@pytest.mark.parametrize("length", [0, 1, 2, 997, 16000, 48017])
def test_length_peak_and_type(kind, length):
    noise = stationary_noise(kind, length, 16000, np.random.default_rng(6))
    assert noise.shape == (length,)
    assert noise.dtype == np.float32
    assert np.isfinite(noise).all()
    assert not length or np.abs(noise).max() == pytest.approx(1)


@pytest.mark.parametrize("kind", NOISE_COLOURS)
def test_same_generator_same_noise(kind):
    first, same, other = (stationary_noise(kind, 4000, 16000, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert np.array_equal(first, same)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.6


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match="violet"):
        stationary_noise("violet", 10, 16000, np.random.default_rng(0))
