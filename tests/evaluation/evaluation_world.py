"""A small finished pipeline up to the stage evaluate: made utterances and noise, models with random weights."""

from pathlib import Path

import numpy as np
import yaml
from project_copy import write_settings

from ser_ops.config.params import Params, load_params
from ser_ops.emotions import EMOTIONS
from ser_ops.files import write_json
from ser_ops.manifest import NoiseRow, UtteranceRow, VariantRow, write_rows
from ser_ops.model_table import MODELS
from ser_ops.models import architectures, model_folder
from ser_ops.shards import write_index, write_shard

PROJECT = Path(__file__).resolve().parents[2]
TINY = {
    "features": {"sample_rate": 16000, "seconds": 0.5, "frame": 512, "hop": 256, "mfcc": 8,
                 "mels": 128, "layout": "frames", "level": "keep",
                 "centre": False, "standardise": True},
    "wav2vec": {"checkpoint": None, "trainable": "all", "tuned_layers": 0, "states": "last", "cache_states": False,
                "dropout": 0.1, "hidden": 16, "layers": 1, "heads": 2,
                "convolutions": [[8, 20, 10], [8, 8, 8], [16, 4, 4]]},
    "spectral": {"design": "blocks", "channels": [8, 8, 8], "kernels": [5, 5, 3],
                 "kind_dropout": 0.0, "dropout": 0.2, "embedding": 16},
    "head": {"hidden": 16, "dropout": 0.5},
    "stacked": {"sample_rate": 16000, "seconds": 0.5, "frame": 1024, "hop": 512, "mfcc": 8,
                 "mels": 24,
                "mel_scale": "decibels", "standardise": False},
    "image": {"sample_rate": 16000, "seconds": 0.5, "frame": 512, "hop": 256, "mels": 32},
    **{name: {"checkpoint": None, "trainable": "all", "dropout": 0.0, "hidden": 16, "layers": 1, "heads": 2,
              "patch": 16, "crop": [0.7, 1.0]} for name in ("vit", "beit")}}
FOLDERS = {"fusion": "models/fusion", **{name: f"ablations/{name}" for name in (
    "spectral", "wav2vec", "cnn", "vit", "shuffled_1")}}


def settings(**evaluate) -> dict:
    """params.yaml of the project with a tiny preset and a small grid."""
    values = yaml.safe_load((PROJECT / "params.yaml").read_text())
    values |= TINY | {"preset": "tiny"}
    values["evaluate"] |= {"stationary": ["white"], "intensities": [0.25, 0.75], "seeds": [1, 2], "transmission": [],
                           "resamples": 100, "batch_size": 4, "speed_utterances": 6} | evaluate
    values["compute"] |= {"workers": 1, "device": "cpu"}
    return values


def _store(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    folder.mkdir(parents=True)
    write_index(folder, write_shard(folder, 0, arrays.items()))


def build(folder: Path, utterances: int = 14, **evaluate) -> Params:
    """Write params.yaml and work/ into `folder`; paths in params stay relative to it."""
    write_settings(folder, settings(**evaluate))
    params, work, rng = load_params(folder / "params.yaml"), folder / "work", np.random.default_rng(0)
    speech, rows = {}, []
    for number in range(utterances):
        name, partition = f"made/{number:03d}", "test" if number < utterances - 1 else "train"
        time = np.arange(int(rng.integers(5000, 12000))) / 16000
        speech[name] = (0.4 * np.sin(2 * np.pi * (120 + 40 * (number % 7)) * time)
                        + 0.02 * rng.standard_normal(len(time))).astype(np.float32)
        for variant in ("original", "noisy") if partition == "train" else ("original",):
            rows.append(VariantRow(f"{name}#{variant}", name, variant, partition, EMOTIONS[number % 7],
                                   f"made/s{number // 7}", "made"))
    for number in range(7):
        name = f"made/v{number}"
        speech[name] = (0.3 * np.sin(2 * np.pi * (100 + 40 * number) * np.arange(8000) / 16000)).astype(np.float32)
        rows.append(VariantRow(f"{name}#original", name, "original", "validation", EMOTIONS[number], "made/v", "made"))
    write_rows(work / "validated" / "manifest.csv",
               [UtteranceRow(name, gender=("female", "male", "")[number % 3]) for number, name in enumerate(speech)],
               UtteranceRow)
    _store(work / "ingest" / "waveforms", speech)
    write_rows(work / "augmented" / "variants.csv", rows, VariantRow)
    noise = {f"made/{kind}/{part}": (0.1 * rng.standard_normal(20000)).astype(np.float32)
             for kind in ("fish_market", "railway_engine") for part in ("train", "test")}
    del noise["made/railway_engine/test"]
    _store(work / "ingest" / "noise", noise)
    write_rows(work / "validated" / "noise.csv", [
        NoiseRow(name, "made", name.split("/")[1], partition=name.split("/")[2]) for name in noise], NoiseRow)
    for name, path in FOLDERS.items():
        kind = "fusion" if name.startswith("shuffled") else name
        plain = {"mean": [0.0] * 10, "std": [1.0] * 10} if MODELS[kind].reads == "features" else None
        model = architectures.build(kind, params.chosen, plain, seed=len(name))
        model_folder.save(work / path, model, {
            "preset": "tiny", "shuffled_labels": name.startswith("shuffled"), "training": {}, "best_epoch": 1,
            "validation_uar": 0.2, "data": {"corpora": ["made"], "synthetic": ["made"], "partial": [],
                                            "protocol": "speaker", "train_rows": 2}})
    return params


def reports(folder: Path, files: list[str]) -> None:
    """The other stages' reports, as the gate likes them."""
    write_json(folder / "leak_audit.json", {"protocol": "speaker", "clean": True, "declared": [], "findings": []})
    write_json(folder / "data_validation.json", {"success": True, "rules": []})
    shares = dict.fromkeys(EMOTIONS, 0.1)
    away = {mode: {fill: {"low": figure - 0.1, "high": figure + 0.1} for fill in ("silence", "noise")}
            for mode, figure in (("deletion", -0.2), ("insertion", 0.2))}
    write_json(folder / "explanations.json", {
        "model": "fusion", "methods": ["scorecam", "shap", "occlusion"],
        "faithfulness": {"words": [], "methods": {method: {"beats_random": True, "against_random": away}
                                                  for method in ("scorecam", "shap", "occlusion")}},
        "clips": [{"utterance": "made/000"} | {method: {"times": [0.0], "values": [0.5], "figure": files[0]}
                                               for method in ("scorecam", "occlusion")}],
        "shap": {"top": [{"feature": "RMS at 0.1 s", "per_class": shares}], "figure": files[1]}})
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"png")
