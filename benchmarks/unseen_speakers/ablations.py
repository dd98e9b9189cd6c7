"""What each ingredient of the preset brings: the model trained without it."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from ser_ops.config.params import Params, load_preset
from ser_ops.errors import UserError

FILE = Path(__file__).with_name("ablations.yaml")


def changed(params: Params, changes: Mapping[str, Any]) -> Params:
    """The settings with other values at these paths ("train.mixup"); `preset` is laid over them first.

    Raises UserError for a path that names no setting.
    """
    content = params.model_dump(mode="json")
    if "preset" in changes:
        preset = load_preset(changes["preset"])
        content |= preset.model_dump(mode="json")
        for section_name, values in preset.over.items():
            content[section_name] |= values
    for path, value in changes.items():
        *sections, name = path.split(".")
        section = content
        for key in sections:
            section = section.get(key, {})
        if name not in section:
            raise UserError(f"{FILE.name}: {path}: no such setting: correct its path")
        section[name] = value
    return Params(**content)


def ablations(params: Params, names: Collection[str] = (), path: Path = FILE) -> Iterator[tuple[str, Params]]:
    """Name and settings of each ablation, or of those named, in order. Raises UserError for a name of none."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if unknown := sorted(set(names) - set(content["without"])):
        raise UserError(f"{path.name}: no ablation {unknown[0]!r}: choose one of {', '.join(content['without'])}")
    for name, changes in content["without"].items():
        if not names or name in names:
            yield name, changed(params, {**content["base"], **changes})
