"""The features stage on a small made store."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ser_ops.audio.signal import fit_window
from ser_ops.config.params import load_params
from ser_ops.errors import UserError
from ser_ops.features.extractor import Extractor
from ser_ops.features.standardise import Moments
from ser_ops.files import sha256
from ser_ops.manifest import VariantRow, write_rows
from ser_ops.shards import Shards, write_index, write_shard
from ser_ops.stages import features as stage

PARAMS = load_params()
SETTINGS = PARAMS.chosen.features
LENGTH = round(SETTINGS.seconds * 16000)


def waveforms(keys: list[str]) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(11)
    return {key: (0.1 * generator.standard_normal(20000 + 1500 * number)).astype(np.float32)
            for number, key in enumerate(keys)}


def store(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    folder.mkdir(parents=True)
    write_index(folder, write_shard(folder, 0, arrays.items()))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    utterances = [f"synthetic_ravdess/Actor_01/{number:02d}" for number in range(20)]
    noisy = [f"{utterance}#noisy" for utterance in utterances[:12]]
    store(folder / "ingest" / "waveforms", waveforms(utterances))
    store(folder / "augmented" / "waveforms", waveforms(noisy))
    labels = ("sad", "synthetic_ravdess/01", "synthetic_ravdess")
    rows = [VariantRow(f"{utterance}#original", utterance, "original", "train" if number < 12 else "test", *labels)
            for number, utterance in enumerate(utterances)]
    rows += [VariantRow(row, row.split("#")[0], "noisy", "train", *labels) for row in noisy]
    write_rows(folder / "augmented" / "variants.csv", rows, VariantRow)
    return folder


def extract(work: Path, name: str, workers: int = 1) -> Path:
    compute = PARAMS.compute.model_copy(update={"workers": workers})
    rows = stage.source_rows(work / "ingest", work / "augmented")
    stage.extract_features(rows, work / name, SETTINGS, 16000, compute)
    return work / name


def test_every_row_gets_the_features_of_its_window(work: Path) -> None:
    made = Shards(extract(work, "features"))
    assert len(made) == 32
    ingest, augmented = Shards(work / "ingest" / "waveforms"), Shards(work / "augmented" / "waveforms")
    expected = {}
    for row in made:
        utterance, variant = row.split("#")
        window, _ = fit_window(ingest[utterance] if variant == "original" else augmented[row], LENGTH)
        expected[row] = Extractor(SETTINGS)(torch.tensor(window)[None])[0].numpy()
        np.testing.assert_allclose(made[row], expected[row], rtol=1e-4, atol=1e-3)
    train = np.stack([expected[row] for row in made if row.endswith("#noisy") or int(row.split("#")[0][-2:]) < 12])
    standardisation = json.loads((work / "features" / "standardisation.json").read_text())
    reference = Moments.of(train, SETTINGS).standardisation()
    np.testing.assert_allclose(standardisation["mean"], reference["mean"], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(standardisation["std"], reference["std"], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("warm_children")
def test_same_bytes_whatever_the_number_of_workers(work: Path) -> None:
    alone, shared = extract(work, "alone"), extract(work, "shared", workers=2)
    names = sorted(file.name for file in alone.iterdir())
    assert names == sorted(file.name for file in shared.iterdir()) and len(names) > 3
    assert all(sha256(alone / name) == sha256(shared / name) for name in names)


def test_a_failure_leaves_what_was_there(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (extract(work, "features") / "index.csv").read_bytes()

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stage, "write_shard", full)
    with pytest.raises(UserError, match="No space left"):
        extract(work, "features")
    assert (work / "features" / "index.csv").read_bytes() == before
    assert sorted(entry.name for entry in work.iterdir()) == ["augmented", "features", "ingest"]


def test_each_kind_of_input_gets_its_folder(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params = PARAMS.model_copy(update={"compute": PARAMS.compute.model_copy(update={"workers": 1})})
    rows = stage.source_rows(work / "ingest", work / "augmented")
    stage.extract_all(params, rows, ["cnn", "fusion", "beit", "lstm", "spectral"], work / "features")
    shapes = {"features": (82, 101), "image": (128, 128), "stacked": (187, 79)}
    assert sorted(entry.name for entry in (work / "features").iterdir()) == sorted(shapes)
    assert capsys.readouterr().out.splitlines() == [
        f"extracted {name} of 32 rows, each {rows} x {frames}" for name, (rows, frames) in shapes.items()]
    whole = Shards(work / "ingest" / "waveforms")[rows[0].key]
    for name, shape in shapes.items():
        made = Shards(work / "features" / name)
        settings = getattr(PARAMS.chosen, name)
        window, _ = fit_window(whole, round(settings.seconds * 16000))
        expected = Extractor(settings)(torch.tensor(window)[None])[0].numpy()
        assert len(made) == 32 and made[rows[0].row].shape == shape
        np.testing.assert_allclose(made[rows[0].row], expected, rtol=1e-4, atol=1e-3)
        standardisation = json.loads((work / "features" / name / "standardisation.json").read_text())
        assert len(standardisation["mean"]) == len(standardisation["std"]) == shape[0]


def test_the_command(work: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    paths = PARAMS.paths.model_copy(update={"work": work})
    compute = PARAMS.compute.model_copy(update={"workers": 1})
    monkeypatch.setattr(stage, "load_params", lambda: PARAMS.model_copy(update={"paths": paths, "compute": compute}))
    stage.main()
    assert capsys.readouterr().out == "extracted features of 32 rows, each 82 x 101\n"
    lines = (work / "augmented" / "variants.csv").read_text().replace("01/03#noisy", "01/99#noisy")
    (work / "augmented" / "variants.csv").write_text(lines)
    with pytest.raises(UserError, match=r"lacks 1 waveforms.*01/99#noisy"):
        stage.main()
    write_rows(work / "augmented" / "variants.csv", [], VariantRow)
    with pytest.raises(UserError, match="lists no utterance"):
        stage.main()
