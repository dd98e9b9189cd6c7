"""Stationary noise whose power falls with frequency as S(f) ~ 1/f^beta (paper 1, equations 4 to 7)."""

from functools import lru_cache

import numpy as np
import scipy.fft

BETA: dict[str, float] = {"white": 0.0, "pink": 1.0, "brown": 2.0}
LOWEST = 20.0  # hertz; the law holds from here to half the sample rate, below it the spectrum is flat


@lru_cache(maxsize=64)      # utterances of one length, and variants of one utterance, ask for the same
def _response(beta: float, size: int, sample_rate: int) -> np.ndarray:
    """|H(f)| at the frequencies of a real FFT of `size` samples, float32 (size // 2 + 1,); nothing at 0 Hz."""
    shape = np.arange(size // 2 + 1, dtype=np.float32) * np.float32(sample_rate / size)
    np.maximum(shape, LOWEST, out=shape)
    shape **= -beta / 2
    shape[0] = 0.0
    shape.flags.writeable = False
    return shape


def stationary(kind: str, length: int, sample_rate: int, generator: np.random.Generator) -> np.ndarray:
    """`length` samples of white, pink or brown noise, float32, peak 1.

    Gaussian white noise (equation 5) is filtered by |H(f)| = f^(-beta/2) (equation 6). Brown noise is made the same
    way and not by summing up (equation 7): a sum follows 1/f^2 only well below half the sample rate, and nearly all
    of its peak lies in drifts below 20 Hz that nobody hears, so that an intensity would say nothing.
    Raises ValueError for another kind.

    >>> stationary("pink", 8000, 16000, np.random.default_rng(0)).shape
    (8000,)
    """
    if kind not in BETA:
        raise ValueError(f"{kind!r} is not one of {', '.join(BETA)}")
    if BETA[kind] == 0:
        noise = generator.standard_normal(length, dtype=np.float32)
    else:
        # At least a second, so that short noise too has frequencies down to the lowest.
        size = scipy.fft.next_fast_len(max(length, sample_rate), real=True)
        # The transform of Gaussian white noise is Gaussian and white, so it is drawn there, which spares a transform.
        spectrum = generator.standard_normal(2 * (size // 2 + 1), dtype=np.float32).view(np.complex64)
        spectrum *= _response(BETA[kind], size, sample_rate)
        noise = scipy.fft.irfft(spectrum, size, overwrite_x=True)[:length]
    noise /= max(noise.max(initial=1e-12), -noise.min(initial=0.0))
    return noise
