"""What must be alike on two machines for the same input to become the same bytes."""

import hashlib
import platform
from importlib import metadata
from pathlib import Path

from ser_ops.errors import UserError

_MAKE_BYTES = ("numpy", "scipy", "soundfile", "soxr", "librosa", "torch")


def fingerprint() -> dict[str, str]:
    """By name: a digest of this package's source, and versions of Python and of the libraries that make bytes."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return {"ser_ops": digest.hexdigest()[:12], "python": platform.python_version(),
            **{name: _version(name) for name in _MAKE_BYTES}}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"


def check(beacon: str, expected: dict[str, str]) -> None:
    """Raise UserError unless this process stands in the folder where `beacon` lies and has the fingerprint expected."""
    machine, folder = platform.node(), Path.cwd()
    if not (folder / beacon).is_file():
        raise UserError(f"Dask worker on {machine}: its {folder} is another folder of the same name: mount the "
                        "workspace there from a file system that all machines share")
    found = fingerprint()
    for name, wanted in expected.items():
        if found[name] != wanted:
            raise UserError(f"Dask worker on {machine}: has {name} {found[name]} where {wanted} was expected, so its "
                            "bytes may differ: install the same requirements.lock and code there")
