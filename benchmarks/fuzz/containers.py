"""Damage that knows the format: sizes, rates and counts that lie, parts that are missing, doubled or swapped.

Random bytes mostly break what is checked first. Here checksums are made good again: what lies behind is reached.
"""

import zlib
from collections.abc import Callable

import numpy as np

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_CHUNK = tuple[bytes, int, int]     # kind, start of its header and end of its content
_NESTED = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"edts"}
_FMT = ((0, 2), (2, 2), (4, 4), (8, 4), (12, 2), (14, 2), (16, 2))  # offset and size of each field of fmt
_STREAMINFO = ((44, 20), (41, 3), (36, 5), (0, 36))     # shift and bits: rate, channels, bits a sample, samples
Generator = np.random.Generator


def extreme(bits: int, generator: Generator) -> int:
    """A value that tries the edges of an unsigned field: 0, 1, the largest, the largest signed, one more, any.

    >>> 0 <= extreme(8, np.random.default_rng(0)) < 256
    True
    """
    top = (1 << bits) - 1
    edges = (0, 1, 2, 255, 65535, top, top - 1, top >> 1, (top >> 1) + 1, int(generator.integers(min(top, 1 << 62))))
    return edges[generator.integers(len(edges))] & top


def _at(data: bytes, start: int | np.integer, value: bytes) -> bytes:
    return data[:start] + value + data[start + len(value):]


def _pick(items: list[_CHUNK], generator: Generator) -> _CHUNK:
    return items[generator.integers(len(items))]


def riff_chunks(data: bytes) -> list[_CHUNK]:
    """Chunks of a WAV file as far as their sizes can be believed.

    >>> riff_chunks(b"RIFF....WAVE" + b"data" + (2).to_bytes(4, "little") + b"xx")
    [(b'data', 12, 22)]
    """
    chunks, start = [], 12
    while data[:4] in (b"RIFF", b"RF64") and start + 8 <= len(data):
        end = start + 8 + int.from_bytes(data[start + 4:start + 8], "little")
        chunks.append((data[start:start + 4], start, min(end, len(data))))
        start = end + end % 2
    return chunks


def riff(data: bytes, generator: Generator) -> bytes:
    """A WAV file with a chunk's size, a field of fmt or the order of chunks changed."""
    chunks = riff_chunks(data)
    if not chunks:
        return data
    _, start, end = _pick(chunks, generator)
    fmt = next((chunk for chunk in chunks if chunk[0] == b"fmt "), None)
    match generator.integers(7):
        case 0:
            return _at(data, start + 4, extreme(32, generator).to_bytes(4, "little"))
        case 1:
            return _at(data, 4, extreme(32, generator).to_bytes(4, "little"))
        case 2:
            return data[:start] + data[end:]
        case 3:
            return data[:end] + data[start:end] + data[end:]
        case 4:
            strange = bytes(generator.integers(256, size=generator.integers(40), dtype=np.uint8))
            name = [b"LIST", b"fact", b"cue ", b"smpl", b"bext", b"ds64", b"JUNK", b"id3 "][generator.integers(8)]
            return data[:start] + name + extreme(32, generator).to_bytes(4, "little") + strange + data[start:]
        case _ if fmt:
            offset, size = _FMT[generator.integers(len(_FMT))]
            return _at(data, fmt[1] + 8 + offset, extreme(8 * size, generator).to_bytes(size, "little"))
    return data


def flac(data: bytes, generator: Generator) -> bytes:
    """A FLAC file whose STREAMINFO or metadata blocks lie."""
    if len(data) < 42:
        return data
    match generator.integers(4):
        case 0:
            return _at(data, 8 + 2 * generator.integers(2), extreme(16, generator).to_bytes(2, "big"))
        case 1:
            return _at(data, 4 + generator.integers(4), bytes([extreme(8, generator)]))
        case 2:
            block = bytes([generator.integers(8)]) + extreme(24, generator).to_bytes(3, "big")
            return data[:42] + block + data[42:]
    shift, bits = _STREAMINFO[generator.integers(len(_STREAMINFO))]
    packed = int.from_bytes(data[18:26], "big") & ~(((1 << bits) - 1) << shift)
    return _at(data, 18, (packed | extreme(bits, generator) << shift).to_bytes(8, "big"))


def mpeg(data: bytes, generator: Generator) -> bytes:
    """An MP3 whose Xing header or tag lies or is gone, or with frames of another kind."""
    xing = max(data.find(b"Xing", 0, 4096), data.find(b"Info", 0, 4096))
    frames = [at for at in range(len(data) - 4) if data[at] == 0xFF and data[at + 1] & 0xE0 == 0xE0]
    match generator.integers(5):
        case 0 if xing >= 0:
            return _at(data, xing + 8 + 4 * generator.integers(2), extreme(32, generator).to_bytes(4, "big"))
        case 1 if xing >= 0:
            second = data.find(b"\xff\xfb", xing)
            return data[second:] if second > 0 else data
        case 2:
            return b"ID3\x04\x00\x00" + extreme(32, generator).to_bytes(4, "big") + bytes(20) + data
        case 3 if frames:
            at = frames[generator.integers(len(frames))]
            return data[:at] + data[at + 7:]
    if frames:
        at = frames[generator.integers(len(frames))] + 1 + int(generator.integers(3))
        return _at(data, at, bytes([data[at] ^ 1 << generator.integers(8)]))
    return data


def ogg_pages(data: bytes) -> list[tuple[int, int]]:
    """Start and end of each page of an Ogg file, as far as it is whole."""
    pages, start = [], 0
    while data[start:start + 4] == b"OggS" and start + 27 <= len(data):
        body = start + 27 + data[start + 26]
        end = body + sum(data[start + 27:body])
        pages.append((start, min(end, len(data))))
        start = end
    return pages


def _page(page: bytes) -> bytes:
    """A page with its checksum made good: CRC-32 of the unreflected kind, by zlib's reflected one."""
    page = _at(page, 22, bytes(4))
    checksum = (zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF).to_bytes(4, "big")
    return _at(page, 22, checksum.translate(_REVERSED))


def renumbered(data: bytes, serial: int = 0) -> bytes:
    """An Ogg file of one stream under another serial number."""
    return b"".join(_page(_at(data[start:end], 14, serial.to_bytes(4, "little"))) for start, end in ogg_pages(data))


def ogg(data: bytes, generator: Generator) -> bytes:
    """An Ogg file with pages that lie, are missing or doubled, with another stream behind, or with a changed packet."""
    pages = ogg_pages(data)
    if not pages:
        return data
    start, end = pages[generator.integers(len(pages))]
    page = data[start:end]
    match generator.integers(8):
        case 0:
            page = _page(_at(page, 6, extreme(64, generator).to_bytes(8, "little")))
        case 1:
            page = _page(_at(page, 14 + 4 * generator.integers(2), extreme(32, generator).to_bytes(4, "little")))
        case 2:
            page = b""
        case 3:
            page += page
        case 4:
            return data + renumbered(data, 1 + int(generator.integers(9)))
        case 5:
            page = _page(_at(page, 5, bytes([generator.integers(8)])))
        case _:
            start, end = pages[generator.integers(min(2, len(pages)))]  # the codec's headers
            page = data[start:end]
            at = int(generator.integers(28, max(29, min(len(page), 80))))
            page = _page(_at(page, at, bytes([extreme(8, generator)]))[:len(page)])
    return data[:start] + page + data[end:]


def _boxes(data: bytes, start: int, stop: int) -> list[_CHUNK]:
    boxes = []
    while start + 8 <= stop:
        size, kind = int.from_bytes(data[start:start + 4], "big"), data[start + 4:start + 8]
        end = min(start + size, stop) if size >= 8 else stop
        boxes.append((kind, start, end))
        if kind in _NESTED:
            boxes += _boxes(data, start + 8, end)
        start = end
    return boxes


def mp4(data: bytes, generator: Generator) -> bytes:
    """An MP4 file with a box that is missing, doubled or of another size, or with a number in it changed."""
    _, start, end = _pick(_boxes(data, 0, len(data)), generator)
    match generator.integers(5):
        case 0:
            return _at(data, start, extreme(32, generator).to_bytes(4, "big"))
        case 1:
            return data[:start] + data[end:]
        case 2:
            return data[:end] + data[start:end] + data[end:]
    at = int(generator.integers(start + 8, max(start + 9, min(end, start + 120))))
    return _at(data, at, extreme(32, generator).to_bytes(4, "big"))


def known(data: bytes, suffix: str) -> Callable[[bytes, Generator], bytes] | None:
    """What damages a file of this content, where there is something that knows it."""
    for magic, damage in ((b"RIFF", riff), (b"RF64", riff), (b"fLaC", flac), (b"OggS", ogg)):
        if data.startswith(magic):
            return damage
    if data[4:8] == b"ftyp":
        return mp4
    return mpeg if suffix == ".mp3" and data else None
