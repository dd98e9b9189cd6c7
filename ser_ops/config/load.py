"""Read params.yaml into `Params`, or say in one line what is wrong with it."""

from pathlib import Path

from ser_ops.config.sections import Params
from ser_ops.documents import Model, checked, read_yaml
from ser_ops.errors import UserError


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml.

    Raises UserError that names the key, the value and what is allowed: for a missing file, for what is
    not YAML, for an unknown key and for a value out of range.
    """
    return load_as(Params, path)


def load_as(kind: type[Model], path: Path) -> Model:
    """Read and check a settings file of another kind than params.yaml, as strictly as `load`."""
    restore = f"restore it with `git checkout {path}`"
    content = read_yaml(path, "run from the project's top folder", f"mend it, or {restore}")
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no sections: {restore}")
    return checked(kind, content, str(path))
