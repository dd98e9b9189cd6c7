"""A window as it was heard, as a small file that is the same on every run: Ogg Vorbis."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import soundfile

from ser_ops.files import replacing

PEAK = 0.9      # of full scale, of the loudest sound of a clip
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_HEAD = 27      # bytes of a page before its table of segments


def gain_of(windows: list[np.ndarray]) -> float:
    """One factor for all conditions of a clip, (n,) each: the loudest reaches 0.9, and noise is as loud as it was.

    >>> gain_of([np.array([0.1, -0.2]), np.array([0.45])])
    2.0
    """
    peak = max((float(np.abs(one).max(initial=0.0)) for one in windows), default=0.0)
    return PEAK / peak if peak > 0 else 1.0


def write_ogg(path: Path, samples: np.ndarray, sample_rate: int) -> None:
    """Write mono samples (n,), floats in [-1, 1], as Ogg Vorbis; the same samples give the same bytes."""
    with replacing(path) as temporary:
        soundfile.write(os.fsencode(temporary), samples, sample_rate, format="OGG", subtype="VORBIS")
        temporary.write_bytes(numbered(temporary.read_bytes(), 1))


def numbered(ogg: bytes, serial: int) -> bytes:
    """An Ogg stream whose pages bear this serial number, which encoders draw by chance (RFC 3533, section 6).

    Each page's checksum is made anew. Raises ValueError for what is no Ogg stream.
    """
    pages, place = [], 0
    while place < len(ogg):
        if ogg[place:place + 4] != b"OggS" or place + _HEAD > len(ogg):
            raise ValueError(f"byte {place}: no page of an Ogg stream begins here")
        segments = ogg[place + 26]
        size = _HEAD + segments + sum(ogg[place + _HEAD:place + _HEAD + segments])
        page = bytearray(ogg[place:place + size])
        page[14:18], page[22:26] = struct.pack("<I", serial), bytes(4)
        page[22:26] = struct.pack("<I", checksum(bytes(page)))
        pages.append(bytes(page))
        place += size
    return b"".join(pages)


def checksum(page: bytes) -> int:
    """CRC-32 of an Ogg page: zlib's polynomial from the highest bit down, starting at 0, not inverted.

    >>> hex(checksum(b"123456789"))     # CRC-32/CKSUM without its inversion
    '0x89a1897f'
    """
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
