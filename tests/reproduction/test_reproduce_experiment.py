"""Experiments: how their rows are divided, what standardises them, what a kill leaves, and their runs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from reproduce_project import project
from small_checkpoint import small_checkpoint

from reproduction import across, corpora, folds, splits
from reproduction.experiment import (
    Experiment,
    heard_by,
    partition_examples,
    partitioned_rows,
    scores_with_intervals,
    standardisation,
    train_all,
    trainable,
    training_settings,
    variant_names,
)
from reproduction.settings import load_settings
from ser_ops.config.params import load_params
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.files import sha256
from ser_ops.manifest import UtteranceRow, VariantRow, read_rows, validated_utterances, write_rows
from ser_ops.models import checkpoint
from ser_ops.models.wav2vec_backbone import Backbone
from ser_ops.shards import Shards
from ser_ops.tables import read_csv


@pytest.fixture
def params(tmp_path, monkeypatch):
    monkeypatch.chdir(project(tmp_path / "project"))
    return load_params()


def experiment(params, protocol="speaker", **changes):
    values = {"group": "g", "name": "n", "model": "spectral", "settings": training_settings(params, 100, {}, "test"),
              "corpora": ("one", "two"), "protocol": protocol, "variants": "all"}
    return Experiment(**{**values, **changes})


@pytest.mark.parametrize("protocol", ["speaker", "random"])
def test_only_training_hears_variants(params, protocol):
    rows, named, _ = partitioned_rows(params, experiment(params, protocol))
    assert named == protocol
    assert {row.variant for row in rows if row.partition == "train"} == {"original", "noisy"}
    assert {row.variant for row in rows if row.partition != "train"} == {"original"}
    speakers = [{row.speaker for row in rows if row.partition == partition} for partition in ("train", "test")]
    assert bool(speakers[0] & speakers[1]) == (protocol == "random")


def test_paper_divides_rows_and_says_so(params):
    rows, _, declared = partitioned_rows(params, experiment(params, "paper"))
    partitions = {}
    for row in rows:
        partitions.setdefault(row.utterance, set()).add(row.partition)
    assert any(len(parts) > 1 for parts in partitions.values())
    assert any("after augmentation" in words for words in declared)


def test_one_corpus_alone_and_one_variant(params):
    rows, _, _ = partitioned_rows(params, experiment(params, corpora=("two",), variants="original"))
    assert {row.corpus for row in rows} == {"two"} and {row.variant for row in rows} == {"original"}


def test_a_leak_that_is_not_declared_stops_an_experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(project(tmp_path / "leaky", same_content=True))
    leaky = load_params()
    stopped = 0
    for fold in (1, 2, 3):
        try:
            partitioned_rows(leaky, experiment(leaky, fold=fold, folds=3))
        except UserError as error:
            stopped += 1
            assert "leak" in str(error) and "same" in str(error)
    assert stopped, "one recording under two speakers is in two partitions of some fold"
    for fold in (1, 2, 3):
        partitioned_rows(leaky, experiment(leaky, "random", fold=fold, folds=3))


def test_standardised_by_the_training_rows_alone(params):
    trained = experiment(params, fold=2, folds=3)
    rows = partitioned_rows(params, trained).rows
    store = Shards(Path("work/papers/all/features/features"))
    expected = np.stack([store[row.row] for row in rows if row.partition == "train"])
    fitted = standardisation(partition_examples(params, trained, rows, "train"), params, "spectral")
    assert np.allclose(fitted["mean"], expected.mean((0, 2)), atol=1e-6)
    assert np.allclose(fitted["std"], expected.std((0, 2)), atol=1e-6)


def test_seeds_differ_by_key_and_not_by_order(params):
    training, same, other = (training_settings(params, 100, {"epochs": 2}, "m", "speaker", fold) for fold in (1, 1, 2))
    assert training == same and training.seed != other.seed and training.epochs == 2


def test_training_sets_across_corpora(params):
    assert list(corpora.training_sets(params)) == ["one", "two"]


def run_stage(folder: Path, stage: str) -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    root = str(Path(__file__).resolve().parents[2])
    return subprocess.Popen([sys.executable, "-m", f"reproduction.{stage}"], cwd=folder, text=True,
                            stderr=subprocess.PIPE, env={**environment, "OMP_NUM_THREADS": "1", "PYTHONPATH": root})


@pytest.mark.slow
def test_folds_go_on_with_those_that_are_missing(tmp_path):
    calm, killed = project(tmp_path / "calm"), project(tmp_path / "killed")
    assert run_stage(calm, "folds").wait(300) == 0
    process = run_stage(killed, "folds")
    end = time.monotonic() + 200
    while len(list(killed.glob("state/folds/*/done/result.json"))) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = {path: path.stat().st_mtime_ns for path in killed.glob("state/folds/*/done/result.json")}
    assert 2 <= len(before) < 9
    runs = {read_json(path)["run_id"] for path in before}
    again = run_stage(killed, "folds")
    _, said = again.communicate(timeout=300)
    assert again.returncode == 0 and said.count(" of 9: ") == 9 - len(before)
    for name in ("predictions.csv",):
        assert sha256(calm / "work/papers/folds" / name) == sha256(killed / "work/papers/folds" / name)
    record = read_json(killed / "work/papers/folds/runs.json")
    assert runs <= {fold["run_id"] for group in record["groups"] for fold in group["folds"]}
    assert not list(killed.glob("state/folds/*")), "what let it go on is removed"
    _check(killed, record)


def _check(folder: Path, record: dict) -> None:
    from mlflow import MlflowClient
    rows = read_csv(folder / "work/papers/folds/predictions.csv")
    utterances = {row.utterance for row in validated_utterances(folder / "work")}
    for protocol in ("random", "word", "speaker"):
        tested = [row["utterance"] for row in rows if row["protocol"] == protocol]
        assert sorted(tested) == sorted(utterances), "each utterance is tested once"
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    for group in record["groups"]:
        parent = client.get_run(group["run_id"])
        assert parent.data.metrics["clean/uar"] == pytest.approx(
            np.mean([fold["clean"]["uar"] for fold in group["folds"]]))
        assert parent.data.metrics["clean/uar_std"] == pytest.approx(
            np.std([fold["clean"]["uar"] for fold in group["folds"]], ddof=1))
        for fold in group["folds"]:
            child = client.get_run(fold["run_id"])
            assert child.data.tags["mlflow.parentRunId"] == group["run_id"]
            assert child.data.tags["partition"] == group["protocol"] and child.data.tags["fold"] == str(fold["fold"])
            assert child.info.status == "FINISHED"
    assert record["provenance"]["synthetic"] == ["one"] and record["provenance"]["partial"] == ["two"]
    assert set(record["provenance"]["missing"]) == {"ravdess", "crema_d", "tess"}
    assert (folder / "work/papers/folds/models/spectral/speaker/weights.safetensors").exists()


def test_a_model_for_each_fold_and_protocol(params):
    wanted = folds.experiments(params, load_settings())
    assert len(wanted) == 9 and len({each.settings.seed for each in wanted}) == 9
    assert {each.group for each in wanted} == {"spectral 3 folds random", "spectral 3 folds by word",
                                               "spectral 3 folds by speaker"}


def test_a_corpus_has_one_test_part_whatever_trains_beside_it(params):
    """Two speakers alone go by word; beside others they would go by speaker, and words of the test would train."""
    manifest = Path("work/validated/manifest.csv")
    kept = [row for row in read_rows(manifest, UtteranceRow)
            if row.corpus == "one" or row.speaker in ("two/0", "two/1")]
    write_rows(manifest, kept, UtteranceRow)
    keep_rows(kept)
    tests = {row.utterance for row in across.test_rows(params, kept, "two")}
    for corpora_of in (("two",), ("one", "two")):
        rows, named, _ = partitioned_rows(params, experiment(params, corpora=corpora_of, apart=True))
        assert named == {1: "word", 2: "speaker and word"}[len(corpora_of)]
        assert {row.utterance for row in rows if row.partition == "test" and row.corpus == "two"} == tests
        assert not tests & {row.utterance for row in rows if row.partition != "test"}


def test_a_frozen_checkpoint_hears_each_row_once_for_all_trainings(params, tmp_path, monkeypatch):
    source = small_checkpoint(tmp_path / "frozen", "layer")
    heard = []
    states = Backbone.states
    monkeypatch.setattr(Backbone, "states", lambda self, waveform, valid: heard.append(len(waveform))
                        or states(self, waveform, valid))

    def answers(kept):
        chosen = params.model_copy(update={"wav2vec": params.wav2vec.model_copy(update={
            "checkpoint": str(source), "revision": checkpoint.digest(source), "trainable": "frozen",
            "cache_states": kept, "dropout": 0.0})})
        wanted = [experiment(chosen, protocol, model=model, name=f"{model} {protocol}")
                  for model in ("wav2vec", "concat") for protocol in ("speaker", "random")]
        heard.clear()
        with train_all(chosen, "splits", wanted, {"g": {}}) as (folders, _):
            tested = [read_csv(folder / "test.csv") for folder in folders]
        assert not list(Path("state/splits").glob("*"))
        return tested, sum(heard), {row.row for each in wanted for row in partitioned_rows(chosen, each).rows}

    once, rows_heard, rows = answers(True)
    assert rows_heard == len(rows), "each row once, for four trainings of two epochs"
    anew, rows_heard, _ = answers(False)
    assert rows_heard > 4 * len(rows)
    for kept, computed in zip(once, anew, strict=True):
        assert [row["row"] for row in kept] == [row["row"] for row in computed]
        chances = [np.array([[float(row[f"p_{emotion}"]) for emotion in EMOTIONS] for row in each])
                   for each in (kept, computed)]
        assert np.abs(chances[0] - chances[1]).max() < 0.02, "float16 alone is between them"


def test_no_more_folds_by_speaker_than_speakers(params):
    """Five speakers fill five of six folds; at random there are six."""
    settings = load_settings()
    six = settings.model_copy(update={"folds": settings.folds.model_copy(update={"count": 6})})
    assert folds.counts(params, six) == {"random": 6, "word": 6, "speaker": 5}
    assert {(each.protocol, each.folds) for each in folds.experiments(params, six)} == {
        ("random", 6), ("word", 6), ("speaker", 5)}


def with_comparison(settings, stage, **changes):
    changed = getattr(settings, stage).model_copy(update=changes)
    return settings.model_copy(update={stage: changed})


@pytest.mark.parametrize(("stage", "room"), [("corpora", corpora), ("splits", splits)])
def test_comparisons_never_train_less_than_the_preset(params, stage, room):
    settings = load_settings()
    assert {each.settings.epochs for each in room.experiments(params, settings)} == {params.train.epochs}
    longer = with_comparison(settings, stage, train={"epochs": 9})
    assert {each.settings.epochs for each in room.experiments(params, longer)} == {9}
    with pytest.raises(UserError, match=rf"{stage}\.train\.epochs is 1, fewer than the 2 of preset tiny: leave it out"):
        room.experiments(params, with_comparison(settings, stage, train={"epochs": 1}))


@pytest.mark.parametrize(("stage", "room"), [("corpora", corpora), ("splits", splits)])
def test_each_comparison_says_which_variants_train(params, stage, room):
    settings = load_settings()
    for asked, heard in (("original", {"original"}), ("all", {"original", "noisy"})):
        wanted = room.experiments(params, with_comparison(settings, stage, variants=asked))
        assert {row.variant for each in wanted for row in partitioned_rows(params, each).rows} == heard
    assert variant_names(params, "original") == ("original",)
    assert variant_names(params, "all") == params.augment.variants


def test_table_iv_is_trained_without_noise():
    committed = load_settings(Path(__file__).parents[2] / "reproduction" / "params.yaml")
    assert committed.corpora.variants == "original" and committed.splits.variants == "all"


@pytest.fixture
def without_hub(params, monkeypatch):
    """vit names a checkpoint that is nowhere, and no hub answers."""
    monkeypatch.setattr(checkpoint, "_ask_hub", lambda name, revision: ("", False, "no hub is in reach"))
    return params.model_copy(update={"vit": params.vit.model_copy(update={
        "checkpoint": "nobody/no-such-vit", "revision": "0" * 40})})


def test_a_model_without_its_checkpoint_is_left_out_with_the_reason(without_hub, capsys):
    wanted = [experiment(without_hub, model=model) for model in ("spectral", "vit", "cnn")]
    kept, lacking = trainable(without_hub, wanted)
    assert [each.model for each in kept] == ["spectral", "cnn"] and list(lacking) == ["vit"]
    assert "nobody/no-such-vit cannot be had, since no hub is in reach" in lacking["vit"]
    assert "hf download nobody/no-such-vit" in lacking["vit"] and "vit.checkpoint in presets/" in lacking["vit"]
    assert "vit is left out" in capsys.readouterr().out


def test_random_weights_lack_nothing(params):
    assert trainable(params, [experiment(params, model=model) for model in ("fusion", "vit", "beit")])[1] == {}


def keep_two_speakers(speakers=("two/0", "two/1")):
    """Corpus two alone, as TESS is: two speakers who say the same words."""
    manifest = Path("work/validated/manifest.csv")
    kept = [row for row in read_rows(manifest, UtteranceRow) if row.speaker in speakers]
    write_rows(manifest, kept, UtteranceRow)
    keep_rows(kept)


def keep_rows(utterances):
    """Take the rows of all other utterances out of both tables."""
    known = {row.utterance for row in utterances}
    for variants in ("original", "all"):
        table = Path("work/papers", variants, "augmented", "variants.csv")
        write_rows(table, [row for row in read_rows(table, VariantRow) if row.utterance in known], VariantRow)


def test_two_speakers_alone_have_three_protocols_each_named_as_what_it_is(params):
    keep_two_speakers()
    settings = load_settings()
    assert folds.counts(params, settings) == {"random": 3, "word": 3, "speaker": 2}
    for each in folds.experiments(params, settings):
        rows, named, declared = partitioned_rows(params, each)
        heard = {row.speaker for row in rows if row.partition != "test"}
        tested = {row.speaker for row in rows if row.partition == "test"}
        assert named == each.protocol and declared
        assert bool(heard & tested) == (each.protocol != "speaker"), each.name
    three = {each.protocol: partitioned_rows(params, each) for each in splits.experiments(params, settings)}
    assert {name: divided.protocol for name, divided in three.items()} == {
        "speaker": "speaker", "random": "random", "paper": "paper"}
    assert "none of that voice is trained on" in three["speaker"].declared[0]


def test_two_speakers_have_no_interval_over_speakers(params):
    rows = [{"row": f"{number:02d}", "speaker": f"s{number % 3}", "emotion": EMOTIONS[number % 7],
             "predicted": EMOTIONS[number // 3 % 7]} for number in range(42)]
    three = scores_with_intervals(params, rows)
    two = scores_with_intervals(params, [row for row in rows if row["speaker"] != "s2"])
    assert three["speakers"] == 3 and three["uar_low_speakers"] <= three["uar"] <= three["uar_high_speakers"]
    assert two["speakers"] == 2 and two["uar_low_speakers"] is None is two["uar_high_speakers"]
    assert two["uar_low"] <= two["uar"] <= two["uar_high"]
    assert three["accuracy_low_speakers"] <= three["accuracy"] <= three["accuracy_high_speakers"]
    assert three["no_speakers"] == "" and "of 2 speakers there is no interval" in two["no_speakers"]
    unknown = scores_with_intervals(params, [row | {"speaker": row["speaker"].removesuffix("s2")} for row in rows])
    assert unknown["uar_low_speakers"] is None and "speaker is not known" in unknown["no_speakers"]


@pytest.mark.parametrize("few", [True, False])
def test_splits_say_who_is_tested_and_what_was_heard(params, few):
    if few:
        keep_two_speakers()
    splits.main()
    content = read_json(Path("reports/splits.json"))
    (model,) = content["models"]
    by_speaker = model["protocols"]["speaker"]
    tested = {row.speaker for each in splits.experiments(params, load_settings()) if each.protocol == "speaker"
              for row in partitioned_rows(params, each).rows if row.partition == "test"}
    assert by_speaker["fold"] == ({"number": 1, "of": 2, "tested": sorted(tested)} if few else None)
    assert model["protocols"]["random"]["fold"] is None and by_speaker["speakers"] == len(tested)
    assert bool(by_speaker["no_speakers"]) is (len(tested) < 3)
    assert content["provenance"]["heard"] == {"variants": ["original", "noisy"], "noise": ["street"],
                                              "intensity": [0.5, 0.5]}
    assert heard_by([]) is None
