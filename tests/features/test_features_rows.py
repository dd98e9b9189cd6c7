"""Rows of paper 2's inputs in words and hertz."""

import librosa
import numpy as np
import pytest

from ser_ops.config.params import load_preset
from ser_ops.features.index_map import describe, shape_of
from ser_ops.features.paper2 import mel_edges_hertz, mel_hertz, mel_rows, row_name

PAPER, SMALL = load_preset("paper"), load_preset("small")
INPUTS = [PAPER.stacked, SMALL.stacked, PAPER.image, SMALL.image]


@pytest.mark.parametrize("settings", INPUTS)
def test_hertz_are_those_of_the_filters(settings) -> None:
    centres, edges = mel_hertz(settings), mel_edges_hertz(settings)
    expected = librosa.mel_frequencies(130, fmin=0, fmax=settings.sample_rate / 2)[1:-1]
    np.testing.assert_allclose(centres, expected, rtol=1e-12)
    assert centres.shape == (128,) and edges.shape == (129,)
    assert (edges[:-1] < centres).all() and (centres < edges[1:]).all()
    halves = (librosa.hz_to_mel(centres[1:]) + librosa.hz_to_mel(centres[:-1])) / 2
    np.testing.assert_allclose(librosa.hz_to_mel(edges[1:-1]), halves, rtol=1e-9)
    assert edges[0] > 0 and edges[-1] < settings.sample_rate / 2
    bins = librosa.fft_frequencies(sr=settings.sample_rate, n_fft=16 * settings.frame)
    peaks = bins[librosa.filters.mel(sr=settings.sample_rate, n_fft=16 * settings.frame, n_mels=128).argmax(1)]
    assert np.abs(peaks - centres).max() <= bins[1]


def test_callers_cannot_spoil_each_other() -> None:
    mel_hertz(PAPER.image)[:] = 0
    assert mel_hertz(PAPER.image)[0] > 0


@pytest.mark.parametrize("settings", INPUTS)
def test_every_row_has_its_own_name(settings) -> None:
    rows = shape_of(settings)[0]
    names = [row_name(row, settings) for row in range(rows)]
    assert len(set(names)) == rows
    mel = mel_rows(settings)
    assert [name.startswith("mel ") for name in names] == [mel.start <= row < mel.stop for row in range(rows)]
    for row in (-1, rows):
        with pytest.raises(IndexError):
            row_name(row, settings)


@pytest.mark.parametrize(("row", "name"), [
    (0, "MFCC 0"), (39, "MFCC 39"), (40, "chroma C"), (51, "chroma B"), (52, "mel 26 Hz"), (179, "mel 10736 Hz"),
    (180, "contrast 0-200 Hz"), (181, "contrast 200-400 Hz"), (183, "contrast 800-1600 Hz"),
    (186, "contrast 6400-11025 Hz")])
def test_names_by_hand(row: int, name: str) -> None:
    assert row_name(row, PAPER.stacked) == name
    assert describe(row * 128 + 22, PAPER.stacked) == f"{name} at 0.51 s"


def test_outside_is_an_error() -> None:
    assert describe(187 * 128 - 1, PAPER.stacked) == "contrast 6400-11025 Hz at 2.95 s"
    for index in (-1, 187 * 128):
        with pytest.raises(IndexError):
            describe(index, PAPER.stacked)
