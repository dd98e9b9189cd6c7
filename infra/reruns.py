"""Which stages an edit of each part makes DVC run again: python -m infra.reruns, in a project whose pipeline has run.

One file of each room, a label and a recording of a corpus, a manifest and a checkpoint are edited one after the other;
`dvc status` names the stages whose own dependencies changed, and each edit is taken back.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ser_ops.config.params import Params, load_params
from ser_ops.documents import parse_json
from ser_ops.errors import UserError


@contextmanager
def edited(path: Path, content: bytes | None) -> Iterator[None]:
    """The file with other content, or without the file for None; as it was afterwards."""
    there = path.exists()
    before, mode = (path.read_bytes(), path.stat().st_mode) if there else (b"", 0o644)
    made = [folder for folder in reversed(path.parents) if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)    # it may be a link into DVC's cache
    try:
        if content is not None:
            path.write_bytes(content)
        yield
    finally:
        path.unlink(missing_ok=True)
        if there:
            path.write_bytes(before)
            path.chmod(mode)
        for folder in reversed(made):
            folder.rmdir()


def changed() -> list[str]:
    """Stages that `dvc status` says have changed dependencies or command."""
    answer = subprocess.run([sys.executable, "-m", "dvc", "status", "--json"], check=True, capture_output=True)
    return sorted(name for name, parts in parse_json(answer.stdout, "dvc status").items() if not name.endswith(".dvc")
                  and any(isinstance(part, str) or "changed deps" in part for part in parts))


def rooms() -> dict[str, Path]:
    """A file of code of each room, and each file on the ground floor."""
    source = Path("ser_ops")
    files = {path.stem: path for path in sorted(source.glob("[a-z]*.py"))}
    for room in sorted(path for path in source.iterdir() if (path / "__init__.py").is_file()):
        files |= {f"{room.name}/{path.stem}": path for path in sorted(room.rglob("[a-z]*.py"))[:1]}
    return files


def data(params: Params) -> dict[str, tuple[Path, bytes | None]]:
    """What is edited of data, by name: a label, a recording that is gone, a manifest, weights."""
    folder, pretrained = params.paths.data, params.paths.pretrained
    recording = next(path for path in sorted((folder / "corpora").rglob("*")) if path.suffix in (".flac", ".wav"))
    manifests = sorted((folder / "manifests").glob("*/manifest.csv"))
    edits: dict[str, tuple[Path, bytes | None]] = {}
    for path in manifests[:1]:
        edits |= {"a label in a manifest": (path, path.read_bytes().replace(b"sad", b"happy")),
                  "a clip of a manifest deleted": (next(path.parent.rglob("*.[fw][la][av]*")), None)}
    return edits | {"a recording deleted": (recording, None),
            "a noise recording added": (folder / "noise" / params.data.noise[0] / "made" / "new.wav", b"RIFF"),
            "other weights of a checkpoint": (pretrained / "any" / "model.safetensors", b"weights")}


def main() -> None:
    """Print a table: what was edited, and the stages that follow from it."""
    if before := changed():
        raise UserError(f"{', '.join(before)}: changed already: run dvc repro first")
    for name, path in rooms().items():
        with edited(path, path.read_bytes() + b"\n# edited\n"):
            print(f"| `{name}` | {' '.join(changed()) or 'none'} |", flush=True)
    for name, (path, content) in data(load_params()).items():
        with edited(path, content):
            print(f"| {name} | {' '.join(changed()) or 'none'} |", flush=True)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
