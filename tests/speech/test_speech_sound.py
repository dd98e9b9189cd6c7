"""Figures of sound: against scipy and numpy on whole signals, in blocks of any size, and SNR against what was mixed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_ops.noise.mixing import mix_noise, stationary_noise
from ser_ops.speech.detector import MOMENT, Segment
from ser_ops.speech.sound import SoundMeter, estimated_snr

RATE = 16000


def measured(samples: np.ndarray, speech: tuple[Segment, ...] | None, block: int = 10**9):
    meter = SoundMeter(RATE)
    for _ in meter.passing(samples[start:start + block] for start in range(0, len(samples), block)):
        pass
    return meter.end(speech)


def bursts(seconds: float = 4.0) -> tuple[np.ndarray, tuple[Segment, ...]]:
    """A tone with overtones that sounds in the second and the fourth quarter."""
    time = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * 150 * number * time) / number for number in range(1, 20))
    quarter = seconds / 4
    sounds = (time // quarter) % 2 == 1
    return (0.2 * tone * sounds).astype(np.float32), (Segment(quarter, 2 * quarter), Segment(3 * quarter, seconds))


@given(st.integers(1, 3000))
def test_blocks_do_not_matter(block):
    samples = np.random.default_rng(0).normal(0, 0.1, 5000).astype(np.float32)
    speech = (Segment(0.1, 0.2),)
    whole, parts = measured(samples, speech), measured(samples, speech, block)
    for name, value in vars(whole).items():
        assert vars(parts)[name] == pytest.approx(value, nan_ok=True, rel=1e-5)


def test_level_is_that_of_speech_and_of_all_where_nobody_speaks():
    samples, speech = bursts()
    spoken = samples[np.abs(samples) > 0]
    assert measured(samples, speech).level_dbfs == pytest.approx(20 * np.log10(np.sqrt((spoken**2).mean())), abs=0.2)
    assert measured(samples, ()).level_dbfs == pytest.approx(20 * np.log10(np.sqrt((samples**2).mean())), abs=0.1)


@pytest.mark.parametrize("low_pass", [1000, 3000, 6000])
def test_bandwidth_follows_a_filter(low_pass):
    from scipy.signal import butter, sosfilt
    noise = np.random.default_rng(1).normal(0, 0.1, 4 * RATE)
    filtered = sosfilt(butter(10, low_pass, fs=RATE, output="sos"), noise).astype(np.float32)
    assert measured(filtered, None).bandwidth_hertz == pytest.approx(low_pass, rel=0.12)    # 60 dB a decade are no wall


def test_without_a_detector_and_without_speech():
    samples, _ = bursts()
    unknown, silent = measured(samples, None), measured(samples, ())
    assert np.isnan([unknown.speech_share, unknown.snr_db, silent.snr_db]).all() and silent.speech_share == 0.0
    assert measured(samples[:200], None).level_dbfs == pytest.approx(-120, abs=1)       # less than a moment


def test_share_of_speech():
    samples, speech = bursts()
    assert measured(samples, speech).speech_share == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("colour", ["white", "pink"])
@pytest.mark.parametrize("intensity", [0.05, 0.2, 0.6])
def test_snr_is_near_that_of_the_mixture(colour, intensity):
    """What the mixer says of the whole recording, where the pauses are known."""
    samples, speech = bursts()
    mixture = mix_noise(samples, stationary_noise(colour, len(samples), RATE, np.random.default_rng(2)), intensity)
    assert measured(mixture.samples, speech).snr_db == pytest.approx(mixture.snr_db, abs=1.0)


def test_snr_without_pauses_and_at_its_bounds():
    draw = np.random.default_rng(3)
    powers = np.r_[draw.uniform(0.9, 1.1, 20), np.full(80, 11.0)]
    assert estimated_snr(powers, np.ones(100, bool)) == pytest.approx(10 * np.log10(8), abs=0.5)
    assert estimated_snr(np.r_[np.zeros(50), np.ones(50)], np.arange(100) >= 50) == 60.0
    assert estimated_snr(np.ones(100), np.arange(100) >= 50) == -20.0
    assert MOMENT / RATE == 0.032
