"""Models from outside: what they may not do, and what is said of them."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from ser_ops.errors import UserError
from ser_ops.models.model_folder import load
from ser_ops.tracking.models import fetch_model
from ser_ops.tracking.package import package_model, packaged_answers
from ser_ops.tracking.runs import open_run
from ser_ops.tracking.server import quiet_mlflow

WATCHING = """
import json, os, pathlib
pathlib.Path({target!r}).write_text(json.dumps([dict(os.environ), str(pathlib.Path.home())]))
"""


@pytest.mark.slow
def test_the_code_of_a_package_sees_no_credential_and_no_home(params, project, tmp_path, monkeypatch):
    package = package_model(params, project().folder, Path("package"))
    seen = tmp_path / "seen.json"
    code = package / "served_model.py"
    code.write_text(code.read_text() + WATCHING.format(target=str(seen)))
    planted = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD",
               "PREFECT_API_AUTH_STRING", "GITHUB_TOKEN")
    for name in planted:
        monkeypatch.setenv(name, "planted")
    answers = packaged_answers(package, [np.sin(np.arange(16000) / 9)], 16000)
    assert answers.shape == (1, 7)
    environment, home = json.loads(seen.read_text())
    assert not {name for name, value in environment.items() if "planted" in value}
    assert environment["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false" and home != str(Path.home())


def test_of_a_package_weights_and_cards_are_fetched_and_nothing_else(params, project):
    package = package_model(params, project().folder, Path("package"))
    inside = package / "artifacts" / "model"
    (inside / "conftest.py").write_text("raise SystemExit('it ran')")
    (inside / "more").mkdir()
    (inside / "more" / "weights.pkl").write_bytes(b"\x80\x04.")
    with open_run(params, "train", {}) as run:
        run.artifact(package, "model")
    folder = fetch_model(params, f"runs:/{run.id}/model")
    assert {file.name for file in folder.rglob("*")} == {"weights.safetensors", "model.json", "model_card.md"}
    assert load(folder)[1]["model"] == "spectral"


@pytest.mark.parametrize(("file", "content", "words"), [
    ("MLmodel", b"a: b\n" * 2**22, "MLmodel: is larger than 0.5 MiB"),
    ("model.json", b" " * 2**25, "model.json: is larger than 16 MiB"),
    ("model.json", b"[" * 200_000, "more than 64 deep"),
    *(("MLmodel", text.encode(), "is no model of ser-ops") for text in (
        "flavors: null", "flavors: []", "flavors: {python_function: null}", "flavors: {python_function: [a]}", "- 1",
        "", "flavors: {1: {}, a: {}}", "flavors: 5")),
    ("MLmodel", b"flavors: !!python/object:os.system {}", "is not plain data"),
    ("MLmodel", b"\xff\xfe", "is not UTF-8"), ("MLmodel", b"[" * 200_000, "more than 64 deep")])
def test_a_text_from_a_stranger_is_one_line(params, project, file, content, words):
    folder = project().folder
    (folder / file).write_bytes(content)
    with pytest.raises(UserError, match=words) as raised:
        fetch_model(params, str(folder))
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("start", [struct.pack("<Q", 2**62), struct.pack("<Q", 90 * 2**20) + b"{", b"", b"\x80\x04."])
def test_weights_with_a_header_that_lies_are_one_line(params, project, start):
    folder = project().folder
    (folder / "weights.safetensors").write_bytes(start)
    with pytest.raises(UserError, match="not a safetensors file") as raised:
        load(fetch_model(params, str(folder)))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("model", ["spectral", "vit"])
def test_a_card_that_asks_for_all_memory_gets_none(params, project, model):
    """Weights of some kilobytes, and a card of a model of terabytes."""
    folder = project(model=model).folder
    card = json.loads((folder / "model.json").read_text())
    if model == "vit":
        card["preset_settings"]["vit"]["hidden"] = card["backbone_config"]["hidden_size"] = 2**20
    else:
        spectral = card["preset_settings"]["spectral"]
        spectral["channels"] = [2**20] * len(spectral["channels"])
    (folder / "model.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match="less than or equal to 8192"):
        load(folder)


def test_pickle_is_forbidden_wherever_mlflow_is_used(monkeypatch):
    monkeypatch.delenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", raising=False)
    quiet_mlflow()
    from mlflow.environment_variables import MLFLOW_ALLOW_PICKLE_DESERIALIZATION
    assert MLFLOW_ALLOW_PICKLE_DESERIALIZATION.get() is False
