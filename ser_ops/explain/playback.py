"""What is needed to listen to a clip: its sound and spectrogram as files, and where speech is in it.

The same clip gives the same bytes on every run.
"""

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from ser_ops.config.explaining import Listen, Speech
from ser_ops.config.models import MelImage
from ser_ops.explain.trace import Trace
from ser_ops.features.extractor import Extractor
from ser_ops.features.paper2 import mel_hertz
from ser_ops.files import replacing

PEAK = 0.9      # of full scale, of the loudest sound of a clip
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_HEAD = 27      # bytes of a page before its table of segments
_SILENT = 1e-12     # mean square below which nothing sounds (-120 dBFS)
LOW_DB, HIGH_DB = -80.0, 0.0    # what black and white stand for, relative to the loudest cell


def common_gain(windows: list[np.ndarray]) -> float:
    """One factor for all conditions of a clip, (n,) each: the loudest reaches 0.9, and noise is as loud as it was.

    >>> common_gain([np.array([0.1, -0.2]), np.array([0.45])])
    2.0
    """
    peak = max((float(np.abs(window).max(initial=0.0)) for window in windows), default=0.0)
    return PEAK / peak if peak > 0 else 1.0


def write_ogg(path: Path, samples: np.ndarray, sample_rate: int) -> None:
    """Write mono samples (n,), floats in [-1, 1], as Ogg Vorbis; the same samples give the same bytes."""
    with replacing(path) as temporary:
        soundfile.write(os.fsencode(temporary), samples, sample_rate, format="OGG", subtype="VORBIS")
        temporary.write_bytes(with_serial_number(temporary.read_bytes(), 1))


def with_serial_number(ogg: bytes, serial: int) -> bytes:
    """An Ogg stream whose pages bear this serial number, which encoders draw by chance (RFC 3533, section 6).

    Each page's checksum is computed again. Raises ValueError for what is no Ogg stream.
    """
    pages, start = [], 0
    while start < len(ogg):
        if ogg[start:start + 4] != b"OggS" or start + _HEAD > len(ogg):
            raise ValueError(f"byte {start}: no page of an Ogg stream begins here")
        segments = ogg[start + 26]
        size = _HEAD + segments + sum(ogg[start + _HEAD:start + _HEAD + segments])
        page = bytearray(ogg[start:start + size])
        page[14:18], page[22:26] = struct.pack("<I", serial), bytes(4)
        page[22:26] = struct.pack("<I", page_checksum(bytes(page)))
        pages.append(bytes(page))
        start += size
    return b"".join(pages)


def page_checksum(page: bytes) -> int:
    """CRC-32 of an Ogg page: zlib's polynomial from the highest bit down, starting at 0, not inverted.

    >>> hex(page_checksum(b"123456789"))     # CRC-32/CKSUM without its inversion
    '0x89a1897f'
    """
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def write_spectrogram(path: Path, window: np.ndarray, sample_rate: int, settings: Listen) -> dict[str, Any]:
    """Draw a window (N,) into a PNG; return what reads it: low_db (black), high_db (white), hertz, hop_seconds.

    The first row is the highest band; column t is centred on t hops. hertz: centres of the bands, rising.
    """
    image = MelImage(sample_rate=sample_rate, seconds=len(window) / sample_rate, frame=settings.frame,
                     hop=settings.hop, mels=settings.mels)
    with torch.no_grad():
        decibels = Extractor(image, sample_rate)(torch.from_numpy(window)[None])[0].cpu().numpy()
    cells = np.round((decibels - LOW_DB) / (HIGH_DB - LOW_DB) * 255).clip(0, 255).astype(np.uint8)
    write_grey(path, cells[::-1])
    return {"low_db": LOW_DB, "high_db": HIGH_DB, "hertz": [round(float(hertz), 1) for hertz in mel_hertz(image)],
            "hop_seconds": settings.hop / sample_rate}


def write_grey(path: Path, cells: np.ndarray) -> None:
    """A picture (rows, columns) of uint8, 0 black to 255 white, as a PNG of 8 bits, uncompressed but for zlib's."""
    rows, columns = cells.shape
    lines = b"".join(b"\0" + row.tobytes() for row in cells)     # no filter
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")
    with replacing(path) as temporary:
        temporary.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
            for kind, content in chunks))


def speech_stretches(clean: np.ndarray, sample_rate: int, settings: Speech) -> np.ndarray:
    """Stretches of speech in a window without noise, (N,) at `sample_rate`: float64 (k, 2), start and end in seconds.

    Speech begins where the mean square of a frame comes within `settings.start_db` of the loudest frame's, and lasts
    until it falls below `settings.stop_db` for longer than `settings.hangover` seconds (hysteresis: a word's quiet end
    is still speech, a rustle between words is none). Rising, without overlap, within the window; (0, 2) for silence.
    It takes whatever is loud for speech: give it a recording without noise.
    """
    frame, hop = max(1, round(settings.frame * sample_rate)), max(1, round(settings.hop * sample_rate))
    starts = np.arange(0, max(1, len(clean) - frame + 1), hop)
    sums = np.concatenate([[0.0], np.cumsum(np.square(clean, dtype=np.float64))])
    ends = np.minimum(starts + frame, len(clean))
    power = (sums[ends] - sums[starts]) / np.maximum(ends - starts, 1)
    loudest = power.max(initial=0.0)
    if loudest <= _SILENT:
        return np.zeros((0, 2))
    level = 10 * np.log10(np.maximum(power, _SILENT * 1e-6) / loudest)
    inside = _hysteresis(level, settings.start_db, settings.stop_db)
    return _joined(np.stack([starts, ends], 1)[inside] / sample_rate, settings.hangover)


def _hysteresis(level: np.ndarray, start: float, stop: float) -> np.ndarray:
    """Frames of runs that stay at or above `stop` and reach `start` somewhere: bool (frames,)."""
    loud = level >= stop
    run = np.cumsum(np.diff(loud, prepend=False) & loud)    # number of the run that a loud frame belongs to
    return loud & np.isin(run, run[level >= start])


def _joined(frames: np.ndarray, gap: float) -> np.ndarray:
    """Stretches (k, 2) from frames (n, 2), rising, where no more than `gap` seconds lie between."""
    if not len(frames):
        return np.zeros((0, 2))
    breaks = np.flatnonzero(frames[1:, 0] - frames[:-1, 1] > gap)
    return np.stack([frames[np.append(0, breaks + 1), 0], frames[np.append(breaks, len(frames) - 1), 1]], 1)


def inside_stretches(stretches: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Which moments (t,) lie in one of the stretches (k, 2): bool (t,).

    >>> inside_stretches(np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([0.5, 1.5, 2.5])).tolist()
    [True, False, True]
    """
    inside = (seconds[:, None] >= stretches[:, 0]) & (seconds[:, None] < stretches[:, 1])
    return np.asarray(inside.any(axis=1))


def share_of_time(stretches: np.ndarray, seconds: float) -> float:
    """Share of a window of `seconds`, padding included, that the stretches take: 0 to 1."""
    return float((stretches[:, 1] - stretches[:, 0]).sum() / seconds)


def share_inside(trace: Trace, stretches: np.ndarray, seconds: float, step: float) -> float | None:
    """Share of a trace's positive values that lies in the stretches, over a window of `seconds`, padding included.

    The trace is read every `step` seconds. A trace that knows nothing of speech has the share of time. None where no
    value is positive.
    """
    moments = (np.arange(max(1, round(seconds / step))) + 0.5) * step
    positive = np.maximum(trace.over(moments), 0)
    total = positive.sum()
    return float(positive[inside_stretches(stretches, moments)].sum() / total) if total > 0 else None
