"""`ser-ops params` lists every setting, and where it is set."""

import json

import yaml
from project_copy import PROJECT
from typer.testing import CliRunner

from ser_ops.cli import app
from ser_ops.cli.params import list_settings
from ser_ops.errors import UserError


def keys_of(value: object, key: str = "") -> list[str]:
    if isinstance(value, dict) and key != "tune.space":
        return [inner for name, entry in value.items() for inner in keys_of(entry, f"{key}.{name}".lstrip("."))]
    return [key]


def test_every_key_of_params_yaml_is_listed_with_a_type_and_a_meaning() -> None:
    listed = {setting.key: setting for setting in list_settings()}
    content = yaml.safe_load((PROJECT / "params.yaml").read_text())
    assert set(keys_of(content)) <= set(listed)
    for setting in listed.values():
        assert setting.type and len(setting.meaning) > 3, setting.key
    assert listed["train.warmup"].type == "number, at least 0.0, below 1.0"
    assert listed["tune.trial.batch_size"].value == content["train"]["batch_size"]


def test_a_section_is_listed_with_the_file_that_sets_each_value() -> None:
    done = CliRunner().invoke(app, ["params", "head", "explain.listen", "--preset", "paper"])
    assert done.stdout.splitlines()[:2] == [
        "head.hidden = 128 [integer, at least 1, at most 8,192] values of its hidden layer",
        "head.dropout = 0.5 (presets/paper.yaml) [number, at least 0.0, below 1.0] in training"]
    assert len(done.stdout.splitlines()) == 6
    done = CliRunner().invoke(app, ["params", "train.epochs", "--json"])
    assert json.loads(done.stdout)["value"] == 5 and json.loads(done.stdout)["file"] == "params.yaml"
    done = CliRunner().invoke(app, ["params", "trian"])
    assert isinstance(done.exception, UserError) and "trian: no section or key of params.yaml" in str(done.exception)
