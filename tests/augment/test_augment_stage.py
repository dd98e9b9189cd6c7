"""The stage: the training table and its waveforms, whole or not at all, the same however they are made."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from project_copy import write_settings

from ser_ops import shards
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.manifest import NoiseRow, UtteranceRow, VariantRow, read_rows, write_rows
from ser_ops.stages import audit, augment, run
from ser_ops.transmission.conditions import TELEPHONE

PROJECT = Path(__file__).resolve().parents[2]
PARTITIONS = ("train", "train", "train", "validation", "test")


def store(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    folder.mkdir(parents=True)
    shards.write_index(folder, shards.write_shard(folder, 0, arrays.items()))


def work(folder: Path, shuffled: int | None = None, **sections) -> Path:
    """A project folder whose ingest and validate stages have run on 20 made utterances; paper 1's variants."""
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    paper = {"variants": ["original", "noisy", "pitched", "pitched_noisy"], "stationary": False}
    sections = {"compute": {"workers": 1}} | sections | {"augment": paper | sections.get("augment", {})}
    for name, values in sections.items():
        params[name] |= values
    folder.mkdir(parents=True)
    write_settings(folder, params)
    rng = np.random.default_rng(0)
    emotions = ("angry", "sad")
    rows = [UtteranceRow(f"made/{speaker}/{number}", "made", synthetic=True, emotion=emotions[number % 2],
                         speaker=f"made/{speaker}", content=f"{speaker}{number}", seconds=0.25, partition=partition)
            for speaker, partition in enumerate(PARTITIONS) for number in range(4)]
    speech = {row.utterance: rng.uniform(-0.5, 0.5, 4000 + 10 * number).astype(np.float32)
              for number, row in enumerate(rows)}
    noise = [NoiseRow(f"made/rain/{number}", category="rain", source=f"made/rain/{number}", partition=partition)
             for number, partition in enumerate(("train", "train", "test", "validation"))]
    if shuffled is not None:
        np.random.default_rng(shuffled).shuffle(rows)
        np.random.default_rng(shuffled).shuffle(noise)
    ingest, validated = folder / "work" / "ingest", folder / "work" / "validated"
    store(ingest / "waveforms", speech)
    store(ingest / "noise", {f"made/rain/{number}": rng.uniform(-1, 1, 9000).astype(np.float32) for number in range(4)})
    write_rows(validated / "manifest.csv", rows, UtteranceRow)
    write_rows(validated / "noise.csv", noise, NoiseRow)
    return folder


def ran(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[VariantRow], shards.Shards]:
    monkeypatch.chdir(folder)
    augment.main()
    made = folder / "work" / "augmented"
    return read_rows(made / "variants.csv", VariantRow), shards.Shards(made / "waveforms")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_table_and_waveforms(tmp_path, monkeypatch):
    rows, made = ran(work(tmp_path / "a"), monkeypatch)
    assert len(rows) == 20 + 3 * 12 + 4
    assert [row.row for row in rows[:4]] == [
        f"made/0/0#{variant}" for variant in ("original", "noisy", "pitched", "pitched_noisy")]
    originals = shards.Shards(tmp_path / "a" / "work" / "ingest" / "waveforms")
    assert set(made) == {row.row for row in rows if row.variant != "original"}
    for row in rows:
        assert row.row == f"{row.utterance}#{row.variant}"
        assert row.partition == PARTITIONS[int(row.speaker.removeprefix("made/"))]
        assert row.partition == "train" or row.variant in ("original", "noisy_1")
        assert (row.variant == "noisy_1") <= (row.partition == "validation")
        if row.variant != "original":
            assert made[row.row].shape == originals[row.utterance].shape
        if "noisy" in row.variant:
            assert row.noise_recording in (("made/rain/0", "made/rain/1") if row.partition == "train"
                                           else ("made/rain/3",))
            assert row.noise_category == "rain"
            pitched = row.variant == "pitched_noisy"
            clean = made[f"{row.utterance}#pitched"] if pitched else originals[row.utterance]
            added = made[row.row].astype(float) - clean
            snr = 10 * np.log10((clean.astype(float) ** 2).sum() / (added**2).sum())
            assert np.abs(added).max() == pytest.approx(row.intensity * np.abs(clean).max(), rel=1e-4)
            assert row.snr_db == pytest.approx(snr, abs=0.01)
        else:
            assert (row.noise_recording, row.noise_category, row.intensity, row.snr_db) == ("", "", None, None)


def test_the_same_whatever_the_order_and_the_number_of_workers(tmp_path, monkeypatch):
    made = []
    for name, shuffled, workers in (("a", None, 1), ("b", 1, 1), ("c", 2, 2)):
        folder = work(tmp_path / name, shuffled, compute={"workers": workers})
        ran(folder, monkeypatch)
        made.append(files(folder / "work" / "augmented"))
    assert made[0] == made[1] == made[2]
    assert len(made[0]) > 8


def test_protocol_paper_splits_rows(tmp_path, monkeypatch):
    rows, made = ran(work(tmp_path / "a", partitions={"protocol": "paper"}), monkeypatch)
    assert len(rows) == 80 and len(made) == 60
    assert {row.partition for row in rows} == {"train", "validation", "test"}
    assert len({row.partition for row in rows if row.speaker == "made/0"}) > 1
    assert {row.noise_recording for row in rows} == {"", "made/rain/0", "made/rain/1"}


def test_the_table_says_over_which_line(tmp_path, monkeypatch):
    chosen = {"variants": ["original", "noisy_telephone", "telephone"], "validation_copies": 0}
    rows, made = ran(work(tmp_path / "a", augment=chosen), monkeypatch)
    assert len(rows) == 20 + 2 * 12
    for row in rows:
        assert row.transmission in (("",) if row.variant == "original" else TELEPHONE)
        assert bool(row.noise_category) == (row.variant == "noisy_telephone")
    assert {made[name].dtype for name in made} == {np.dtype(np.float32)}


def test_originals_alone(tmp_path, monkeypatch):
    settings = {"variants": ["original"], "validation_copies": 0}
    rows, made = ran(work(tmp_path / "a", augment=settings), monkeypatch)
    assert len(rows) == 20 and len(made) == 0


def test_two_copies_beside_each_validation_utterance(tmp_path, monkeypatch, capsys):
    rows, made = ran(work(tmp_path / "a", augment={"validation_copies": 2}), monkeypatch)
    validated = [row for row in rows if row.partition == "validation"]
    assert [row.variant for row in validated] == ["original", "noisy_1", "noisy_2"] * 4
    assert [row.in_noise for row in validated] == [False, True, True] * 4
    assert all(row.row in made for row in validated if row.in_noise)
    assert "36 variants of 12 of them, and 8 noisy copies of 4 validation" in capsys.readouterr().out


def test_a_tiny_collection_of_noise_is_said_and_validation_stays_clean(tmp_path, monkeypatch, capsys):
    folder = work(tmp_path / "a")
    path = folder / "work" / "validated" / "noise.csv"
    write_rows(path, [row for row in read_rows(path, NoiseRow) if row.partition != "validation"], NoiseRow)
    rows, _ = ran(folder, monkeypatch)
    assert {row.variant for row in rows if row.partition == "validation"} == {"original"}
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "validation partition" in line]
    assert line.startswith("augment: no noise recording") and "chosen on clean speech" in line


def test_the_audit_stops_at_a_training_recording_in_validation(tmp_path, monkeypatch):
    folder = work(tmp_path / "a")
    rows, _ = ran(folder, monkeypatch)
    audit.main()
    report = read_json(folder / "reports" / "leak_audit.json")
    assert report["clean"] and report["checked"]["noise_sources_in_validation"] == 1
    planted = [replace(row, noise_recording="made/rain/0") if row.variant == "noisy_1" else row for row in rows]
    write_rows(folder / "work" / "augmented" / "variants.csv", planted, VariantRow)
    with pytest.raises(UserError, match="noise made/rain/0 is in train and validation"):
        audit.main()


def test_leftovers_of_a_killed_run_go(tmp_path, monkeypatch):
    folder = work(tmp_path / "a")
    left = folder / "work" / ".augmented.x1y2z3w4" / "augmented"
    left.mkdir(parents=True)
    monkeypatch.chdir(folder)
    run(augment.main)
    assert sorted(path.name for path in (folder / "work").iterdir()) == ["augmented", "ingest", "validated"]


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    folder = work(tmp_path / "a")
    ran(folder, monkeypatch)
    before = files(folder / "work")
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["augment"]["silent_crop_dbfs"] = -0.0001
    write_settings(folder, params)
    with pytest.raises(UserError, match=r"made/rain/\d: no crop"):
        augment.main()
    assert files(folder / "work") == before


def test_no_training_utterances(tmp_path, monkeypatch):
    folder = work(tmp_path / "a")
    path = folder / "work" / "validated" / "manifest.csv"
    rows = [row for row in read_rows(path, UtteranceRow) if row.partition != "train"]
    write_rows(path, rows, UtteranceRow)
    with pytest.raises(UserError, match="training partition"):
        ran(folder, monkeypatch)
    assert not (folder / "work" / "augmented").exists()


def test_shards_depend_on_the_data_alone():
    names = [f"{number}" for number in range(100)]
    parts = augment.split_by_size(names, [7] * 100, 50)
    assert [name for part in parts for name in part] == names
    assert max(len(part) for part in parts) <= 8
    assert augment.split_by_size(names, [0] * 100, 1) == [names]
    assert augment.split_by_size(["a", "b"], [1000, 1], 10) == [["a"], ["b"]]
