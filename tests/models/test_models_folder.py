"""Model folders: what was saved comes back, what is not a model is refused in one line."""

import json
import os
import pickle
import random
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ser_ops.config.model_json import input_of
from ser_ops.config.params import load_preset
from ser_ops.errors import UserError
from ser_ops.features.index_map import channels_of, shape_of
from ser_ops.files import sha256
from ser_ops.inference.recogniser import Recogniser
from ser_ops.model_table import MODELS
from ser_ops.models.architectures import build, count
from ser_ops.models.model_folder import load, save

SMALL = load_preset("small")
BACKBONES = {"fusion", "concat", "wav2vec", "vit", "beit"}
STANDARDISED = {"fusion", "concat", "spectral", "cnn", "lstm", "cnn_lstm"}


@pytest.mark.parametrize("name", tuple(MODELS))
def test_comes_back_as_it_was(name: str, tmp_path: Path) -> None:
    reads = SMALL.input_of(name)
    channels = range(channels_of(reads))
    mean_std = {"mean": [float(k) for k in channels], "std": [1.0 + k for k in channels]}
    model = build(name, SMALL, mean_std, seed=8).eval()
    save(tmp_path / "model", model, {"preset": "small", "best_epoch": 3, "model": "a card cannot rename it"})
    loaded, card = load(tmp_path / "model")
    batch = (0.1 * torch.randn(2, 40000), torch.tensor([40000, 25000]), torch.randn(2, *shape_of(reads)))
    with torch.inference_mode():
        assert torch.equal(model(*batch), loaded(*batch))
    assert not loaded.training and loaded.name == name and loaded.preset == SMALL
    assert (card["model"], card["preset"], card["best_epoch"], card["parameters"]) == (name, "small", 3, count(model))
    assert input_of(card) == reads
    assert card["standardisation"] == (mean_std if name in STANDARDISED else None)
    assert card["backbone"] == ("random weights, small configuration" if name in BACKBONES
                                else "none, this model has no pretrained part")
    assert (card["backbone_config"] is not None) == (name in BACKBONES)
    assert sorted(file.name for file in (tmp_path / "model").iterdir()) == ["model.json", "weights.safetensors"]
    save(tmp_path / "again", loaded, card)
    for file in ("model.json", "weights.safetensors"):
        assert sha256(tmp_path / "again" / file) == sha256(tmp_path / "model" / file)


def test_other_files_of_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("epoch\n")
    save(tmp_path, build("spectral", SMALL), {})
    assert (tmp_path / "history.csv").read_text() == "epoch\n"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "fusion"
    save(folder, build("fusion", SMALL), {"preset": "small", "data": {"corpora": ["synthetic"], "protocol": "speaker"}})
    return folder


def edit(change: Callable[[dict], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        card = json.loads((folder / "model.json").read_text())
        change(card)
        (folder / "model.json").write_text(json.dumps(card))
    return apply


def reweigh(change: Callable[[dict], None], unsigned: bool = False) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        weights = load_file(folder / "weights.safetensors")
        change(weights)
        save_file(weights, folder / "weights.safetensors")
        if unsigned:
            edit(lambda card: card.pop("weights_sha256"))(folder)
    return apply


def replace(path: Path) -> Path:
    path.unlink()
    return path


def rewrite(folder: Path, content: bytes | None) -> Path:
    path = replace(folder / "weights.safetensors")
    if content is not None:
        path.write_bytes(content)
    return path


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
    (lambda folder: (folder / "weights.safetensors").unlink(), "weights.safetensors: missing or not a file"),
    (pickled, "not a safetensors file"),
    (pickled_beside, "weights.safetensors: missing or not a file"),
    (lambda folder: (folder / "model.json").write_text("{"), "is not JSON"),
    (lambda folder: (folder / "model.json").write_text("[]"), "format None"),
    (edit(lambda card: card.update(format=1)), "format 1, this version reads 4"),
    (edit(lambda card: card.update(model="transformer")), "unknown model 'transformer'"),
    (edit(lambda card: card.update(emotions=["angry"])), "its emotions are not"),
    (edit(lambda card: card.pop("preset_settings")), "preset_settings"),
    (edit(lambda card: card["preset_settings"]["features"].update(mfcc=-1)), "preset_settings"),
    (edit(lambda card: card.update(backbone_config=None)), "backbone_config"),
    (edit(lambda card: card["backbone_config"].update(model_type="bert")), "'bert' is not of the Wav2Vec 2.0 family"),
    (edit(lambda card: card["backbone_config"].update(model_type="wav2vec2", hidden_size="wide")),
     "not a wav2vec2 configuration"),
    (edit(lambda card: card["backbone_config"].update(hidden_size=32)), "tensors are not those of a fusion model"),
    (edit(lambda card: card.update(model="concat")), "tensors are not those of a concat model"),
    (reweigh(lambda weights: weights.pop("head.heads.0.0.bias")), "head.heads.0.0.bias: expected (128,), found none"),
    (reweigh(lambda weights: weights.update(extra=torch.zeros(1))), "extra: expected none, found (1,)"),
    (reweigh(lambda weights: weights.update({"head.heads.0.3.bias": torch.zeros(8)})), "expected (7,), found (8,)"),
    (reweigh(lambda weights: weights["head.temperature"].add_(1)), "not the weights that model.json was written for"),
    (reweigh(lambda weights: weights["head.temperature"].fill_(float("nan")), unsigned=True), "1 tensors hold NaN"),
    (reweigh(lambda weights: weights.update({"head.temperature": torch.ones((), dtype=torch.float64)})),
     "head.temperature is of type F64, not F32"),
    (lambda folder: rewrite(folder, struct.pack("<Q", 2**60)), "its header is too long"),
    (lambda folder: rewrite(folder, struct.pack("<Q", 100_000) + b"[" * 100_000), "not a safetensors file"),
    (lambda folder: rewrite(folder, None).mkdir(), "missing or not a file"),
    (lambda folder: os.mkfifo(rewrite(folder, None)), "missing or not a file"),
    (lambda folder: rewrite(folder, None).symlink_to("weights.safetensors"), "missing or not a file"),
    (lambda folder: os.mkfifo(replace(folder / "model.json")), "is a pipe, a socket or a device"),
    (lambda folder: (folder / "model.json").write_bytes(b"\xff\xfe{}"), "is not UTF-8"),
    (lambda folder: (folder / "model.json").write_text("[" * 200_000), "more than 64 deep"),
    (edit(lambda card: card["data"].update(corpora="synthetic")), "data.corpora is 'synthetic'"),
    (edit(lambda card: card.update(data=None)), "data is None"),
    (edit(lambda card: card.update(sample_rate=8000)), "its sample_rate is not that of the weights"),
    (edit(lambda card: card.update(sample_rate="16000")), "sample_rate is '16000'"),
    (edit(lambda card: card.update(parameters=7)), "its parameters is not that of the weights"),
    (edit(lambda card: card.update(standardisation=None)), "its standardisation is not that of the weights"),
    (edit(lambda card: card["standardisation"]["mean"].append(0.0)), "its standardisation is not that of the weights"),
    (edit(lambda card: card["backbone_config"].update(model_type="wav2vec2", input_gain="\x1b[2J")), "input_gain is"),
    (edit(lambda card: card["backbone_config"].update(model_type="wav2vec2", hidden_act="x")), "makes no model"),
    (edit(lambda card: card["backbone_config"]["conv_stride"].__setitem__(0, -1)), "begin at 1"),
], ids=lambda value: value[:40] if isinstance(value, str) else "")
def test_what_is_no_model_is_refused_in_one_line(
        saved: Path, tmp_path: Path, fault: Callable[[Path], None], words: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(saved, folder)
    fault(folder)
    with pytest.raises(UserError) as raised:
        load(folder)
    assert words in str(raised.value) and str(folder) in str(raised.value) and "\n" not in str(raised.value)


HUGE = [("preset_settings", "features", "seconds"), ("preset_settings", "features", "frame"),
        ("preset_settings", "features", "mels"), ("preset_settings", "features", "mfcc"),
        ("preset_settings", "wav2vec", "hidden"), ("preset_settings", "wav2vec", "layers"),
        ("preset_settings", "spectral", "members"), ("preset_settings", "spectral", "embedding"),
        ("preset_settings", "spectral", "kernel"), ("preset_settings", "spectral", "maps"),
        ("preset_settings", "spectral", "channels", 0), ("preset_settings", "spectral", "pools", 0, 1),
        ("preset_settings", "head", "hidden"), ("backbone_config", "hidden_size"),
        ("backbone_config", "num_hidden_layers"), ("backbone_config", "intermediate_size"),
        ("backbone_config", "num_attention_heads"), ("backbone_config", "num_labels"),
        ("backbone_config", "num_conv_pos_embeddings"), ("backbone_config", "conv_dim", 0),
        ("backbone_config", "conv_kernel", 1), ("backbone_config", "vocab_size"), ("parameters",)]


def put(card: dict, path: tuple, value: object) -> None:
    for key in path[:-1]:
        card = card[key]
    card[path[-1]] = value      # type: ignore[index]


@pytest.mark.parametrize("path", HUGE, ids=lambda path: ".".join(map(str, path)))
def test_no_size_of_a_card_costs_memory_or_time(saved: Path, tmp_path: Path, path: tuple) -> None:
    shutil.copytree(saved, tmp_path / "model")
    for value in (10**6, 10**9, 10**18):
        edit(lambda card, value=value: put(card, path, value))(tmp_path / "model")
        began = time.process_time()
        with pytest.raises(UserError) as raised:
            load(tmp_path / "model")
        assert time.process_time() - began < 3 and str(raised.value).isprintable()


def test_a_window_of_too_many_values_is_refused_although_the_weights_fit(saved: Path, tmp_path: Path) -> None:
    shutil.copytree(saved, tmp_path / "model")
    for path, value, words in ((("preset_settings", "features", "hop"), 1, "spectral.channels: a layer of"),
                               (("backbone_config", "conv_stride"), [1, 1, 1], "values for one window")):
        edit(lambda card, path=path, value=value: put(card, path, value))(tmp_path / "model")
        with pytest.raises(UserError, match=words):
            load(tmp_path / "model")
        shutil.copy(saved / "model.json", tmp_path / "model")


def leaves(value: object, path: tuple = ()) -> list[tuple]:
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    return [path, *(leaf for key, value in inner for leaf in leaves(value, (*path, key)))]


@pytest.mark.parametrize("name", ["fusion", "vit", "beit", "cnn"])
def test_a_card_with_any_value_changed_is_one_line_or_a_model_that_answers(name: str, tmp_path: Path) -> None:
    """A drawn sample of all places and values; what is read of the card later is read here too."""
    save(tmp_path, build(name, SMALL), {"preset": "small", "data": {"corpora": ["a"], "licences": {"a": "CC0"}}})
    whole, draw = json.loads((tmp_path / "model.json").read_text()), random.Random(11)
    places = leaves(whole)[1:]
    tone = [0.1, -0.1] * 8000
    for _ in range(40):
        card = json.loads(json.dumps(whole))
        put(card, draw.choice(places), draw.choice([None, [], {}, -1, 0, 1e308, "x\x1b", 10**9, [[[]]], True, 3]))
        (tmp_path / "model.json").write_text(json.dumps(card))
        try:
            answer = Recogniser(tmp_path, "cpu").answer(tone, 16000)
            assert abs(answer.probabilities.sum() - 1) < 1e-6
        except UserError as error:
            assert str(error).isprintable() and len(str(error)) < 1500


def test_settings_of_more_parameters_than_any_model_are_refused_without_memory() -> None:
    paper = load_preset("paper")
    blocks = paper.spectral.model_copy(update={"embedding": 8192, "channels": (512, 512, 8192)})
    preset = paper.model_copy(update={"spectral": blocks})
    with pytest.raises(UserError, match=r"a spectral model by these settings has [\d,]+ parameters: at most"):
        build("spectral", preset)
    wide = SMALL.wav2vec.model_copy(update={"hidden": 8192, "layers": 128, "heads": 64})
    with pytest.raises(UserError, match=r"values for one window|parameters: at most"):
        build("wav2vec", SMALL.model_copy(update={"wav2vec": wide}))


def test_duplicate_tensors_in_the_header_are_refused_or_change_nothing(saved: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(saved, tmp_path / "model")
    content = (folder / "weights.safetensors").read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = content[8:8 + size].decode().rstrip()
    name = next(key for key in json.loads(header) if key != "__metadata__")
    twice = f"{header[:-1]},{json.dumps(name)}:{json.dumps(json.loads(header)[name])}}}".encode()
    rewrite(folder, struct.pack("<Q", len(twice)) + twice + content[8 + size:])
    with pytest.raises(UserError, match=r"weights\.safetensors: "):
        load(folder)
