"""Read params.yaml into `Params`, or say in one line what is wrong with it."""

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from ser_ops.config.sections import Params
from ser_ops.errors import UserError


def _known_keys(location: tuple[str | int, ...]) -> list[str]:
    model: Any = Params
    for part in location:
        if isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            model = model.model_fields[str(part)].annotation
        else:
            arguments = getattr(model, "__args__", ())
            model = arguments[-1] if arguments else None
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _sentence(error: Any) -> str:
    *parents, key = error["loc"] or ("",)
    where = ".".join(map(str, error["loc"])) or "params"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(key), _known_keys(tuple(parents)), n=1)
        return f"{where}: unknown key" + (f", did you mean {near[0]!r}?" if near else ": remove it")
    if error["type"] == "missing":
        return f"{where}: missing key"
    message = error["msg"].removeprefix("Value error, ")
    value = "" if isinstance(error["input"], dict) else f" is {error['input']!r}"
    return f"{where}{value}: {message[0].lower()}{message[1:]}"


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml.

    Raises UserError that names the key, the value and what is allowed: for a missing file, for what is
    not YAML, for an unknown key and for a value out of range.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}): run from the project's top folder") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}: not YAML{line}: {getattr(error, 'problem', error)}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no sections: restore it with `git checkout {path}`")
    try:
        return Params(**content)
    except ValidationError as error:
        raise UserError(f"{path}: " + "; ".join(_sentence(one) for one in error.errors())) from error
