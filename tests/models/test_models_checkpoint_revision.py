"""A checkpoint is of one revision: a commit of the hub, or what its folder holds; other weights are seen."""

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from huggingface_hub import errors
from project_copy import write_settings
from test_models_checkpoint import FAMILY, checkpoint, preset_of
from warm_programs import warm_programs

from ser_ops.config.params import load_params, load_preset, preset_names
from ser_ops.errors import UserError
from ser_ops.models.architectures import build
from ser_ops.models.checkpoint import digest, origin

PROJECT = Path(__file__).resolve().parents[2]
FIRST, SECOND, UNKNOWN = "1" * 40, "2" * 40, "3" * 40
SET = "set wav2vec.revision in params.yaml or the preset's file to"


def test_a_folder_of_other_files_is_refused_with_what_to_write(tmp_path: Path) -> None:
    checkpoint(tmp_path, preprocessor={"do_normalize": False})
    kept = digest(tmp_path)
    build("wav2vec", preset_of(tmp_path, kept))
    (tmp_path / "README.md").write_text("of no weight")
    assert digest(tmp_path) == kept
    with pytest.raises(UserError, match=f"no revision of it is named: {SET} {kept}"):
        origin(str(tmp_path), None, "wav2vec")
    for name in ("model.safetensors", "config.json", "preprocessor_config.json"):
        before = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(before + b" ")
        with pytest.raises(UserError, match=f"not those of revision {kept}: set .* to {digest(tmp_path)} to"):
            build("wav2vec", preset_of(tmp_path, kept))
        (tmp_path / name).write_bytes(before)
    assert digest(shutil.copytree(tmp_path, tmp_path / "copy")) == kept, "wherever it lies"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine's cache of the hub, with two revisions of someone/made; main is the second."""
    for revision, seed in ((FIRST, 1), (SECOND, 2)):
        folder = tmp_path / "models--someone--made/snapshots" / revision
        checkpoint(folder, preprocessor={"do_normalize": revision == FIRST})
        torch.manual_seed(seed)
        network = FAMILY["wav2vec2"][1].from_pretrained(folder)
        torch.nn.init.normal_(network.feature_projection.projection.weight)
        network.save_pretrained(folder)
    (tmp_path / "models--someone--made/refs").mkdir()
    (tmp_path / "models--someone--made/refs/main").write_text(SECOND)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "models--someone--made/snapshots"


@pytest.mark.parametrize("revision", [FIRST, SECOND])
def test_the_named_revision_is_read_and_no_other(cache: Path, revision: str) -> None:
    model = build("wav2vec", preset_of("someone/made", revision))
    expected = FAMILY["wav2vec2"][1].from_pretrained(cache / revision).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.backbone.network.state_dict().items())
    assert model.backbone.config.input_normalised == (revision == FIRST), "its preprocessor file, too"


def test_a_name_that_moves_is_refused_with_the_commit_that_it_is_now(cache: Path) -> None:
    with pytest.raises(UserError, match=f"no revision of it is named: set .* to {SECOND}, its current commit"):
        build("wav2vec", preset_of("someone/made"))
    with pytest.raises(UserError, match=f"main is a name that may change: set .* to {SECOND}"):
        build("wav2vec", preset_of("someone/made", "main"))
    with pytest.raises(UserError, match=f"someone/made: no such checkpoint: .*no hub is.*--revision {UNKNOWN}"):
        build("wav2vec", preset_of("someone/made", UNKNOWN))


@pytest.mark.parametrize(("answer", "revision", "words"), [
    ((FIRST, ["model.safetensors"]), None, f"is named: {SET} {FIRST}, its current"),
    ((FIRST, ["model.safetensors"]), "v1.0", f"may change: {SET} {FIRST}"),
    ((FIRST, ["pytorch_model.bin"]), FIRST, f"its commit {FIRST} holds no safetensors: name that of a pull request"),
    (errors.RevisionNotFoundError, UNKNOWN, f"the hub has no revision {UNKNOWN} of it"),
    (errors.RepositoryNotFoundError, FIRST, "the hub has no such checkpoint that you may read")])
def test_what_the_hub_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: object, revision: str | None,
                              words: str) -> None:
    asked = []

    def model_info(_: object, name: str, revision: str | None, timeout: float) -> object:
        asked.append((name, revision, timeout))
        if isinstance(answer, tuple):
            return SimpleNamespace(sha=answer[0], siblings=[SimpleNamespace(rfilename=name) for name in answer[1]])
        raise answer("no", response=SimpleNamespace(headers={}, request=None))  # type: ignore[operator]

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", model_info)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError) as raised:
        build("wav2vec", preset_of("someone/other", revision))
    assert words in str(raised.value) and "\n" not in str(raised.value)
    assert asked == [("someone/other", revision, 10)]


def test_the_presets_name_commits() -> None:
    """What the hub did not tell yet is null, and then loading says what to write."""
    for preset in (load_preset(name) for name in preset_names()):
        for settings in (preset.wav2vec, preset.vit, preset.beit):
            assert settings.revision is None or (settings.checkpoint and len(settings.revision) == 40)


def test_a_folder_that_dvc_does_not_watch_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    values = yaml.safe_load((PROJECT / "params.yaml").read_text())
    for folder in ("elsewhere", "pretrained/made"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pretrained/linked").symlink_to(tmp_path / "elsewhere")
    for name, refused in (("elsewhere", True), (str(tmp_path / "elsewhere"), True), ("pretrained/linked", True),
                          ("pretrained/made", False), (str(tmp_path / "pretrained/made"), False), ("a/b", False)):
        values["wav2vec"]["checkpoint"] = name
        write_settings(tmp_path, values)
        if refused:
            with pytest.raises(UserError, match=r"wav2vec\.checkpoint: .* does not lie in pretrained .*: move or copy"):
                load_params()
        else:
            assert load_params().chosen.wav2vec.checkpoint == name


def dvc(*command: str) -> str:
    return subprocess.run([warm_programs() / "dvc", *command], capture_output=True, text=True, check=True,
                          env=os.environ | {"DVC_NO_ANALYTICS": "1"}).stdout


def test_dvc_names_every_training_when_weights_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph's own stages, with what they depend on but code, and one file each in the place of a command."""
    monkeypatch.chdir(tmp_path)
    write_settings(tmp_path)
    shutil.copy(PROJECT / ".dvcignore", tmp_path)
    shutil.copytree(PROJECT / "pretrained", tmp_path / "pretrained")
    stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
    trained = [name for name, stage in stages.items() if "${paths.pretrained}" in stage["deps"]]
    assert trained == ["tune", "train", "ablate"]
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {
        name: {"cmd": f"echo {name} > {name}", "params": ["wav2vec"], "deps": ["${paths.pretrained}"],
               "outs": [name]} for name in trained}}))
    dvc("init", "-q", "--no-scm")
    dvc("repro", "-q")
    with (tmp_path / "pretrained/README.md").open("a") as file:
        file.write("other words")
    assert "up to date" in dvc("status")
    weights = tmp_path / "pretrained/made/model.safetensors"
    weights.parent.mkdir()
    for content in ("first", "second"):
        weights.write_text(content)
        said = dvc("status")
        assert all(f"{name}:" in said for name in trained)
        dvc("commit", "-q", "-f")
