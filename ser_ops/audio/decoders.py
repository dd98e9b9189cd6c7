"""Samples out of a container, block by block: libsndfile for WAV, FLAC and Ogg, FFmpeg (PyAV) for what it cannot read.

No length is taken from a header: a file is as long as what comes out of it. A container is known by its first bytes;
what its header claims is never more than a claim.

Sources: RIFF (Microsoft, Multimedia Programming Interface 1.0), RF64 (EBU Tech 3306), FLAC (RFC 9639), Ogg (RFC 3533).
"""

import io
import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ser_ops.audio.admission import FORMATS, check_channels, check_rate, check_samples
from ser_ops.errors import UserError

Block = tuple[int, np.ndarray]        # sample rate (hertz), float32 frames (n, channels)
_BLOCK_SECONDS = 10.0           # of a block at most
_BLOCK_VALUES = 200_000         # samples times channels that are decoded together: 0.8 MB
_FFMPEG = ("mp3", "mov", "aac", "matroska", "amr")     # by the name that FFmpeg has for each, too
_SMALL = 16_000_000             # bytes that are copied into memory at most
_ENCODER_DELAY = 0.1            # seconds that a codec may add and FFmpeg take away again
_SCALE = {"u1": 128.0, "i2": 32768.0, "i4": 2147483648.0}   # full scale of integer samples
_HEAD = 4096                    # bytes of a file that are looked at first
_PARTS = 1000               # chunks of a WAV file, recordings of a chained Ogg: more are no recording but an attack
_PAGES = 2_000_000          # pages of an Ogg file that are looked at: days of speech
_FARTHEST = 2**62           # bytes: where an RF64 header may point and no system reads
_PLACEHOLDER = 0x7FFF0000   # recorders that stream write the largest size they can until they know the true one


@dataclass(frozen=True)
class Container:
    """One file by its content.

    kind: wav, flac, ogg, mp3, mov, aac, matroska or amr. claimed_share: share of the bytes that the header promises
    and the file holds, 1.0 where nothing is missing. claimed_samples: per channel, None where the header does not say.
    fields: bytes of the header, by their place, to be read as others. parts: first byte and end of each recording in
    the file, () for one that fills it. says_length: whether FFmpeg knows a duration from the header rather than by a
    guess from the bit rate. notes: what a user must know already.
    """

    kind: str
    claimed_share: float = 1.0
    claimed_samples: int | None = None
    fields: tuple[tuple[int, bytes], ...] = ()
    parts: tuple[tuple[int, int], ...] = ()
    says_length: bool = False
    notes: tuple[str, ...] = ()


class View(io.RawIOBase):
    """The bytes `begin` to `end` of a file, with some of them replaced, as a file of its own; memory stays small."""

    def __init__(self, file: io.FileIO, begin: int, end: int, fields: tuple[tuple[int, bytes], ...]) -> None:
        super().__init__()
        self._file, self._begin, self._end, self._fields, self._position = file, begin, end, fields, 0

    def is_whole(self, size: int) -> bool:
        """Whether it shows a file of `size` bytes as it is."""
        return not self._fields and self._begin == 0 and self._end == size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._end - self._begin}[whence]
        self._position = max(0, origin + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        first = self._begin + self._position
        wanted = max(0, min(len(buffer), self._end - first))
        self._file.seek(first)
        number = self._file.readinto(memoryview(buffer)[:wanted]) if wanted else 0
        for offset, replaced in self._fields:
            if offset < first + number and first < offset + len(replaced):
                for position in range(max(offset, first), min(offset + len(replaced), first + number)):
                    buffer[position - first:position - first + 1] = replaced[position - offset:position - offset + 1]
        self._position += number
        return number


class _Forward(soundfile.SoundFile):
    """A file that is only read forwards: telephone codecs cannot seek, and a length that a header made up misleads."""

    def seekable(self) -> bool:
        return False


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
        self.warnings.append(f"damaged after {self._decoded / self._rate:.1f} s ({reason}): the rest is left out")

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


def open_regular(path: Path) -> io.FileIO:
    """The file at `path`, opened; a FIFO, socket or device is refused and never waited for.

    Raises UserError for anything but a regular file of at least one byte that may be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name holds a null character"
        raise UserError(f"{path}: cannot be read ({reason}): check the path and its permissions") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
        os.close(descriptor)
        fault = "empty file" if stat.S_ISREG(status.st_mode) else \
            "is a folder" if stat.S_ISDIR(status.st_mode) else "is no regular file"
        raise UserError(f"{path}: {fault}: give the original recording")
    return io.FileIO(descriptor)


def identify(path: Path, file: io.FileIO) -> Container:
    """The container of an open file. Raises UserError for a suffix or content that is not admitted.

    The content decides how a file is read, its suffix only whether: both must be of an admitted kind.
    """
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"{path}: {path.suffix or 'no suffix'} is not a supported format: export it as one of "
                        f"{', '.join(FORMATS)}")
    size = os.fstat(file.fileno()).st_size
    head = os.pread(file.fileno(), _HEAD, 0)
    tag = _tag_length(head)
    kind = _kind(os.pread(file.fileno(), 16, tag)) if tag else _kind(head)
    if kind is None and path.suffix.lower() == ".mp3":
        kind = "mp3" if tag or _kind(head.lstrip(b"\0")) == "mp3" else None
    if kind is None:
        raise UserError(f"{path}: not readable as audio (its content is none of {', '.join(FORMATS)}): export it again "
                        "from its source")
    if kind == "wav":
        return _wav(path, file, size)
    if kind == "flac":
        return _flac(file, tag)
    if kind == "ogg":
        return _ogg(file, size)
    start = os.pread(file.fileno(), _HEAD, tag)
    return Container(kind, says_length=kind in ("mov", "matroska") or (
        kind == "mp3" and any(word in start for word in (b"Xing", b"Info", b"VBRI"))))


def _tag_length(head: bytes) -> int:
    """Bytes of an ID3v2 tag in front of the sound, 0 without one (id3.org, ID3v2.4.0, section 3.1)."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum((value & 0x7F) << 7 * (3 - number) for number, value in enumerate(head[6:10]))


def _kind(head: bytes) -> str | None:
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    for start, kind in ((b"fLaC", "flac"), (b"OggS", "ogg"), (b"\x1a\x45\xdf\xa3", "matroska"), (b"#!AMR", "amr")):
        if head.startswith(start):
            return kind
    if head[4:8] == b"ftyp":
        return "mov"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:    # a frame of MPEG audio; layer 0 is AAC's
        return "mp3" if head[1] & 0x06 else "aac" if head[1] & 0xF0 == 0xF0 else None
    return None


def _wav(path: Path, file: io.FileIO, size: int) -> Container:
    """A WAV file, and what was appended to it: further WAV files, or samples of which its header knows nothing."""
    parts, fields, notes = list[tuple[int, int]](), list[tuple[int, bytes]](), list[str]()
    promised = held = begin = 0
    while begin < size and len(parts) < _PARTS:
        data = _data_chunk(file, size, begin)
        if data is None:
            break
        first, length, field, code = data
        there, behind = size - first, first + length + length % 2
        explained, following = _chunks(file, size, behind, code[0])
        unknown = explained < there if length == 0 else _PLACEHOLDER <= length <= 0xFFFFFFFF and length > there
        if unknown:
            notes.append("its header does not say how long it is (the recorder did not finish it): all that follows "
                         "is read")
            fields.append((field, struct.pack(code, min(there, 0xFFFFFFFF))))
            length, following = there, size
        elif length <= there and not following and there - length - explained > max(length // 100, 4096):
            notes.append("its header ends before its samples do: all that follows is read")
            fields.append((field, struct.pack(code, min(there, 0xFFFFFFFF))))
            length, following = there, size
        promised, held = promised + length, held + min(length, there)
        begin, end = following or size, following or size
        parts.append((parts[-1][1] if parts else 0, end))
    if not parts:
        raise UserError(f"{path}: not readable as audio (a WAV file without sound data): export it again "
                        "from its source")
    if len(parts) > 1:
        notes.insert(0, _in_a_row(len(parts)))
    return Container("wav", claimed_share=held / promised if promised else 1.0, fields=tuple(fields),
                     notes=tuple(notes), parts=tuple(parts))


def _in_a_row(recordings: int) -> str:
    return f"{recordings} recordings in one file, read one after the other"


def _data_chunk(file: io.FileIO, size: int, begin: int) -> tuple[int, int, int, str] | None:
    """First byte and length of the samples of the WAV file at `begin`; where the length stands, and how it is coded."""
    order = ">" if os.pread(file.fileno(), 4, begin) == b"RIFX" else "<"
    position, sized_at, long_size = begin + 12, 0, 0
    for _ in range(_PARTS):
        name, length = _chunk(file, position, order)
        if not _is_name(name) or position >= size:
            return None
        if name == b"ds64" and length >= 16:
            sized_at = position + 16
            long_size = struct.unpack("<Q", os.pread(file.fileno(), 8, sized_at).ljust(8, b"\0"))[0]
        elif name == b"data" and sized_at and length == 0xFFFFFFFF:
            return position + 8, long_size, sized_at, "<Q"
        elif name == b"data":
            return position + 8, length, position + 4, f"{order}I"
        position += 8 + length + length % 2
    return None


def _chunks(file: io.FileIO, size: int, position: int, order: str) -> tuple[int, int]:
    """Bytes of the chunks from `position` on, until one is none; and where a further WAV file begins, or 0."""
    start = position
    for _ in range(_PARTS):
        name, length = _chunk(file, position, order)
        if name in (b"RIFF", b"RIFX", b"RF64") and os.pread(file.fileno(), 4, position + 8) == b"WAVE":
            return position - start, position
        if not _is_name(name) or position + 8 + length > size:
            break
        position += 8 + length + length % 2
    return position - start, 0


def _chunk(file: io.FileIO, position: int, order: str) -> tuple[bytes, int]:
    head = os.pread(file.fileno(), 8, min(position, _FARTHEST)).ljust(8, b"\0")
    name, length = struct.unpack(f"{order}4sI", head)
    return name, length


def _is_name(name: bytes) -> bool:
    return all(32 <= letter < 127 for letter in name)


def _flac(file: io.FileIO, tag: int) -> Container:
    """Sets the number of samples to unknown, so that the decoder reads all that is there."""
    offset = tag + 8 + 13
    known = os.pread(file.fileno(), 5, offset).ljust(5, b"\0")
    claimed = (known[0] & 0x0F) << 32 | int.from_bytes(known[1:], "big")
    return Container("flac", claimed_samples=claimed or None, fields=((offset, bytes([known[0] & 0xF0, 0, 0, 0, 0])),),
                     parts=((tag, os.fstat(file.fileno()).st_size),))


def _ogg(file: io.FileIO, size: int) -> Container:
    """Parts of a chained file: each begins with pages that say so, after pages that do not."""
    starts, position, opening, closed = [0], 0, True, True
    for _ in range(_PAGES):
        page = os.pread(file.fileno(), 27 + 255, position)
        if page[:4] != b"OggS" or len(page) < 27 or len(starts) > _PARTS:
            break
        begins, ends = page[5] & 0x02, page[5] & 0x04
        if begins and not opening:
            starts.append(position)
        opening, closed = bool(begins), bool(ends)
        length = 27 + page[26] + sum(page[27:27 + page[26]])
        if position + length > size:
            closed = False
        position += length
    notes = () if closed else ("it ends early: how much is missing is unknown",)
    if len(starts) > 1:
        notes = (_in_a_row(len(starts)), *notes)
    ends_at = [*starts[1:], size]
    return Container("ogg", parts=tuple(zip(starts, ends_at, strict=True)), notes=notes)
