"""Voices made of harmonics whose pitch, and whose shifted version, are known exactly."""

import numpy as np

RATE = 16000


def _between(rng: np.random.Generator, low: float, high: float, seconds: float, rate: float, n: int) -> np.ndarray:
    points = rng.uniform(low, high, int(seconds * rate) + 2)
    return np.interp(np.arange(n) / RATE, np.arange(len(points)) / rate, points)


def voice(seed: int, ratio: float = 1.0, seconds: float = 2.5,
          pitch: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Speech-like samples and their pitch in hertz, both (n,): intonation, vibrato, jitter, formants, pauses.

    ratio: every frequency times this at the same instant, which is what an ideal pitch shift would yield.
    """
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    t = np.arange(n) / RATE
    semitones = 0.35 * np.sin(2 * np.pi * 5.5 * t)
    for _ in range(4):
        semitones += rng.normal(0, 2) * np.sin(2 * np.pi * rng.uniform(0.3, 1.8) * t + rng.uniform(0, 6.28))
    semitones += 0.12 * np.interp(np.arange(n), np.arange(n // 80 + 2) * 80, rng.normal(size=n // 80 + 2))
    f0 = (pitch or rng.uniform(90, 260)) * 2 ** (semitones / 12)
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    formants = [(_between(rng, low, high, seconds, 3, n), width) for low, high, width in
                ((300, 800, 70), (900, 2300, 100), (2300, 3000, 150), (3300, 3900, 220))]
    loudness = _between(rng, 0.05, 1, seconds, 4, n)
    start = rng.uniform(0.3, seconds - 0.5)
    loudness[int(start * RATE):int((start + 0.2) * RATE)] = 0
    loudness = np.convolve(loudness, np.hanning(321) / np.hanning(321).sum(), "same")
    samples = np.zeros(n)
    for k in range(1, int(7300 / f0.min())):
        f = k * f0
        resonances = [c**2 / np.sqrt((f * f - c**2) ** 2 + (width * f) ** 2) for c, width in formants]
        samples += np.prod(resonances, axis=0) / k * (f * ratio < 7300) * np.cos(k * phase * ratio)
    samples *= loudness
    return (0.5 * samples / np.abs(samples).max()).astype(np.float32), f0 * ratio


def distance(signal: np.ndarray, other: np.ndarray) -> float:
    """Log-spectral distance in dB below 7 kHz, frames of 64 ms, floored 60 dB below the highest value."""
    powers = []
    for samples in (signal, other):
        frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), 1024)[::256] * np.hanning(1024)
        powers.append(np.abs(np.fft.rfft(frames)[:, :448]) ** 2)
    floor = max(power.max() for power in powers) * 1e-6
    first, second = (10 * np.log10(np.maximum(power, floor)) for power in powers)
    return float(np.sqrt(((first - second) ** 2).mean(axis=1)).mean())
