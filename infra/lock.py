"""`python -m infra.lock`: pin what is installed, the product in requirements.lock, all else in requirements-dev.lock.

The product is prediction with the extras that the pipeline, its explanations and a team's servers need. What belongs to
which file is what pyproject.toml asks for, and what that asks for in turn, on any supported Python. A package that
another Python alone needs is not installed here: its line, which a marker tells, stays as it is.
"""

import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from ser_ops.errors import UserError
from ser_ops.files import replacing

PROJECT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
PRODUCT, DEVELOPMENT = "requirements.lock", "requirements-dev.lock"
_CUDA = ("nvidia-", "cuda-", "triton")
PRODUCT_EXTRAS = ("train", "serve", "explain", "team", "parquet", "onnx", "export")
EXTRAS = ("servers", "test", "generate")    # not benchmarks: openSMILE's licence forbids commercial use
TITLES = {
    PRODUCT: "# What ser-ops needs, pinned: make demo, make ui, workers. Remade by: make lock",
    DEVELOPMENT: "# What servers, tests and the corpus generator need beyond requirements.lock: make test, make stack. "
                 "Remade by: make lock",
}


def needed(wanted: Iterable[Requirement], own: Mapping[str, Sequence[str]], python: str) -> dict[NormalizedName, str]:
    """All packages that `wanted` asks for on a Python, by name, with who asks for each first.

    Args:
        wanted: Requirements to begin with.
        own: Requirements of each extra of this project, by the extra's name.
        python: A Python, as 3.12, on this platform.

    Returns:
        Names, of those that are not installed too; what those ask for is not known.
    """
    askers: dict[NormalizedName, str] = {}
    seen: set[tuple[NormalizedName, str]] = set()
    waiting = [(requirement, "pyproject.toml", "") for requirement in wanted]
    while waiting:
        requirement, asker, extra = waiting.pop()
        if requirement.marker and not _holds(requirement.marker, python, extra):
            continue
        name = canonicalize_name(requirement.name)
        if name == "pip" or name.startswith(_CUDA):     # every environment has pip; torch's build for GPUs asks itself
            continue
        if name == "ser-ops":
            inside = [line for wanted_extra in requirement.extras for line in own[wanted_extra]]
            waiting += [(Requirement(line), "pyproject.toml", "") for line in inside]
            continue
        askers.setdefault(name, asker)
        for extra in ("", *sorted(requirement.extras)):
            if (name, extra) not in seen:
                seen.add((name, extra))
                waiting += [(inner, name, extra) for inner in _asked_by(name)]
    return askers


def _asked_by(name: str) -> list[Requirement]:
    try:
        return [Requirement(line) for line in metadata.requires(name) or ()]
    except metadata.PackageNotFoundError:
        return []


def _holds(marker: Marker, python: str, extra: str = "") -> bool:
    # A late release of that Python: what early ones alone need, pip adds there by itself.
    environment: dict[str, str | AbstractSet[str]] = {
        **default_environment(),        # type: ignore[dict-item]
        "python_version": python, "python_full_version": f"{python}.99"}
    return marker.evaluate(environment | {"extra": extra})


def lines(pythons: Mapping[NormalizedName, Sequence[str]], askers: Mapping[NormalizedName, str],
          before: Sequence[str]) -> list[str]:
    """The pins of a lock file.

    Args:
        pythons: The Pythons that need each package.
        askers: Who asks for each package.
        before: The lines of the file as it stands.

    Raises:
        UserError: A package is neither installed nor pinned for another Python.
    """
    here = default_environment()["python_version"]
    kept = {canonicalize_name(requirement.name): line for line in before if not line.startswith("#")
            if (requirement := Requirement(line)).marker and not _holds(requirement.marker, here)}
    pins = dict(kept)
    for name, those in pythons.items():
        if here in those:
            pins[name] = f"{_installed(name, askers[name])}{_marker(those)}"
        elif name not in kept:
            raise UserError(f"{name}: {askers[name]} needs it on Python {', '.join(those)} alone, so it is not "
                            f"installed here: add {name}==VERSION{_marker(those)} to the lock file")
    return [pins[name] for name in sorted(pins)]


def _installed(name: str, asker: str) -> str:
    """The pin of an installed package; a local part of its version (+cpu) tells how it was built, not which it is."""
    try:
        package = metadata.metadata(name)
    except metadata.PackageNotFoundError as error:
        raise UserError(f"{name}: {asker} needs it and it is not installed: pip install {name}") from error
    return f"{package['Name']}=={Version(package['Version']).public}"


def _marker(pythons: Sequence[str]) -> str:
    """
    >>> _marker(["3.13"]), _marker(["3.11"]), _marker(["3.11", "3.12", "3.13"])
    ('; python_version >= "3.13"', '; python_version <= "3.11"', '')
    """
    if set(pythons) == set(PYTHONS):
        return ""
    return f'; python_version >= "{pythons[0]}"' if pythons[-1] == PYTHONS[-1] else \
        f'; python_version <= "{pythons[-1]}"'


def write(project: Path = PROJECT) -> None:
    """Write both lock files of a project.

    Raises:
        UserError: A package that pyproject.toml asks for, directly or not, is not installed.
    """
    content = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    own: dict[str, list[str]] = content["project"]["optional-dependencies"]
    product = [*content["project"]["dependencies"], *content["build-system"]["requires"],
               *(line for extra in PRODUCT_EXTRAS for line in own[extra])]
    development = [line for extra in EXTRAS for line in own[extra]]
    taken: set[NormalizedName] = set()
    for file, wanted in ((PRODUCT, product), (DEVELOPMENT, development)):
        pythons: dict[NormalizedName, list[str]] = defaultdict(list)
        askers: dict[NormalizedName, str] = {}
        for python in PYTHONS:
            for name, asker in needed(map(Requirement, wanted), own, python).items():
                if name not in taken:
                    askers.setdefault(name, asker)
                    pythons[name].append(python)
        taken |= set(pythons)
        path = project / file
        before = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        made = [TITLES[file], *lines(pythons, askers, before)]
        with replacing(path) as new:
            new.write_text("\n".join(made) + "\n", encoding="utf-8")
        print(f"{file}: {len(made) - 1} packages")


if __name__ == "__main__":
    try:
        write()
    except UserError as error:
        sys.exit(f"error: {error}")
