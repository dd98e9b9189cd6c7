import re
import shutil
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from ser_ops.config.params import PRESET_SECTIONS, load_params, load_preset, preset_names
from ser_ops.config.training import Training
from ser_ops.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]
PARAMS = PROJECT / "params.yaml"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """params.yaml with its presets in a folder of its own."""
    shutil.copytree(PROJECT / "presets", tmp_path / "presets")
    return Path(shutil.copy(PARAMS, tmp_path))


def change(file: Path, *keys: str, value: object = None, rename: str | None = None) -> None:
    content = yaml.safe_load(file.read_text())
    section = content
    for key in keys[:-1]:
        section = section[key]
    if rename:
        section[rename] = section.pop(keys[-1])
    else:
        section[keys[-1]] = value
    file.write_text(yaml.safe_dump(content))


def test_the_committed_params_are_valid_and_frozen() -> None:
    params = load_params(PARAMS)
    assert params.chosen == load_preset(params.preset, PARAMS) and params.chosen.features is params.features
    assert len(PARAMS.read_text().splitlines()) <= 150
    with pytest.raises(Exception, match="frozen"):
        params.train.epochs = 3  # type: ignore[misc]


def test_a_preset_lays_its_settings_over_sections(settings: Path) -> None:
    demo, paper = load_params(settings), load_params(settings, "paper")
    assert paper.over["train"] and demo.over == {} and paper.preset == "paper"
    assert paper == load_params(settings, "paper") != demo
    for section in ("train", "tune"):
        before, after = getattr(demo, section).model_dump(), getattr(paper, section).model_dump()
        changes = dict(paper.over[section])
        if "trial" in changes:
            changes["trial"] = before["trial"] | changes["trial"]
        given = {name: value for name, value in changes.items() if name != "space"}
        assert {name: value for name, value in after.items() if name != "space"} == {
            name: value for name, value in before.items() if name != "space"} | given
        assert after != before
    assert paper.head.hidden == demo.head.hidden and paper.head.dropout != demo.head.dropout
    assert paper.spectral.design == "blocks", "another design is not laid over the settings of this one"


@pytest.mark.parametrize("name", preset_names(PARAMS))
def test_a_preset_holds_only_what_differs(name: str) -> None:
    base = yaml.safe_load(PARAMS.read_text())
    for section, changes in yaml.safe_load((PROJECT / f"presets/{name}.yaml").read_text()).items():
        same = [key for key, value in changes.items() if base[section].get(key, ...) == value]
        if changes.get("design", base[section].get("design")) == base[section].get("design") and name != "paper":
            assert not same, f"{section}: {same}"


def test_a_trial_trains_by_section_train_but_for_what_tune_says(settings: Path) -> None:
    told = yaml.safe_load(settings.read_text())["tune"]["trial"]
    params = load_params(settings)
    assert params.tune.trial == Training(**params.train.training().model_dump() | told)
    change(settings, "train", "mixup", value=0.4)
    assert load_params(settings).tune.trial.mixup == 0.4


@pytest.mark.parametrize("name", ["demo", "small", "paper"])
def test_a_setting_given_on_the_command_line_changes_its_own_preset_alone(settings: Path, name: str) -> None:
    """`dvc exp run -S presets/NAME.yaml:KEY=VALUE` writes into the preset's file, with + where it has no such key."""
    given = {"features.hop": 300, "stacked.mfcc": 13, "image.mels": 64, "wav2vec.hidden": 32,
             "head.dropout": 0.25, "vit.layers": 3, "beit.heads": 2, "train.epochs": 3}
    before = {preset: load_params(settings, preset) for preset in preset_names(settings)}
    apply_overrides(settings.parent / f"presets/{name}.yaml", [f"++{key}={value}" for key, value in given.items()])
    after = {preset: load_params(settings, preset) for preset in preset_names(settings)}
    assert {preset for preset in before if after[preset] != before[preset]} == {name}
    for key, value in given.items():
        section, setting = key.split(".")
        assert getattr(getattr(after[name], section), setting) == value


def test_dvc_sees_what_a_preset_changes() -> None:
    """A stage that reads a section of a preset names it in params.yaml and in the preset's file."""
    for graph in ("dvc.yaml", "reproduction/dvc.yaml"):
        for name, stage in yaml.safe_load((PROJECT / graph).read_text())["stages"].items():
            files = {file: keys for entry in stage.get("do", stage).get("params", []) if isinstance(entry, dict)
                     for file, keys in entry.items()}
            if (overlay := files.get("presets/${preset}.yaml")) is None:
                continue
            base = {key.split(".")[0] for key in files["params.yaml"]}
            assert set(overlay) <= {*base, "train"} and "preset" in base and set(overlay) <= set(PRESET_SECTIONS), name


def test_the_search_runs_again_for_each_setting_that_its_trials_take_from_train() -> None:
    told = yaml.safe_load(PARAMS.read_text())["tune"]["trial"]
    entries = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]["tune"]["params"]
    keys = next(entry["params.yaml"] for entry in entries if "params.yaml" in entry)
    taken = {key.removeprefix("train.") for key in keys if key.startswith("train.")}
    assert taken == Training.model_fields.keys() - told.keys() | {"model"}


def test_every_gate_limit_has_a_reason() -> None:
    for name, limit in load_params(PARAMS).gate:
        assert len(limit.reason.split()) > 5, name


@pytest.mark.parametrize(("keys", "kwargs", "words"), [
    (("train", "epochs"), {"rename": "epocs"}, r"train\.epocs: unknown key, did you mean 'epochs'\?"),
    (("tune", "trial", "seed"), {"rename": "sed"}, r"tune\.trial\.sed: unknown key, did you mean 'seed'\?"),
    (("features", "hop"), {"rename": "hopp"}, r"features\.hopp: unknown key, did you mean 'hop'"),
    (("train",), {"rename": "trian"}, r"trian: unknown key, did you mean 'train'\?"),
    (("over",), {"value": {}}, r"over: unknown key"),
    (("train", "epochs"), {"value": -3}, r"train\.epochs is -3: input should be greater than or equal to 1"),
    (("train", "learning_rate"), {"value": "fast"}, r"train\.learning_rate is 'fast'"),
    (("preset",), {"value": "huge"}, r"'huge' is not among the presets \(demo, paper, papers_cpu, pretrained, small\)"),
    (("partitions", "test"), {"value": 0.9}, r"nothing for training"),
    (("tune", "space"), {"value": {"depth": {"low": 1, "high": 2}}}, r"'depth', which is no training setting"),
    (("augment", "variants"), {"value": ["noisy"]}, r"variants start with original"),
    (("wav2vec", "layers"), {"value": 10**6}, r"wav2vec\.layers is 1000000: .*equal to 128"),
    (("features", "seconds"), {"value": 1e308}, r"features\.seconds is 1e\+308: .*equal to 60"),
    (("image", "hop"), {"value": 1}, r"image: .* too many for one window"),
    (("spectral", "pools"), {"value": [[1, 100]] * 4}, r"makes one of 100000000 frames"),
    (("spectral", "channels"), {"value": [8192] * 4}, r"a layer of [\d,]+ values for one window"),
    (("evaluate", "speed_utterances"), {"value": 10**12}, r"equal to 1000000"),
    (("train", "seed"), {"value": 2**32}, r"less than 4294967296"),
    (("train", "weight_decay"), {"value": float("nan")}, r"train\.weight_decay is nan"),
])
def test_a_wrong_setting_is_one_line_that_names_it(settings: Path, keys, kwargs, words) -> None:
    change(settings, *keys, **kwargs)
    with pytest.raises(UserError, match=words) as caught:
        load_params(settings)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"{settings}: ")


@pytest.mark.parametrize(("keys", "value", "words"), [
    (("features", "hopp"), 3, r"features\.hopp: unknown key, did you mean 'hop'"),
    (("train", "epoch"), 3, r"train\.epoch: unknown key, did you mean 'epochs'"),
    (("tune", "trials"), -1, r"tune\.trials is -1"),
    (("train", "model"), "spectral", r"train names 'model': choose one of"),
    (("image", "hop"), 1, r"image: .* too many for one window"),
    (("evaluate",), {"seeds": [1]}, r"evaluate: no section that a preset changes: features, stacked"),
    (("vit",), None, r"vit: dvc\.yaml names this section: write `vit: \{\}` where nothing differs"),
])
def test_a_wrong_setting_of_a_preset_names_its_file(settings: Path, keys, value, words) -> None:
    file = settings.parent / "presets/demo.yaml"
    change(file, *keys, value=value)
    with pytest.raises(UserError, match=words) as caught:
        load_params(settings)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"{file}: ")


@pytest.mark.parametrize(("content", "words"), [("train: [", "not YAML in line"), ("- 1", "holds no sections")])
def test_what_is_no_params_file_is_said(tmp_path: Path, content: str, words: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(content)
    with pytest.raises(UserError, match=words):
        load_params(file)


def test_a_missing_params_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape("run from the project's top folder")):
        load_params(tmp_path / "params.yaml")
