"""A mel spectrogram as a grey picture of one byte a cell, for whoever draws it over a time axis."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ser_ops import config
from ser_ops.features.extractor import Extractor
from ser_ops.features.rows import mel_hertz
from ser_ops.files import replacing

LOW_DB, HIGH_DB = -80.0, 0.0    # what black and white stand for, relative to the loudest cell


def write_spectrogram(path: Path, window: np.ndarray, sample_rate: int, settings: config.Listen) -> dict[str, Any]:
    """Draw a window (N,) into a PNG; return what reads it: low_db (black), high_db (white), hertz, hop_seconds.

    The first row is the highest band; column t is centred on t hops. hertz: centres of the bands, rising.
    """
    image = config.MelImage(sample_rate=sample_rate, seconds=len(window) / sample_rate, frame=settings.frame,
                            hop=settings.hop, mels=settings.mels)
    with torch.no_grad():
        decibels = Extractor(image, sample_rate)(torch.from_numpy(window)[None])[0].cpu().numpy()
    cells = np.round((decibels - LOW_DB) / (HIGH_DB - LOW_DB) * 255).clip(0, 255).astype(np.uint8)
    write_grey(path, cells[::-1])
    return {"low_db": LOW_DB, "high_db": HIGH_DB, "hertz": [round(float(one), 1) for one in mel_hertz(image)],
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
