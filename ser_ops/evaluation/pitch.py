"""How high a voice is."""

import numpy as np

QUIET_DB = 20.0     # frames so far below the loudest one are not looked at
FRAME, HOP = 0.064, 0.016   # seconds; a frame holds three periods of 50 Hz


def median_pitch(samples: np.ndarray, sample_rate: int, lowest: float, highest: float) -> float | None:
    """Median fundamental frequency in hertz of the loud frames of samples (n,), by YIN (de Cheveigné 2002).

    Unvoiced frames that are loud count too and answer anything: the median bears them as long as most are voiced.
    None for what is silent or shorter than a frame.
    """
    import librosa
    frame, hop = round(FRAME * sample_rate), round(HOP * sample_rate)
    if len(samples) < frame or not np.abs(samples).max() > 0:
        return None
    loudness = librosa.feature.rms(y=samples, frame_length=frame, hop_length=hop)[0]
    pitch = librosa.yin(samples, fmin=lowest, fmax=highest, sr=sample_rate, frame_length=frame, hop_length=hop)
    return float(np.median(pitch[loudness >= loudness.max() * 10 ** (-QUIET_DB / 20)]))


def upper_half(pitch: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Whether each value (n,) lies in the upper half of those of its kind (n,).

    The middle one of an odd number lies in the lower half. Halves within a kind (a corpus's class) hold as many
    utterances of each: emotions differ in pitch themselves. A NaN is never in the upper half.

    >>> upper_half(np.array([90.0, 200.0, 180.0, 300.0, 250.0]), np.array([0, 0, 1, 1, 1]))
    array([False,  True, False,  True, False])
    """
    upper = np.zeros(len(pitch), bool)
    for kind in np.unique(kinds):
        members = np.flatnonzero((kinds == kind) & np.isfinite(pitch))
        order = members[np.argsort(pitch[members], kind="stable")]
        upper[order[(len(order) + 1) // 2:]] = True
    return upper
