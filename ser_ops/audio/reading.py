"""Every recording is read here: mono float32 samples at one rate, or it is refused in one line.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from ser_ops.audio import admission
from ser_ops.audio.admission import Clip
from ser_ops.audio.channels import Mono
from ser_ops.audio.decoders import Block
from ser_ops.audio.signal import LowCut, clipped_samples, resample
from ser_ops.errors import UserError

_PROBE_RATE = 16000
_MANY = 200     # recordings: fewer are read sooner than further processes start


@dataclass(frozen=True)
class Recording:
    """Mono samples, float32 of shape (n,) in about [-1, 1], offset removed, and what came to light on the way.

    native_rate (hertz), channels and clipped_share (in [0, 1]) are the file's own; warnings are sentences that a user
    should read.
    """

    samples: np.ndarray
    sample_rate: int
    native_rate: int
    channels: int
    clipped_share: float
    warnings: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Duration at `sample_rate`."""
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True)
class ProbedRecording:
    """One recording: its duration in seconds, its peak (1 is full scale), and why it is refused, or ""."""

    seconds: float
    peak: float
    refusal: str = ""


def read_recording(path: Path, sample_rate: int, *, start: float = 0.0, end: float | None = None,
                   channel: int | None = None) -> Recording:
    """A whole recording, or [start, end) seconds of it, as mono samples at `sample_rate` hertz.

    channel: from 1 on; None leaves the choice to `ser_ops.audio.channels`. Raises UserError in one line for a file that
    cannot be read or is not admitted, and for more than an hour, which is not held in memory.
    """
    stream = RecordingStream(path, sample_rate, start=start, end=end, channel=channel)
    blocks, samples = [], 0
    for block in stream:
        blocks.append(block)
        samples += len(block)
        if samples > admission.LONGEST * sample_rate:
            raise UserError(f"{path}: lasts more than {admission.LONGEST / 3600:g} h, the most that is read at "
                            "once here: cut it into parts")
    whole = blocks[0] if len(blocks) == 1 else np.concatenate(blocks)
    return Recording(whole, sample_rate, stream.native_rate, stream.channels, stream.clipped_share, stream.warnings)


def read_clip(clip: Clip, sample_rate: int) -> Recording:
    """The samples of a clip at `sample_rate` hertz. Raises UserError as `read_recording` does."""
    return read_recording(clip.path, sample_rate, start=clip.start, end=clip.end, channel=clip.channel)


def probe_recordings(paths: Sequence[Path], what: str) -> Iterator[ProbedRecording]:
    """Read each recording to its end: which are admitted, in the order of `paths`, on all cores where they are many."""
    from ser_ops.progress.spreading import parallel_map
    return parallel_map(_probe, paths, what, 0 if len(paths) >= _MANY else 1, "file")


def _probe(path: Path) -> ProbedRecording:
    try:
        stream = RecordingStream(path, _PROBE_RATE)
        for _ in stream:
            pass
    except UserError as error:
        return ProbedRecording(0.0, 0.0, str(error).removeprefix(f"{path}: "))
    return ProbedRecording(stream.seconds, stream.peak)


class RecordingStream:
    """A recording of any length in bounded memory: mono float32 blocks of at most about 20 s each.

    What comes out is decoded, never promised by a header: one channel (`Mono`), cut to [start, end) seconds, brought to
    `sample_rate` hertz, without offset and without what lies below speech (`LowCut`). Iterating again decodes again.

    When a pass has ended, these are known: native_rate (hertz), channels, seconds, clipped_share, peak and warnings.
    A pass raises UserError in one line for a file that cannot be read or is not admitted (`ser_ops.audio.admission`):
    what is too short or silent shows at its end.
    """

    def __init__(self, path: Path, sample_rate: int, *, start: float = 0.0, end: float | None = None,
                 channel: int | None = None) -> None:
        self.path, self.sample_rate, self.start, self.end = path, sample_rate, start, end
        self._mono = Mono(path, channel)
        self.native_rate = self.channels = 0
        self.seconds = self.clipped_share = self.peak = 0.0
        self.warnings: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[np.ndarray]:
        cut = _Cut(self._mono.blocks(), self.start, self.end)
        samples, self.peak = 0, 0.0
        for block in filter(len, _cleaned(cut, self.sample_rate)):
            samples += len(block)
            self.peak = max(self.peak, _peak(block))
            yield block
        self.native_rate, self.channels = cut.rate, self._mono.channels
        self.seconds = samples / self.sample_rate
        self.clipped_share = cut.clipped / max(1, cut.samples)
        self.warnings = (*self._mono.warnings, *cut.warnings)
        if self.start > 0 and not cut.samples and cut.rate:
            raise UserError(f"{self.path}: start {self.start:g} s is after its end at {cut.passed:.2f} s: mend the "
                            "start")
        admission.check_length(self.path, cut.samples, cut.rate or self.sample_rate)
        admission.check_level(self.path, self.peak)


def admit_samples(where: str, samples: np.ndarray, native_rate: int, sample_rate: int,
                  cleaned: bool = False) -> np.ndarray:
    """Mono float32 samples (n,) that come as numbers instead of in a file, checked and brought to `sample_rate` hertz.

    cleaned: offset and rumble were taken out before; the samples are checked and resampled only.
    Raises UserError in one line, as `RecordingStream` does, for what is not admitted.

    >>> tone = 0.5 * np.sin(np.arange(16000, dtype=np.float32)) + 0.3
    >>> abs(float(admit_samples("tone", tone, 16000, 16000).mean())) < 1e-3
    True
    """
    admission.check_rate(where, native_rate)
    admission.check_length(where, len(samples), native_rate)
    admission.check_samples(where, samples)
    made = (resample(samples, native_rate, sample_rate) if cleaned
            else np.concatenate(list(_cleaned([(native_rate, samples)], sample_rate))))
    admission.check_level(where, _peak(made))
    return made


class _Cut:
    """Blocks between two moments (seconds) of a stream of blocks, with what was counted in them."""

    def __init__(self, blocks: Iterable[Block], start: float, end: float | None) -> None:
        self._blocks, self._start, self._end = blocks, start, end
        self.rate = self.samples = self.clipped = 0
        self.passed = 0.0       # seconds of the stream
        self.warnings: list[str] = []

    def __iter__(self) -> Iterator[Block]:
        for rate, samples in self._blocks:
            first, last = (len(samples) if moment is None else max(0, round((moment - self.passed) * rate))
                           for moment in (self._start, self._end))
            own = samples[first:last]
            self.passed += len(samples) / rate
            self.rate = self.rate or rate
            self.samples += len(own)
            self.clipped += clipped_samples(own)
            if len(own):
                yield rate, own
            if self._end is not None and self.passed >= self._end + 1 / rate:
                break
        else:
            if self._end is not None and self.passed and self.passed < self._end - 0.5 / self.rate:
                self.warnings.append(f"end {self._end:g} s is after the end of the recording at {self.passed:.2f} s")


def _cleaned(blocks: Iterable[Block], sample_rate: int) -> Iterator[np.ndarray]:
    """Blocks of native rate (hertz) and float32 samples (n,), at `sample_rate` hertz and without offset and rumble."""
    cut, stream, rate = LowCut(sample_rate), None, sample_rate
    for own_rate, samples in blocks:
        if own_rate != rate:
            if stream is not None:
                yield cut(stream.resample_chunk(np.zeros(0, np.float32), last=True))
            rate = own_rate
            stream = None if rate == sample_rate else soxr.ResampleStream(rate, sample_rate, 1, quality="HQ")
        yield cut(samples if stream is None else stream.resample_chunk(samples))
    if stream is not None:
        yield cut(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    yield cut.end()


def _peak(samples: np.ndarray) -> float:
    return float(max(samples.max(initial=0.0), -samples.min(initial=0.0)))
