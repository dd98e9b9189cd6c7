"""Damage to bytes of any kind, and whole files that are none: cut, flipped, spliced, empty, no file at all."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.fuzz.containers import extreme

Generator = np.random.Generator
_HEADER = 96    # bytes at the start, where most of what is believed stands
_BLOCK = 400


def _random(size: int, generator: Generator) -> bytes:
    return generator.integers(256, size=size, dtype=np.uint8).tobytes()


def _span(data: bytes, generator: Generator) -> tuple[int, int]:
    start = int(generator.integers(len(data)))
    return start, min(len(data), start + 1 + int(generator.integers(_BLOCK)))


def _flipped(data: bytes, generator: Generator, within: int) -> bytes:
    changed = bytearray(data)
    for at in generator.integers(min(within, len(data)), size=generator.integers(1, 9)):
        changed[at] ^= 1 << int(generator.integers(8))
    return bytes(changed)


def _field(data: bytes, generator: Generator) -> bytes:
    size = int(generator.choice([1, 2, 4, 8]))
    at = int(generator.integers(min(_HEADER, len(data))))
    order = "little" if generator.integers(2) else "big"
    return data[:at] + extreme(8 * size, generator).to_bytes(size, order) + data[at + size:]  # type: ignore[arg-type]


def _overwritten(data: bytes, generator: Generator) -> bytes:
    start, end = _span(data, generator)
    fill = (bytes(end - start), b"\xff" * (end - start), _random(end - start, generator))[generator.integers(3)]
    return data[:start] + fill + data[end:]


def _moved(data: bytes, generator: Generator) -> bytes:
    start, end = _span(data, generator)
    to = int(generator.integers(len(data)))
    part = (b"", data[start:end] * 2, _random(end - start, generator) + data[start:end])[generator.integers(3)]
    return data[:start] + part + data[end:to] + data[to:] if generator.integers(2) else data[:start] + part + data[end:]


_BYTES: tuple[Callable[[bytes, Generator], bytes], ...] = (
    lambda data, generator: _flipped(data, generator, _HEADER),
    lambda data, generator: _flipped(data, generator, len(data)),
    lambda data, generator: data[:generator.integers(len(data))],
    lambda data, generator: data[:generator.integers(min(_HEADER, len(data)))],
    lambda data, generator: data[generator.integers(len(data)):],
    _field, _field, _overwritten, _moved,
    lambda data, generator: data + _random(int(generator.integers(_BLOCK)), generator),
)


def damaged(data: bytes, generator: Generator) -> bytes:
    """The bytes with one fault that needs no knowledge of their format.

    >>> damaged(b"RIFF", np.random.default_rng(1)) != b"RIFF"
    True
    """
    return _BYTES[generator.integers(len(_BYTES))](data, generator) if data else data


def spliced(first: bytes, second: bytes, generator: Generator) -> bytes:
    """The start of one file and the end of another."""
    return first[:generator.integers(len(first) + 1)] + second[generator.integers(len(second) + 1):]


def nothing(generator: Generator) -> bytes:
    """What is no file of any format: nothing, a byte, zeros, text, noise, a pointer to the file."""
    choices = (b"", b"\0", b"R", bytes(5000), b"\xff" * 5000, b"hello\n" * 100, _random(3000, generator),
               b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n",
               b"<!DOCTYPE html><title>404</title>", b"PK\x03\x04" + bytes(60), b"#!AMR\n",
               b"ID3\x04\0\0\x7f\x7f\x7f\x7f", b"RIFF\0\0\0\0WAVE", b"OggS", b"fLaC\0\0\0\x22",
               b"\0\0\0\x18ftypM4A ", b"\x1aE\xdf\xa3", b"FORM\0\0\0\0AIFF")
    return choices[generator.integers(len(choices))]


def special(path: Path, generator: Generator) -> Path:
    """A path that is no regular file: a pipe, a folder, a link to itself, to nothing or to a device without end."""
    match generator.integers(5):
        case 0:
            os.mkfifo(path)
        case 1:
            path.mkdir()
        case 2:
            path.symlink_to(path.name)
        case 3:
            path.symlink_to(path.with_name("gone"))
        case _:
            path.symlink_to("/dev/zero")
    return path


def odd_name(suffix: str, generator: Generator) -> str:
    """A file's name that is allowed and not expected: bytes that are no UTF-8, line breaks, as long as names can be."""
    names = (b"Gr\xf6\xdfe", b"two\nlines", b"\x1b[31mred", b"-o", b"%s%n", b"a b", b"a" * (255 - len(suffix)),
             "Grüße".encode(), b"Gru\xcc\x88\xc3\x9fe", "\u202ecod".encode(), b"a:b", b"..", b"'\"`$(x)")
    return os.fsdecode(names[generator.integers(len(names))]) + suffix
