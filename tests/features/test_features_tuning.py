"""The tuning of an utterance: made ones are found, and librosa finds the same."""

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from ser_ops.config.params import load_preset
from ser_ops.features.descriptors import power_spectrum
from ser_ops.features.paper2 import _median, tuning_step

SETTINGS = load_preset("paper").stacked


def tuned(semitones: float) -> np.ndarray:
    """A scale from A4 whose notes all lie off concert pitch by so much."""
    time = np.arange(round(SETTINGS.seconds * SETTINGS.sample_rate)) / SETTINGS.sample_rate
    steps = np.array([0, 2, 4, 5, 7, 9, 11, 12])[np.minimum((time * 8 / SETTINGS.seconds).astype(int), 7)]
    hertz = 440 * 2 ** ((steps + semitones) / 12)
    return (0.3 * np.sin(2 * np.pi * np.cumsum(hertz) / SETTINGS.sample_rate)).astype(np.float32)


def test_a_made_tuning_is_found_each_of_its_own_batch() -> None:
    made = np.array([-0.4, -0.21, 0.0, 0.13, 0.3, 0.45])
    batch = np.stack([tuned(tuning) for tuning in made])
    power = power_spectrum(torch.from_numpy(batch), SETTINGS, exact=True)
    estimated = (tuning_step(power, SETTINGS).numpy() - 50) / 100
    assert np.abs(estimated - made).max() < 0.06        # the parabola's own error at these notes
    spectra = [np.abs(librosa.stft(samples)) ** 2 for samples in batch]
    theirs = [librosa.estimate_tuning(S=spectrum, sr=SETTINGS.sample_rate, bins_per_octave=12) for spectrum in spectra]
    np.testing.assert_allclose(estimated, theirs, atol=1e-6)


def test_no_peak_is_in_tune() -> None:
    flat = torch.ones(2, 5, 1025)
    assert tuning_step(torch.cat([flat * 0, flat]), SETTINGS).tolist() == [50] * 4


def test_the_lowest_of_equal_votes_wins() -> None:
    """Two bins alone in a frame each: one vote a bin."""
    power = torch.zeros(1, 2, 1025)
    power[0, 0, 100] = power[0, 1, 101] = 1.0
    hertz = np.array([100, 101]) * SETTINGS.sample_rate / SETTINGS.frame
    semitones = np.mod(12 * np.log2(hertz / 440) + 0.5, 1.0) - 0.5
    assert tuning_step(power, SETTINGS).item() == int(np.floor(semitones.min() * 100)) + 50


@pytest.mark.parametrize("peak", [
    [1.0, 1.0, 1.0],                            # a plateau counts at its lower end
    [1 + 2**-23, 1 + 2**-22, 1 + 2**-22],       # float32 sees no bend: the peak is not moved, and never to infinity
    [0.1, 1.0, 0.99], [0.0, 1.0, 0.0]])
@pytest.mark.parametrize("first", [20, 100, 468])
def test_peaks_of_any_shape_vote_as_in_librosa(peak: list[float], first: int) -> None:
    power = torch.zeros(1, 3, 1025)
    power[0, 1, first:first + 3] = torch.tensor(peak)
    theirs = librosa.estimate_tuning(S=power[0].numpy().T, sr=SETTINGS.sample_rate, bins_per_octave=12)
    assert (tuning_step(power, SETTINGS).item() - 50) / 100 == pytest.approx(theirs, abs=1e-6)


@examples(max_examples=40)
@given(st.lists(st.lists(st.floats(0, 100, width=32), max_size=7), min_size=1, max_size=5))
def test_median_of_ragged_groups(groups: list[list[float]]) -> None:
    values = torch.tensor([value for group in groups for value in group], dtype=torch.float32)
    group = torch.tensor([number for number, group in enumerate(groups) for _ in group], dtype=torch.int64)
    expected = [np.median(np.float32(group)) if group else np.inf for group in groups]
    assert _median(values, group, len(groups)).tolist() == pytest.approx(expected, rel=1e-6)
