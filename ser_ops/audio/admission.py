"""What is admitted as a recording: one rule, one wording, for every way in.

These bounds are no choice of a project, so they do not stand in params.yaml: a model that is served anywhere must
refuse what `ser-ops evaluate` refused. Whether an admitted recording is good enough to train on is another question,
which section `validation` of params.yaml answers.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser_ops.errors import UserError

FORMATS: tuple[str, ...] = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3",
                            ".m4a", ".mp4", ".aac", ".webm", ".amr", ".3gp")
RATES = (8000, 192000)      # hertz: from telephones to measuring microphones
CHANNELS = 64               # what the largest microphone arrays record
SHORTEST = 0.1              # seconds: less holds no syllable
LONGEST = 3600.0            # seconds that are held in memory as a whole: 230 MB at 16 kHz
SILENCE_DBFS = -60.0        # peak: below it 16-bit recordings hold little but rounding
LOUDEST = 16.0              # times full scale: beyond it the samples are integers, not floats
PADDED_SHARE = 0.5          # of a model's window: from here on an answer rests on padding more than on sound


class SilentRecording(UserError):
    """A recording in which nothing sounds: refused as one, yet it can be answered that nobody speaks."""


@dataclass(frozen=True)
class Clip:
    """A recording, or `start` to `end` seconds of it; channel: from 1 on, None: `ser_ops.audio.channels` chooses."""

    path: Path
    start: float = 0.0
    end: float | None = None
    channel: int | None = None


def check_rate(where: str | Path, sample_rate: int) -> None:
    """Raise UserError for a sample rate (hertz) out of bounds.

    >>> check_rate("a.wav", 16000)
    """
    if not RATES[0] <= sample_rate <= RATES[1]:
        raise UserError(f"{where}: sample rate {sample_rate} Hz is not between {RATES[0]} and {RATES[1]}: give the "
                        "recording at the rate at which it was made")


def check_channels(where: str | Path, channels: int) -> None:
    """Raise UserError for more channels than any array of microphones has."""
    if not 1 <= channels <= CHANNELS:
        raise UserError(f"{where}: {channels} channels are not between 1 and {CHANNELS}: export the channel that holds "
                        "the speech")


def check_samples(where: str | Path, frames: np.ndarray) -> None:
    """Raise UserError for float samples (any shape) that are NaN, infinite or in an integer's range."""
    if frames.size == 0:
        return
    peak = max(float(frames.max()), -float(frames.min()))
    if not np.isfinite(peak):
        raise UserError(f"{where}: holds NaN or infinite samples: export it again from its source")
    if peak > LOUDEST:
        raise UserError(f"{where}: samples reach {peak:g}, full scale is 1: give floats in [-1, 1]")


def check_length(where: str | Path, samples: int, sample_rate: int) -> None:
    """Raise UserError for a recording of no samples or of less than 0.1 s."""
    if samples == 0:
        raise UserError(f"{where}: holds no samples: replace it with the original recording")
    if samples < round(SHORTEST * sample_rate):
        raise UserError(f"{where}: {samples / sample_rate:.3f} s are shorter than {SHORTEST} s: give at least one "
                        "spoken word")


def check_level(where: str | Path, peak: float) -> None:
    """Raise SilentRecording where nothing sounds: the peak (1 is full scale, offset removed) is below -60 dBFS."""
    if is_silent_peak(peak):
        raise SilentRecording(f"{where}: silent, nothing rises above {SILENCE_DBFS:g} dBFS: check the microphone or "
                              "the export")


def is_silent_peak(peak: float) -> bool:
    """Whether a peak (1 is full scale, offset removed) is below -60 dBFS.

    >>> is_silent_peak(0.0009), is_silent_peak(0.0011)
    (True, False)
    """
    return peak < 10 ** (SILENCE_DBFS / 20)


def bandwidth_warning(native_rate: int, sample_rate: int) -> str | None:
    """The warning for a recording made at a lower rate than a model's (both in hertz).

    >>> print(bandwidth_warning(8000, 16000)[:71])
    recorded at 8000 Hz: holds nothing above 4000 Hz (telephone bandwidth),
    >>> bandwidth_warning(44100, 16000) is None
    True
    """
    if native_rate >= sample_rate:
        return None
    return (f"recorded at {native_rate} Hz: holds nothing above {native_rate // 2} Hz (telephone bandwidth), the model "
            f"learnt from {sample_rate} Hz: trust this answer less")


def padding_warning(seconds: float, window: float) -> str | None:
    """The warning for a recording that fills less than half of a model's window (both in seconds).

    >>> padding_warning(0.3, 3.0)
    "lasts 0.30 s, 90 % of the model's 3 s are padded with silence: trust this answer less"
    >>> padding_warning(2.0, 3.0) is None
    True
    """
    share = 1 - seconds / window
    if share < PADDED_SHARE:
        return None
    return (f"lasts {seconds:.2f} s, {share:.0%} of the model's {window:g} s are padded with silence: trust this "
            "answer less").replace("%", " %")
