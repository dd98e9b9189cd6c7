"""Model folders: what was saved comes back, what is not a model is refused in one line."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ser_ops.config import load as load_params
from ser_ops.errors import UserError
from ser_ops.features import channels_of, shape_of
from ser_ops.files import sha256
from ser_ops.models import MODELS, build, count, input_of, load, save

SMALL = load_params().presets["small"]
BACKBONES = {"fusion", "concat", "wav2vec", "vit", "beit"}
STANDARDISED = {"fusion", "concat", "spectral", "cnn", "lstm", "cnn_lstm"}


@pytest.mark.parametrize("name", tuple(MODELS))
def test_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    reads = SMALL.input_of(name)
    channels = range(channels_of(reads))
    mean_std = {"mean": [float(k) for k in channels], "std": [1.0 + k for k in channels]}
    model = build(name, SMALL, mean_std, seed=8).eval()
    save(tmp_path / "model", model, {"preset": "small", "best_epoch": 3, "model": "a card cannot rename it"})
    again, card = load(tmp_path / "model")
    batch = (0.1 * torch.randn(2, 40000), torch.tensor([40000, 25000]), torch.randn(2, *shape_of(reads)))
    with torch.inference_mode():
        assert torch.equal(model(*batch), again(*batch))
    assert not again.training and again.name == name and again.preset == SMALL
    assert (card["model"], card["preset"], card["best_epoch"], card["parameters"]) == (name, "small", 3, count(model))
    assert input_of(card) == reads
    assert card["standardisation"] == (mean_std if name in STANDARDISED else None)
    assert card["backbone"] == ("random weights, small configuration" if name in BACKBONES
                                else "none, this model has no pretrained part")
    assert (card["backbone_config"] is not None) == (name in BACKBONES)
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == ["model.json", "weights.safetensors"]
    save(tmp_path / "again", again, card)
    for file in ("model.json", "weights.safetensors"):
        assert sha256(tmp_path / "again" / file) == sha256(tmp_path / "model" / file)


def test_other_files_of_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("epoch\n")
    save(tmp_path, build("spectral", SMALL), {})
    assert (tmp_path / "history.csv").read_text() == "epoch\n"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "fusion"
    save(folder, build("fusion", SMALL), {"preset": "small"})
    return folder


def edit(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        card = json.loads((folder / "model.json").read_text())
        change(card)
        (folder / "model.json").write_text(json.dumps(card))
    return apply


def reweigh(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        weights = load_file(folder / "weights.safetensors")
        change(weights)
        save_file(weights, folder / "weights.safetensors")
    return apply


class Trap:
    """Unpickled, it fails the test."""

    def __reduce__(self) -> tuple:
        return pytest.fail, ("something was unpickled",)


def pickled(folder: Path) -> None:
    (folder / "weights.safetensors").write_bytes(pickle.dumps(Trap()))


def pickled_beside(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))


@pytest.mark.parametrize(("fault", "words"), [
    (lambda folder: (folder / "model.json").unlink(), "model.json: cannot be read"),
    (lambda folder: (folder / "weights.safetensors").unlink(), "weights.safetensors: missing"),
    (pickled, "not a safetensors file"),
    (pickled_beside, "weights.safetensors: missing"),
    (lambda folder: (folder / "model.json").write_text("{"), "is not JSON"),
    (lambda folder: (folder / "model.json").write_text("[]"), "format None"),
    (edit(lambda card: card.update(format=1)), "format 1, this version reads 4"),
    (edit(lambda card: card.update(model="transformer")), "unknown model 'transformer'"),
    (edit(lambda card: card.update(emotions=["angry"])), "its emotions are not"),
    (edit(lambda card: card.pop("preset_settings")), "preset_settings"),
    (edit(lambda card: card["preset_settings"]["features"].update(mfcc=-1)), "preset_settings"),
    (edit(lambda card: card.update(backbone_config=None)), "backbone_config"),
    (edit(lambda card: card["backbone_config"].update(model_type="bert")), "'bert' is not of the Wav2Vec 2.0 family"),
    (edit(lambda card: card["backbone_config"].update(hidden_size="wide")), "not a wav2vec2 configuration"),
    (edit(lambda card: card["backbone_config"].update(hidden_size=32)), "tensors are not those of a fusion model"),
    (edit(lambda card: card.update(model="concat")), "tensors are not those of a concat model"),
    (reweigh(lambda weights: weights.pop("head.heads.0.0.bias")), "head.heads.0.0.bias: expected (128,), found none"),
    (reweigh(lambda weights: weights.update(extra=torch.zeros(1))), "extra: expected none, found (1,)"),
    (reweigh(lambda weights: weights.update({"head.heads.0.3.bias": torch.zeros(8)})), "expected (7,), found (8,)"),
    (reweigh(lambda weights: weights["head.temperature"].add_(1)), "not the weights that model.json was written for"),
], ids=lambda value: value[:40] if isinstance(value, str) else "")
def test_what_is_no_model_is_refused_in_one_line(
        saved: Path, tmp_path: Path, fault: Callable[[Path], None], words: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(saved, folder)
    fault(folder)
    with pytest.raises(UserError) as raised:
        load(folder)
    assert words in str(raised.value) and str(folder) in str(raised.value) and "\n" not in str(raised.value)
