"""The stages tune, train and ablate on a made-up work folder: what they leave, and kill -9 in each."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from project_copy import write_settings
from warm_programs import warm_programs

from ser_ops.config.model_json import LACKING
from ser_ops.config.params import Params, load_params
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.files import sha256, write_json
from ser_ops.manifest import UtteranceRow, VariantRow, write_rows
from ser_ops.shards import write_index, write_shard
from ser_ops.stages import ablate

PROJECT = Path(__file__).resolve().parents[2]
TINY = {    # over the small preset
    "features": {"seconds": 0.25, "frame": 512, "hop": 512, "mfcc": 4},
    "wav2vec": {"hidden": 16, "layers": 1, "heads": 2, "convolutions": [[8, 40, 20], [16, 8, 8]]},
    "spectral": {"channels": [4, 8], "pools": [[4, 2], [4, 1]], "maps": 8, "embedding": 16},
    "head": {"hidden": 16, "dropout": 0.2}}
FRAMES = 8
SCRIPT = """
import glob, os, random, signal, sys, time
import mlflow.data, mlflow.store.tracking.sqlalchemy_store, matplotlib.figure, pandas, torch   # before the fork, once
from ser_ops.stages import ablate, run, train, tune

def start(stage, folder):
    child = os.fork()
    if not child:
        os.chdir(folder)
        try:
            run(stage.main)
        except SystemExit:
            os._exit(1)
        os._exit(0)
    return child

def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

calm, killed = sys.argv[1:]
moments = random.Random(1)
for stage, when in ((tune, ("trial-000/checkpoint/epoch-*[0-9]", "trial-001/run.json")),
                    (train, ("checkpoint/epoch-000[2-4]", "checkpoint/epoch-0004")),
                    (ablate, ("checkpoint/epoch-000[34]", "written"))):
    assert ended(start(stage, calm)) == 0
    for sign in when:
        child = start(stage, killed)
        while not glob.glob(f"{killed}/state/{stage.__name__.rpartition('.')[2]}/*/{sign}"):
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.05))
        os.kill(child, signal.SIGKILL)
        assert ended(child) == -signal.SIGKILL
    assert ended(start(stage, killed)) == 0
"""


def project(folder: Path) -> Path:
    """A project after its features stage: 12 utterances of each emotion, features that carry the class.

    Each validation utterance stands there in noise too.
    """
    random, others = np.random.default_rng(1), np.random.default_rng(2)
    values = yaml.safe_load((PROJECT / "params.yaml").read_text())
    values |= {"preset": "tiny"} | {section: values[section] | changes for section, changes in TINY.items()}
    values["data"] = {**values["data"], "corpora": ["made"], "manifests": []}
    values["train"].update(epochs=4, patience=4, batch_size=16)
    values["tune"].update(trials=3, together=2, startup_trials=1, warmup_epochs=1)
    values["tune"]["trial"].update(epochs=3, batch_size=16)
    values["ablations"].update(models=["spectral", "wav2vec"], shuffled=1, shuffled_epochs=2)
    values["compute"]["workers"] = 1
    work = folder / "work"
    folder.mkdir()
    write_settings(folder, values)
    stores: dict[str, list] = {"ingest/waveforms": [], "augmented/waveforms": [], "features/features": []}
    utterances, rows = [], []
    for index in range(12 * len(EMOTIONS)):
        label, partition = index % len(EMOTIONS), ("train", "train", "validation")[index // len(EMOTIONS) % 3]
        name = f"made/{index:03d}"
        emotion, speaker = EMOTIONS[label], f"made/{partition}"
        utterances.append(UtteranceRow(name, "made", emotion=emotion, speaker=speaker, partition=partition))
        rows.append(VariantRow(f"{name}#original", name, "original", partition, emotion, speaker, "made"))
        stores["ingest/waveforms"].append((name, random.normal(0, 0.1, 5000).astype(np.float32)))
        pattern = np.random.default_rng(label).normal(size=(6, 1))
        stores["features/features"].append((f"{name}#original",
                                   (pattern + random.normal(size=(6, FRAMES))).astype(np.float32)))
        if partition == "validation":
            noisy = replace(rows[-1], row=f"{name}#noisy_1", variant="noisy_1", noise_category="rain", intensity=0.5)
            rows.append(noisy)
            stores["augmented/waveforms"].append((noisy.row, others.normal(0, 0.2, 5000).astype(np.float32)))
            stores["features/features"].append((noisy.row,
                                                (pattern + 2 * others.normal(size=(6, FRAMES))).astype(np.float32)))
    for name, arrays in stores.items():
        (work / name).mkdir(parents=True)
        write_index(work / name, write_shard(work / name, 0, arrays))
    write_rows(work / "augmented" / "variants.csv", rows, VariantRow)
    write_rows(work / "validated" / "manifest.csv", utterances, UtteranceRow)
    write_json(work / "features" / "features" / "standardisation.json", {"mean": [0.0] * 6, "std": [1.0] * 6})
    write_json(work / "ingest" / "corpora.json",
               {"made": {"synthetic": True, "complete": True, "expected": None, "licence": "CC0 1.0"}})
    write_json(work / "ingest" / "noise.json", {"synthetic": {"synthetic": True, "licence": "CC BY-NC 3.0"}})
    return folder


def _of_a_run(content: dict) -> dict:
    return {name: value for name, value in content.items() if name not in ("run_id",)}


def _without_seconds(history: Path) -> list[str]:
    return [line.rpartition(",")[0] for line in history.read_text().splitlines()]


@pytest.mark.slow
def test_kill_9_in_each_stage_changes_no_result(tmp_path):
    calm, killed = project(tmp_path / "calm"), project(tmp_path / "killed")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run([warm_programs() / "python", "-c", SCRIPT, calm, killed], capture_output=True, text=True,
                          env={**environment, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "goes on after epoch" in done.stderr

    best = read_json(calm / "work/tuning/best.json")
    assert set(best) == {"values", "validation_uar", "trial", "study", "run_id", "trials", "pruned"}
    assert set(best["values"]) == set(yaml.safe_load((calm / "params.yaml").read_text())["tune"]["space"])
    assert _of_a_run(best) == _of_a_run(read_json(killed / "work/tuning/best.json"))
    assert sha256(calm / "work/tuning/trials.csv") == sha256(killed / "work/tuning/trials.csv")
    folders = ["models/fusion", *(f"ablations/{name}" for name in ("spectral", "wav2vec", "shuffled_1"))]
    for name in folders:
        calm_folder, killed_folder = calm / "work" / name, killed / "work" / name
        assert {file.name for file in calm_folder.iterdir()} == {
            "weights.safetensors", "speech.safetensors", "model.json", "history.csv", "curves.png", "run.json"}
        for file in ("weights.safetensors", "speech.safetensors", "model.json"):
            assert sha256(calm_folder / file) == sha256(killed_folder / file)
        assert _without_seconds(calm_folder / "history.csv") == _without_seconds(killed_folder / "history.csv")
        card = read_json(calm_folder / "model.json")
        assert card["shuffled_labels"] == name.endswith("shuffled_1")
        assert card["training"]["learning_rate"] == best["values"]["learning_rate"]
        assert card["validation_uar"] == (card["validation_clean_uar"] + card["validation_noisy_uar"]) / 2
        assert card["speech_sha256"] == sha256(calm_folder / "speech.safetensors")
        assert card["conformal_scores"] == sorted(card["conformal_scores"]) and len(card["conformal_scores"]) > 1
        assert set(card["predict"]) == {"window_hop", "speech", "coverage"}
        assert card["data"] == {"corpora": ["made"], "synthetic": ["made"], "partial": [],
                                "protocol": "utterance",    # what two speakers without texts come to
                                "heard": {"variants": ["original"], "noise": [], "intensity": None},
                                "licences": {"made": "CC0 1.0", "synthetic": "CC BY-NC 3.0"},
                                "train_rows": 56, "train_speakers": 1}
    assert sorted(path.name for path in (calm / "work/ablations").iterdir()) == ["shuffled_1", "spectral", "wav2vec"]
    assert not list(killed.glob("state/*/*")), "the state of finished stages is removed"
    _check_runs(killed, best["trials"])


def test_the_main_model_is_not_its_own_ablation(tmp_path: Path) -> None:
    values = load_params(PROJECT / "params.yaml").model_dump()
    values["ablations"].update(models=["spectral", "wav2vec"], shuffled=1)
    values["paths"]["work"] = str(tmp_path)
    write_json(tmp_path / "tuning" / "best.json", {"values": {}})
    for main, others in (("fusion", ["spectral", "wav2vec"]), ("spectral", ["wav2vec"])):
        values["train"]["model"] = main
        jobs = ablate.ablation_jobs(Params.model_validate(values))
        assert [(job.name, job.model) for job in jobs] == [*zip(others, others, strict=True), ("shuffled_1", main)]


def _check_runs(folder: Path, trials: int) -> None:
    """In MLflow: one run for each training, however often it was killed, all finished, with every epoch."""
    import mlflow
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.search_experiments(filter_string="name = 'ser-fusion'")[0].experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert sorted(runs) == sorted(["tuning", *(f"trial {number}" for number in range(trials)), "fusion", "ablations",
                                   "spectral", "wav2vec", "shuffled_1"])
    assert len(client.search_runs([experiment])) == len(runs)
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for name in ("trial 0", "trial 2"):
        assert runs[name].data.tags["mlflow.parentRunId"] == runs["tuning"].info.run_id
    fusion = runs["fusion"]
    assert read_json(folder / "work/models/fusion/run.json")["run_id"] == fusion.info.run_id
    for name in ("train/loss", "train/uar", "validation/loss", "validation/uar", "validation/clean_uar",
                 "validation/noisy_uar", "learning_rate"):
        assert {metric.step for metric in client.get_metric_history(fusion.info.run_id, name)} == {1, 2, 3, 4}
    assert fusion.data.tags | {"family": "fusion", "corpus": "made", "partition": "utterance", "preset": "tiny",
                               "backbone": "random weights"} == fusion.data.tags
    assert fusion.data.params["train.epochs"] == "4"
    names = [entry.dataset.name for entry in fusion.inputs.dataset_inputs]
    assert names == ["made"] * len(names)
    assert {artifact.path for artifact in client.list_artifacts(fusion.info.run_id)} == {"figures", "history.csv"}
    assert json.loads(runs["tuning"].data.params["tune.trials"]) == trials


@pytest.mark.slow
@pytest.mark.parametrize("lacking", [["wav2vec"], []])
def test_an_ablation_without_its_checkpoint_is_left_out_and_named(tmp_path, monkeypatch, capsys, lacking):
    monkeypatch.chdir(project(tmp_path / "project"))
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["ablations"].update(shuffled=0)
    values["train"].update(epochs=1)
    Path("params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    write_json(Path("work/tuning/best.json"), {"values": {}})
    monkeypatch.setattr(ablate, "lacking_checkpoints", lambda params, models: {
        model: "no hub is in reach" for model in models if model in lacking})
    ablate.main()
    made = {path.name for path in Path("work/ablations").iterdir()}
    assert made == ({"spectral", LACKING} if lacking else {"spectral", "wav2vec"})
    said = capsys.readouterr().out
    assert ("wav2vec is left out: no hub is in reach; once it can be had, `dvc repro -f -s ablate`" in said) \
        is bool(lacking)
    if lacking:
        assert read_json(Path("work/ablations", LACKING)) == {"wav2vec": "no hub is in reach"}


def test_no_trials_train_as_the_section_says(tmp_path, monkeypatch):
    from ser_ops.stages import train, tune
    folder = project(tmp_path / "one")
    monkeypatch.chdir(folder)
    values = yaml.safe_load((folder / "params.yaml").read_text())
    values["tune"]["trials"] = 0
    write_settings(folder, values)
    tune.main()
    assert read_json(folder / "work/tuning/best.json")["values"] == {}
    assert (folder / "work/tuning/trials.csv").read_text().startswith("trial,state,validation_uar,epochs,")
    assert train.main_job(load_params()).settings == load_params().train.training()
