"""What one core of this machine does in a second, measured: the rates that floors are computed from."""

import hashlib
import os
import platform
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.speed.measure import repeated, wall

if TYPE_CHECKING:
    import torch

_CACHED = 2**18     # bytes that stay in a core's own cache
_STREAMED = 2**28   # bytes that do not fit any


@cache
def ffts(size: int, double: bool = False) -> float:
    """Real FFTs of `size` a second, by the faster of torch (MKL) and SciPy (pocketfft), batches that fit the cache."""
    import scipy.fft
    import torch

    batch = max(1, _CACHED // (size * (8 if double else 4)))
    samples = torch.randn(batch, size, dtype=torch.float64 if double else torch.float32)
    array = samples.numpy()
    return batch / min(repeated(lambda: torch.fft.rfft(samples)), repeated(lambda: scipy.fft.rfft(array)))


@cache
def multiplications(rows: int, inner: int, columns: int, dtype: "torch.dtype | None" = None) -> float:
    """Floating point operations a second of a matrix product of these sizes, float32 if nothing else is said.

    A multiply-add counts as two.
    """
    import torch

    left, right = (torch.randn(size).to(dtype or torch.float32) for size in ((rows, inner), (inner, columns)))
    return 2 * rows * inner * columns / repeated(lambda: left @ right)


@cache
def copied() -> float:
    """Bytes a second copied from memory to memory, counted once."""
    import numpy as np

    source = np.ones(_STREAMED // 4, np.float32)
    target = np.empty_like(source)
    return source.nbytes / repeated(lambda: np.copyto(target, source))


@cache
def hashed() -> float:
    """Bytes a second through SHA-256."""
    block = bytes(2**20)
    return len(block) / repeated(lambda: hashlib.sha256(block).digest())


@cache
def read(folder: Path) -> float:
    """Bytes a second read from a file in `folder` that the system had to drop from memory first (wall time)."""
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        file.write(os.urandom(2**26))
        file.flush()
        os.fsync(file.fileno())
        best = 0.0
        for _ in range(3):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            start = wall()
            size = len(Path(file.name).read_bytes())
            best = max(best, size / (wall() - start))
    return best


def described() -> dict[str, str]:
    """Processor, cores, memory, Python and libraries: what the figures were measured on."""
    from importlib.metadata import version

    cpuinfo = Path("/proc/cpuinfo")
    models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines()
              if line.startswith("model name")] if cpuinfo.exists() else []
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"processor": models[0] if models else platform.processor(), "cores": str(len(os.sched_getaffinity(0))),
            "memory": f"{memory:.0f} GiB", "load": f"{os.getloadavg()[0]:.1f}", "python": platform.python_version(),
            **{name: version(name) for name in ("numpy", "scipy", "torch", "librosa", "soundfile", "soxr")}}


def _bfloat16() -> "torch.dtype":
    import torch
    return torch.bfloat16


def rates(folder: Path) -> dict[str, float]:
    """The rates that most floors rest on, by what they count."""
    return {"real FFTs of 512, float32": ffts(512), "real FFTs of 2048, float32": ffts(2048),
            "real FFTs of 2048, float64": ffts(2048, double=True),
            "matrix product of 1024, FLOP": multiplications(1024, 1024, 1024),
            "the same in bfloat16, FLOP": multiplications(1024, 1024, 1024, _bfloat16()),
            "copied, bytes": copied(), "SHA-256, bytes": hashed(), "read from disk, bytes": read(folder)}
