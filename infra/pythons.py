"""`python -m infra.pythons [PYTHON...]`: on each Python, install the product in a new folder and let it predict.

Without names: 3.11, 3.12 and 3.13, as far as they are on the path or in pyenv's folder. The answer must be that of the
Python that runs this. Takes minutes and 3 to 7 GB of disk for each, one after another. Exit code 1 when one fails.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from infra.lock import PRODUCT, PROJECT, PYTHONS
from ser_ops.errors import UserError

SAME = 1e-3     # of a probability: other builds of numpy and torch round otherwise


def here(version: str) -> str | None:
    """The path of a Python, as 3.12, on the path or in pyenv's folder; None where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    installed = sorted(pyenv.glob(f"versions/{version}.*/bin/python"))
    for name in (f"python{version}", *map(str, reversed(installed))):
        try:
            done = subprocess.run([name, "-c", "import sys; print(sys.executable, sys.version_info[:2])"],
                                  capture_output=True, text=True)
        except OSError:
            continue
        path, _, said = done.stdout.strip().partition(" ")
        if said == f"({version.replace('.', ', ')})":
            return path
    return None


def examine(python: str, folder: Path, model: Path, clip: Path, expected: dict[str, float]) -> str:
    """Install on a Python and predict.

    Args:
        python: Its path.
        folder: Where to make the environment; it must not be there.
        model: A model folder.
        clip: A recording.
        expected: The probability of each emotion.

    Returns:
        A line of what was seen.

    Raises:
        UserError: It cannot be installed, packages do not fit together, or it answers otherwise.
    """
    began = time.monotonic()
    _run(["bash", str(PROJECT / "infra/install.sh"), str(folder), PRODUCT], PYTHON=python)
    installed = time.monotonic() - began
    _run([str(folder / "bin/python"), "-m", "pip", "check"])
    began = time.monotonic()
    given = predict(folder, model, clip)
    seconds = time.monotonic() - began
    furthest = max(abs(given[emotion] - value) for emotion, value in expected.items())
    if furthest > SAME:
        raise UserError(f"a probability is {furthest:.4f} away from that of {sys.executable}")
    megabytes = sum(file.lstat().st_blocks for file in folder.rglob("*")) * 512 / 1e6
    return f"installed in {installed:.0f} s, {megabytes:.0f} MB; ser-ops predict answers the same in {seconds:.1f} s"


def predict(environment: Path, model: Path, clip: Path) -> dict[str, float]:
    """The probabilities that `ser-ops predict` of a virtual environment gives."""
    said = _run([str(environment / "bin/ser-ops"), "predict", "--json", "--model", str(model), str(clip)])
    probabilities: dict[str, float] = json.loads(said)["probabilities"]
    return probabilities


def _run(command: Sequence[str], **environment: str) -> str:
    done = subprocess.run(command, cwd=PROJECT, env=os.environ | environment, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no word from it"]
        raise UserError(f"{' '.join(command[:3])}: {lines[-1]}")
    return done.stdout


def _planted(folder: Path) -> tuple[Path, Path]:
    """A model with random weights and a recording for it to answer."""
    import numpy as np
    import soundfile

    from ser_ops.config.params import load_preset
    from ser_ops.models import architectures, model_folder

    model, clip = folder / "model", folder / "clip.wav"
    network = architectures.build("fusion", load_preset("demo", PROJECT / "params.yaml"), seed=1)
    model_folder.save(model, network, {"preset": "demo", "data": {"synthetic": ["made"], "partial": []}})
    time_axis = np.arange(32_000) / 16_000
    voiced = sum(np.sin(2 * np.pi * 140 * part * time_axis) / part for part in range(1, 20))
    soundfile.write(clip, 0.1 * voiced * (1 + np.sin(2 * np.pi * 3 * time_axis)), 16_000)
    return model, clip


def _wanted(named: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    yield from ((name, name) for name in named)
    if not named:
        yield from ((f"Python {version}", here(version)) for version in PYTHONS)


def main(named: Sequence[str]) -> int:
    """Examine each Python; returns how many failed."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="pythons-") as name:
        folder = Path(name)
        model, clip = _planted(folder)
        expected = predict(Path(sys.prefix), model, clip)
        for title, python in _wanted(named):
            if python is None:
                print(f"{title}: not here", flush=True)
                continue
            with tempfile.TemporaryDirectory(prefix="environment-", dir=folder) as environment:
                try:
                    line = examine(python, Path(environment), model, clip, expected)
                except UserError as error:
                    failed += 1
                    line = f"error: {error}"
                print(f"{title} ({python}): {line}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
