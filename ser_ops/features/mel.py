"""Slaney's mel scale and its triangular filters (Auditory Toolbox, 1998), to the bit those of librosa."""

import numpy as np

_LINEAR = 200 / 3               # hertz a mel below 1,000 Hz
_BREAK = 1000.0                 # hertz, where the scale turns logarithmic
_STEP = np.log(6.4) / 27        # of the logarithm of hertz, a mel above it


def mel_frequencies(number: int, highest: float) -> np.ndarray:
    """Hertz at `number` even steps of the mel scale from 0 to `highest` hertz: float64 of shape (number,).

    >>> mel_frequencies(3, 2000.0).round(1).tolist()
    [0.0, 836.1, 2000.0]
    """
    break_mel = _BREAK / _LINEAR
    last = highest / _LINEAR if highest < _BREAK else break_mel + np.log(highest / _BREAK) / _STEP
    mels = np.linspace(0.0, last, number)
    hertz = _LINEAR * mels
    above = mels >= break_mel
    hertz[above] = _BREAK * np.exp(_STEP * (mels[above] - break_mel))
    return hertz


def mel_filters(sample_rate: int, frame: int, bands: int) -> np.ndarray:
    """What each band takes of each bin of a spectrum: float32 of shape (bands, frame // 2 + 1), each of area 1.

    sample_rate: hertz; frame: samples that the spectrum was made of.
    """
    bins = np.linspace(0, sample_rate / 2, 1 + frame // 2)
    edges = mel_frequencies(bands + 2, sample_rate / 2)
    rise = np.diff(edges)[:, None]
    distance = edges[:, None] - bins
    filters = np.maximum(0, np.minimum(-distance[:-2] / rise[:-1], distance[2:] / rise[1:])).astype(np.float32)
    filters *= (2 / (edges[2:] - edges[:-2]))[:, None]
    return filters
