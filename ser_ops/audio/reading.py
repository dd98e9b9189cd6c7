"""Recordings in, mono float32 samples at one rate out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from ser_ops.errors import UserError

FORMATS: tuple[str, ...] = (".wav", ".flac", ".ogg", ".mp3")


@dataclass(frozen=True)
class Recording:
    """Mono samples, float32 of shape (n,) in about [-1, 1], with what the file itself said."""

    samples: np.ndarray
    sample_rate: int
    native_rate: int
    channels: int

    @property
    def seconds(self) -> float:
        """Duration at `sample_rate`."""
        return len(self.samples) / self.sample_rate


def resample(samples: np.ndarray, source: int, target: int) -> np.ndarray:
    """Resample float32 samples of shape (n,) from `source` to `target` hertz (soxr, high quality).

    >>> resample(np.zeros(48000, np.float32), 48000, 16000).shape
    (16000,)
    """
    if source == target:
        return samples
    return soxr.resample(samples, source, target, quality="HQ").astype(np.float32, copy=False)


def describe(path: Path) -> tuple[int, int, float]:
    """Native sample rate (hertz), channels and duration (seconds) from a file's header.

    Raises UserError for a file that is missing, empty or no audio.
    """
    with _open(path) as file:
        return file.samplerate, file.channels, file.frames / file.samplerate


def _open(path: Path) -> soundfile.SoundFile:
    try:
        if path.stat().st_size == 0:
            raise UserError(f"{path}: empty file: replace it with the original recording")
        return soundfile.SoundFile(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): check the path and its permissions") from error
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path}: not readable as audio ({error.error_string.strip().rstrip('.')}): "
                        f"give one of {', '.join(FORMATS)}") from error


def _mono(frames: np.ndarray, path: Path) -> np.ndarray:
    if not np.isfinite(frames).all():
        raise UserError(f"{path}: holds NaN or infinite samples: export it again from its source")
    return frames.mean(axis=1, dtype=np.float32) if frames.shape[1] > 1 else frames[:, 0]


def read(path: Path, sample_rate: int) -> Recording:
    """Read a whole recording as mono at `sample_rate` hertz; channels are averaged.

    Raises UserError for a file that is missing, empty, truncated, no audio, or holds NaN.
    """
    with _open(path) as file:
        try:
            frames = file.read(dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise UserError(f"{path}: damaged audio ({error.error_string.strip().rstrip('.')}): replace it with the "
                            "original recording") from error
        native, channels = file.samplerate, file.channels
    if len(frames) == 0:
        raise UserError(f"{path}: holds no samples: replace it with the original recording")
    return Recording(resample(_mono(frames, path), native, sample_rate), sample_rate, native, channels)


def blocks(path: Path, sample_rate: int, seconds: float = 10.0) -> Iterator[np.ndarray]:
    """A recording of any length in bounded memory: mono float32 blocks of about `seconds` each.

    Together they are what `read` gives, up to rounding. Raises UserError as `read` does.
    """
    with _open(path) as file:
        if file.frames == 0:
            raise UserError(f"{path}: holds no samples: replace it with the original recording")
        native = file.samplerate
        stream = None if native == sample_rate else soxr.ResampleStream(native, sample_rate, 1, quality="HQ")
        size = max(1, int(seconds * native))
        left = file.frames
        while left > 0:
            try:
                frames = file.read(size, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise UserError(f"{path}: damaged audio ({error.error_string.strip().rstrip('.')}): replace it with "
                                "the original recording") from error
            if len(frames) == 0:
                break
            left -= len(frames)
            block = _mono(frames, path)
            yield block if stream is None else stream.resample_chunk(block, last=left <= 0)
