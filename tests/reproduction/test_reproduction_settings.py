"""reproduction/params.yaml: valid as committed, and a wrong setting is an error of one line."""

from pathlib import Path

import pytest
import yaml

from reproduction.settings import load_settings
from ser_ops.errors import UserError

COMMITTED = Path(__file__).parents[2] / "reproduction" / "params.yaml"


def test_the_committed_settings_are_valid_and_frozen():
    settings = load_settings(COMMITTED)
    assert settings.folds.explained in settings.folds.models
    with pytest.raises(Exception, match="frozen"):
        settings.seed = 3  # type: ignore[misc]


def test_stages_that_follow_augment_follow_what_a_preset_changes_of_it():
    graph = yaml.safe_load((COMMITTED.parent / "dvc.yaml").read_text(encoding="utf-8"))
    for name, written in graph["stages"].items():
        stage = written.get("do", written)      # do: of a stage that stands for several
        files = {file: keys for entry in stage["params"] if isinstance(entry, dict) for file, keys in entry.items()}
        named = files.get("params.yaml", []) + [entry for entry in stage["params"] if isinstance(entry, str)]
        if any(key.partition(".")[0] == "augment" for key in named):
            assert "preset" in named and "augment" in files["presets/${preset}.yaml"], name


@pytest.mark.parametrize(("change", "message"), [
    ({"fold": {}}, r"fold: unknown key, did you mean 'folds'\?"),
    ({"seed": -1}, r"seed is -1: input should be greater than or equal to 0"),
    ({"splits": {"models": ["cnn"], "variants": "all", "train": {"epoch": 3}}}, r"splits: train names 'epoch', which"),
    ({"corpora": {"models": ["huge"], "train": {}}}, r"corpora\.models\.0 is 'huge'"),
    ({"corpora": {"models": [], "train": {}}}, r"corpora\.models"),
    ({"corpora": {"models": ["cnn"], "variants": ["noisy"], "train": {}}}, r"corpora\.variants.*'original' or 'all'"),
])
def test_a_wrong_setting_is_an_error_that_names_file_and_key(tmp_path, change, message):
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(COMMITTED.read_text()) | change))
    with pytest.raises(UserError, match=message) as caught:
        load_settings(file)
    assert str(caught.value).startswith(f"{file}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(("folds", "message"), [
    ({"models": {"cnn": {"epoch": 3}}}, r"models\.cnn names 'epoch'"),
    ({"explained": "fusion"}, r"explained is 'fusion', which is not among its models"),
    ({"count": 1}, r"folds\.count is 1"),
])
def test_folds_explain_a_model_that_they_train(tmp_path, folds, message):
    content = yaml.safe_load(COMMITTED.read_text())
    content["folds"] |= folds
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=message):
        load_settings(tmp_path / "params.yaml")
