import re
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from ser_ops.config.params import load_params
from ser_ops.errors import UserError

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


def changed(tmp_path: Path, *keys: str, value: object = None, rename: str | None = None) -> Path:
    content = yaml.safe_load(PARAMS.read_text())
    section = content
    for key in keys[:-1]:
        section = section[key]
    if rename:
        section[rename] = section.pop(keys[-1])
    else:
        section[keys[-1]] = value
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def test_the_committed_params_are_valid_and_frozen():
    params = load_params(PARAMS)
    assert params.chosen is params.presets[params.preset]
    with pytest.raises(Exception, match="frozen"):
        params.train.epochs = 3  # type: ignore[misc]


def test_a_preset_lays_its_settings_over_sections(tmp_path):
    calm, paper = load_params(PARAMS), load_params(changed(tmp_path, "preset", value="paper"))
    over = paper.chosen.over
    assert over["train"] and calm.chosen.over == {}
    for section in ("train", "tune"):
        before, after = getattr(calm, section).model_dump(), getattr(paper, section).model_dump()
        assert after == before | dict(over[section]) != before
    with pytest.raises(UserError, match=r"over\.train names 'epoch': choose of"):
        load_params(changed(tmp_path, "presets", "paper", "over", value={"train": {"epoch": 3}}))
    with pytest.raises(UserError, match=r"presets\.paper: over\.tune names 'trial_s'"):
        load_params(changed(tmp_path, "presets", "paper", "over", value={"tune": {"trial_s": 3}}))


@pytest.mark.parametrize("name", ["demo", "small", "paper"])
def test_a_setting_given_on_the_command_line_changes_its_own_preset_alone(tmp_path, name):
    """`dvc exp run -S` writes into params.yaml; presets that share lines by anchors would change together."""
    before = yaml.safe_load(PARAMS.read_text())["presets"]
    given = {"features.hop": 300, "stacked.mfcc": 13, "image.mels": 64, "wav2vec.hidden": 32, "spectral.channels": [8],
             "head.dropout": 0.25, "vit.layers": 3, "beit.heads": 2}
    (tmp_path / "params.yaml").write_text(PARAMS.read_text())
    apply_overrides(tmp_path / "params.yaml", [f"presets.{name}.{key}={value}" for key, value in given.items()])
    after = yaml.safe_load((tmp_path / "params.yaml").read_text())["presets"]
    assert {preset for preset in before if after[preset] != before[preset]} == {name}
    for key, value in given.items():
        section, setting = key.split(".")
        assert after[name][section][setting] == value


def test_every_gate_limit_has_a_reason():
    for name, limit in load_params(PARAMS).gate:
        assert len(limit.reason.split()) > 5, name


@pytest.mark.parametrize(("keys", "kwargs", "words"), [
    (("train", "epochs"), {"rename": "epocs"}, r"train\.epocs: unknown key, did you mean 'epochs'\?"),
    (("tune", "trial", "seed"), {"rename": "sed"}, r"tune\.trial\.sed: unknown key, did you mean 'seed'\?"),
    (("presets", "small", "features", "hop"), {"rename": "hopp"}, r"presets\.small\.features\.hopp: unknown key, did"),
    (("train",), {"rename": "trian"}, r"trian: unknown key, did you mean 'train'\?"),
    (("train", "epochs"), {"value": -3}, r"train\.epochs is -3: input should be greater than or equal to 1"),
    (("train", "learning_rate"), {"value": "fast"}, r"train\.learning_rate is 'fast'"),
    (("preset",), {"value": "huge"}, r"'huge' is not among the presets \(demo, paper, small\)"),
    (("partitions", "test"), {"value": 0.9}, r"nothing for training"),
    (("tune", "space"), {"value": {"depth": {"low": 1, "high": 2}}}, r"'depth', which is no training setting"),
    (("augment", "variants"), {"value": ["noisy"]}, r"variants start with original"),
    (("presets", "small", "wav2vec", "layers"), {"value": 10**6}, r"wav2vec\.layers is 1000000: .*equal to 128"),
    (("presets", "small", "features", "seconds"), {"value": 1e308}, r"features\.seconds is 1e\+308: .*equal to 60"),
    (("presets", "small", "image", "hop"), {"value": 1}, r"presets\.small\.image: .* too many for one window"),
    (("presets", "small", "spectral", "pools"), {"value": [[1, 100]] * 4}, r"makes one of 100000000 frames"),
    (("presets", "small", "spectral", "channels"), {"value": [8192] * 4}, r"a layer of [\d,]+ values for one window"),
    (("evaluate", "speed_utterances"), {"value": 10**12}, r"equal to 1000000"),
    (("train", "seed"), {"value": 2**32}, r"less than 4294967296"),
    (("train", "weight_decay"), {"value": float("nan")}, r"train\.weight_decay is nan"),
])
def test_a_wrong_setting_is_one_line_that_names_it(tmp_path, keys, kwargs, words):
    file = changed(tmp_path, *keys, **kwargs)
    with pytest.raises(UserError, match=words) as caught:
        load_params(file)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)


@pytest.mark.parametrize(("content", "words"), [("train: [", "not YAML in line"), ("- 1", "holds no sections")])
def test_what_is_no_params_file_is_said(tmp_path, content, words):
    file = tmp_path / "params.yaml"
    file.write_text(content)
    with pytest.raises(UserError, match=words):
        load_params(file)


def test_a_missing_params_file_is_said(tmp_path):
    with pytest.raises(UserError, match=re.escape("run from the project's top folder")):
        load_params(tmp_path / "params.yaml")
