"""What the rows of paper 2's inputs are, in words and in hertz."""

from functools import lru_cache

import numpy as np

from ser_ops.config import MelImage, Stacked
from ser_ops.features.mel import mel_frequencies

PITCHES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
CHROMA = len(PITCHES)       # rows of the chroma
CONTRAST_HERTZ = (0, 200, 400, 800, 1600, 3200, 6400)   # where each row of the spectral contrast begins
CONTRAST = len(CONTRAST_HERTZ)


def mel_rows(settings: Stacked | MelImage) -> slice:
    """Which rows of the input (rows, T) are the mel spectrogram, lowest band first.

    >>> from ser_ops.config import load
    >>> mel_rows(load().presets["paper"].stacked), mel_rows(load().presets["paper"].image)
    (slice(52, 180, None), slice(0, 128, None))
    """
    first = settings.mfcc + CHROMA if isinstance(settings, Stacked) else 0
    return slice(first, first + settings.mels)


def mel_hertz(settings: Stacked | MelImage) -> np.ndarray:
    """Centre frequency of each mel band in hertz: float64 of shape (mels,), rising, of Slaney's scale.

    >>> from ser_ops.config import load
    >>> mel_hertz(load().presets["paper"].image).round()[[0, 63, 127]].tolist()
    [26.0, 1956.0, 10736.0]
    """
    return _halves(settings.sample_rate, settings.mels)[2:-1:2].copy()


def mel_edges_hertz(settings: Stacked | MelImage) -> np.ndarray:
    """Where each mel band ends and the next one begins, in hertz: float64 of shape (mels + 1,), rising.

    Band b reaches from value b to value b + 1. The triangles overlap; a border lies halfway on the mel scale
    between two centres, so that the bands tile the axis and a tone falls into one of them.

    >>> from ser_ops.config import load
    >>> mel_edges_hertz(load().presets["paper"].image)[:3].round(1).tolist()
    [12.9, 38.7, 64.5]
    """
    return _halves(settings.sample_rate, settings.mels)[1::2].copy()


@lru_cache(maxsize=32)
def _halves(sample_rate: int, mels: int) -> np.ndarray:
    """Hertz at every half step of the mel scale, from 0 to half the sample rate: centres even, borders odd."""
    return mel_frequencies(2 * mels + 3, sample_rate / 2)


def row_name(row: int, settings: Stacked | MelImage) -> str:
    """A row in words, with hertz where it has any. Raises IndexError for a row that there is none of.

    >>> from ser_ops.config import load
    >>> settings = load().presets["paper"].stacked
    >>> [row_name(row, settings) for row in (12, 47, 89, 182, 186)]
    ['MFCC 12', 'chroma G', 'mel 980 Hz', 'contrast 400-800 Hz', 'contrast 6400-11025 Hz']
    """
    mel = mel_rows(settings)
    rows = mel.stop + (CONTRAST if isinstance(settings, Stacked) else 0)
    if not 0 <= row < rows:
        raise IndexError(f"row {row} is outside 0 to {rows - 1}")
    if row >= mel.stop:
        ends = [*CONTRAST_HERTZ, settings.sample_rate / 2]
        return f"contrast {ends[row - mel.stop]:.0f}-{ends[row - mel.stop + 1]:.0f} Hz"
    if row >= mel.start:
        return f"mel {mel_hertz(settings)[row - mel.start]:.0f} Hz"
    coefficients = mel.start - CHROMA
    return f"MFCC {row}" if row < coefficients else f"chroma {PITCHES[row - coefficients]}"
