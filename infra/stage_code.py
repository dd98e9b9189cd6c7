"""Write into dvc.yaml which code each stage depends on, as its imports say: python -m infra.stage_code.

Only the dependencies below ser_ops/ are written; data stand there by hand. tests/test_stage_code.py holds the files to
what is computed here.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from ser_ops.errors import UserError
from ser_ops.files import write_text
from ser_ops.imports import PACKAGES, SOURCE, closure, runs

GRAPHS = ("dvc.yaml", "reproduction/dvc.yaml")
_STAGE = re.compile(r"^  (\w+):$")
_COMMAND = re.compile(rf"python -m ((?:{'|'.join(PACKAGES)})(?:\.\w+)+)")
_CODE = re.compile(rf"^( +)- (?:{'|'.join(PACKAGES)})/\S+$")


def code_of(module: str) -> list[str]:
    """The DVC dependencies of a stage's module: files, and a folder in the place of all its files where all are used.

    >>> "ser_ops/stages/audit.py" in code_of("ser_ops.stages.audit")
    True
    """
    return _shortened(closure(module))


def _shortened(files: Iterable[Path]) -> list[str]:
    left = set(files)
    for folder in sorted({folder for file in left for folder in file.parents if len(folder.parts) > 1}):
        inside = {path.relative_to(SOURCE) for path in (SOURCE / folder).rglob("*")
                  if path.is_file() and "__pycache__" not in path.parts}
        if len(inside) > 1 and {file for file in inside if runs(file)} <= left:
            left = {file for file in left if folder not in file.parents} | {folder}
    return sorted(file.as_posix() for file in left)


def written(graph: str) -> str:
    """The text of a graph with each stage's code as computed, everything else as it is.

    Raises UserError for a stage that runs no module of ser_ops, or whose `deps` name no code yet.
    """
    parts = re.split(r"(?m)^(?=  \w+:$)", graph)
    return parts[0] + "".join(_stage(part) for part in parts[1:])


def _stage(part: str) -> str:
    name, command = part.split(":", 1)[0].strip(), _COMMAND.search(part)
    lines = part.split("\n")
    places = [number for number, line in enumerate(lines) if _CODE.match(line)]
    if command is None or not places:
        raise UserError(f"stage {name}: runs no module of ser_ops, or names none of its files under deps: add "
                        "'- ser_ops/stages/NAME.py'")
    indent = str(_CODE.match(lines[places[0]])[1])  # type: ignore[index]
    kept = [line for number, line in enumerate(lines) if number not in places[1:]]
    kept[places[0]:places[0] + 1] = [f"{indent}- {path}" for path in code_of(command[1])]
    return "\n".join(kept)


def main() -> None:
    """Bring both graphs to what the imports say."""
    for name in GRAPHS:
        path = SOURCE / name
        before = path.read_text(encoding="utf-8")
        after = written(before)
        if after != before:
            write_text(path, after)
        print(f"{name}: {'brought to the imports' if after != before else 'agrees with the imports'}")


if __name__ == "__main__":
    main()
