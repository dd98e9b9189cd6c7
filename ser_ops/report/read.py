"""What lies in reports/: every file that the page is built from, or None where it is not there yet."""

import base64
import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ser_ops.documents import read_json
from ser_ops.errors import UserError

JSON: dict[str, str] = {  # file of reports/ and the stage that writes it
    "metrics": "evaluate", "behaviour": "behave", "gate": "judge", "data_validation": "validate", "leak_audit": "audit",
    "explanations": "explain", "clips": "report", "provenance": "report", "published": "report"}
CSV: dict[str, str] = {"ablation": "evaluate", "robustness": "evaluate", "history": "report"}
_KINDS = {".png": "image/png", ".wav": "audio/wav"}


@dataclass(frozen=True)
class Sources:
    """The content of the files, and the names of those that are missing with the stage that writes each."""

    folder: Path
    files: dict[str, Any]
    missing: list[tuple[str, str]]

    def __getitem__(self, name: str) -> Any:
        """A file's content by its name without suffix; None when it is missing."""
        return self.files[name]

    def embed(self, name: object) -> Markup | None:
        """A picture or sound under reports/ as a data URI; None when there is none of that name.

        Names come from files that others may have written: one that leads out of the folder is as good as missing.
        """
        if not isinstance(name, str):
            return None
        path, top = (self.folder / name).resolve(), self.folder.resolve()
        kind = _KINDS.get(path.suffix)
        if kind is None or not path.is_relative_to(top) or not path.is_file():
            return None
        return Markup(f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}")


def read(reports: Path) -> Sources:
    """Read what is there.

    Raises UserError when the folder holds none of the files, or one of them is not what its name says.
    """
    files: dict[str, Any] = {}
    missing = []
    for name, stage in (JSON | CSV).items():
        path = reports / f"{name}.{'json' if name in JSON else 'csv'}"
        if not path.is_file():
            files[name] = None
            missing.append((path.name, stage))
            continue
        files[name] = read_json(path) if name in JSON else _read_csv(path)
        if name in JSON and not isinstance(files[name], dict):
            raise UserError(f"{path}: is no report of the stage {stage}: remove it and run that stage again")
    if len(missing) == len(JSON | CSV):
        raise UserError(f"{reports}: holds no reports: run the pipeline first (dvc repro)")
    return Sources(reports, files, missing)


def _number(value: str | None) -> Any:
    try:
        return float(value) if value else None
    except ValueError:
        return value


def _read_csv(path: Path) -> list[dict[str, Any]]:
    """Rows with numbers as floats and empty fields as None."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [{key: _number(value) for key, value in row.items() if key} for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error}): remove it and run its stage again") from error
