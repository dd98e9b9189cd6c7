"""Samples out of a container, block by block: libsndfile for WAV, FLAC and Ogg, FFmpeg (PyAV) for what it cannot read.

No length is taken from a header: a file is as long as what comes out of it.
"""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ser_ops.audio.admission import check_channels, check_rate, check_samples
from ser_ops.audio.containers import View, identify, open_regular
from ser_ops.errors import UserError

_BLOCK_SECONDS = 10.0
_BLOCK_VALUES = 200_000         # samples times channels that are decoded together: 0.8 MB
_FFMPEG = ("mp3", "mov", "aac", "matroska", "amr")     # by the name that FFmpeg has for each, too
_SMALL = 16_000_000             # bytes that are copied into memory at most
_ENCODER_DELAY = 0.1            # seconds that a codec may add and FFmpeg take away again
_SCALE = {"u1": 128.0, "i2": 32768.0, "i4": 2147483648.0}   # full scale of integer samples

Block = tuple[int, np.ndarray]


class _Forward(soundfile.SoundFile):
    """A file that is only read forwards: telephone codecs cannot seek, and a length that a header made up misleads."""

    def seekable(self) -> bool:
        return False


def _descriptor(part: View, file: io.FileIO, size: int) -> int | View:
    """A descriptor of the same bytes, which libsndfile reads without asking Python for each piece.

    The file's own where the part is all of it, else of a copy in memory; the view itself where that is no choice.
    """
    if part.is_whole(size):
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        return os.dup(file.fileno())
    length = part.seek(0, os.SEEK_END)
    part.seek(0)
    if length > _SMALL or not hasattr(os, "memfd_create"):
        return part
    content = bytearray(length)
    part.readinto(content)
    descriptor = os.memfd_create("sound")
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


class Decoder:
    """The samples of one file, decoded from its start each time that `blocks` is called.

    warnings: what a user must know of the file, complete when `blocks` has ended. Raises UserError for a file that
    is missing, no regular file, empty, or of a format that is not admitted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_regular(path) as file:
            self.container = identify(path, file)
        self.warnings: list[str] = []
        self._claimed = self.container.claimed_samples
        self._decoded, self._rate = 0, 1

    def blocks(self) -> Iterator[Block]:
        """Sample rate (hertz) and float32 frames (n, channels), in order; rate and channels may change on the way.

        Raises UserError where nothing decodes, and for a rate, a number of channels or samples out of bounds.
        """
        self.warnings = list(self.container.notes)
        self._decoded, self._rate = 0, 1
        with open_regular(self.path) as file:
            source = (self._by_ffmpeg(file, self.container.kind) if self.container.kind in _FFMPEG
                      else self._by_libsndfile(file))
            for rate, frames in source:
                check_samples(self.path, frames)
                self._decoded, self._rate = self._decoded + len(frames), rate
                yield rate, frames
        self._missing()

    def _missing(self) -> None:
        """Say what the header promised and the file does not hold."""
        share = self.container.claimed_share
        if self._claimed is not None:
            share = min(share, self._decoded / self._claimed)
        if 0 < share < 0.999 and self._decoded:
            seconds = self._decoded / self._rate
            self.warnings.append(f"its header promises {seconds / share:,.1f} s, {seconds:,.1f} s are there: "
                                 f"{1 - share:.0%} are missing, an upload or a copy may have been cut off"
                                 .replace("%", " %"))

    def _damaged(self, reason: str) -> None:
        """Say that decoding ended early; raise UserError where it did not even begin."""
        if not self._decoded:
            raise UserError(f"{self.path}: not readable as audio ({reason}): export it again from its source")
        self.warnings.append(f"damaged after {self._decoded / self._rate:.1f} s ({reason}): what follows is not heard")

    def _by_libsndfile(self, file: io.FileIO) -> Iterator[Block]:
        size = file.seek(0, io.SEEK_END)
        for begin, end in self.container.parts or ((0, size),):
            decoded = 0
            part = View(file, begin, end, self.container.fields)
            try:
                with _Forward(_descriptor(part, file, size)) as sound:
                    rate, channels = sound.samplerate, sound.channels
                    check_rate(self.path, rate)
                    check_channels(self.path, channels)
                    most = max(1, min(int(_BLOCK_SECONDS * rate), _BLOCK_VALUES // channels))
                    # What the header says is good for one thing: not to ask for more memory than a short file fills.
                    likely = (self.container.claimed_samples or sound.frames) + 1
                    asked = size = min(most, likely) if likely > 1 else most
                    while size == asked:
                        asked = min(most, likely - decoded) if likely > decoded else most
                        frames = sound.read(asked, dtype="float32", always_2d=True)
                        size = len(frames)
                        decoded += size
                        if size:
                            yield rate, frames
            except soundfile.LibsndfileError:
                # It gives a damaged block up as a whole; FFmpeg keeps what can be kept of it.
                part.seek(0)
                yield from self._by_ffmpeg(part, self.container.kind, decoded)

    def _by_ffmpeg(self, file: io.RawIOBase, kind: str, skipped: int = 0) -> Iterator[Block]:
        """All samples of each channel but the first `skipped`."""
        import av  # costs a tenth of a second, and most recordings do without
        held: list[np.ndarray] = []
        decoded, damaged, packets, rate, fault = 0, 0, 0, 0, ""
        try:
            # The format is named and the file open, so that FFmpeg neither guesses nor opens anything else.
            with av.open(file, "r", format=kind) as opened:
                stream = next(iter(opened.streams.audio), None)
                if stream is None or stream.codec_context is None:
                    raise ValueError("no sound that can be decoded")
                stream.codec_context.thread_count = 1
                for frames in _frames_of_packets(opened, stream, av.error.FFmpegError):
                    packets += 1
                    damaged += frames is None
                    for own_rate, samples in frames or ():
                        rest = samples[max(0, skipped - decoded):]
                        decoded += len(samples)
                        if not len(rest):
                            continue
                        if held and (own_rate != rate or samples.shape[1] != held[0].shape[1] or _full(held, rate)):
                            yield rate, np.concatenate(held)
                            held = []
                        if not held:
                            check_rate(self.path, own_rate)
                            check_channels(self.path, samples.shape[1])
                        rate = own_rate
                        held.append(rest)
                claimed = opened.duration / av.time_base if self.container.says_length and opened.duration else 0.0
                if decoded < (claimed - _ENCODER_DELAY) * rate:
                    self._claimed = round(claimed * rate)
        except (av.error.FFmpegError, ValueError) as error:
            fault = getattr(error, "strerror", None) or str(error)
        if held:
            yield rate, np.concatenate(held)
        if damaged > packets / 2:
            raise UserError(f"{self.path}: damaged audio ({damaged} of its {packets} packets do not decode): replace "
                            "it with the original recording")
        if fault or (decoded <= skipped and (damaged or skipped)):
            self._damaged(fault or "the rest does not decode")
        elif damaged:
            self.warnings.append(f"{damaged} of its {packets} packets are damaged and left out")


def _frames_of_packets(opened: Any, stream: Any, fault: type[Exception]) -> Iterator[list[Block] | None]:
    """What each packet decodes to, None for a damaged one."""
    try:
        for packet in opened.demux(stream):
            try:
                yield [(frame.sample_rate, _float(frame)) for frame in packet.decode()]
            except fault:
                yield None
    except fault:
        yield None


def _float(frame: Any) -> np.ndarray:
    """A decoded frame as float32 (n, channels), full scale 1."""
    values = frame.to_ndarray()
    values = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    scale = _SCALE[values.dtype.str[1:]]
    return ((values.astype(np.float64) - (scale if values.dtype.kind == "u" else 0.0)) / scale).astype(np.float32)


def _full(held: list[np.ndarray], rate: int) -> bool:
    frames = sum(map(len, held))
    return frames >= _BLOCK_SECONDS * rate or frames * held[0].shape[1] >= _BLOCK_VALUES
