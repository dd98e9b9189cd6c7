"""A made-up project after the stage folds: answers, learning curves, models with random weights, their inputs."""

from pathlib import Path

import numpy as np
import yaml
from project_copy import write_settings

from reproduction.folds import HISTORY_COLUMNS, PREDICTION_COLUMNS
from ser_ops.config.params import Params, load_params
from ser_ops.emotions import EMOTIONS
from ser_ops.features.index_map import channels_of, shape_of
from ser_ops.files import write_json
from ser_ops.manifest import VariantRow, write_rows
from ser_ops.models import architectures, model_folder
from ser_ops.seeds import generator
from ser_ops.shards import write_index, write_shard
from ser_ops.tables import write_csv

PROJECT = Path(__file__).parents[2]
MODELS = ("cnn", "lstm", "cnn_lstm", "vit", "beit")
PROTOCOLS = ("random", "word", "speaker")


def answer(utterance: str, emotion: str, right: float) -> str:
    """The emotion, `right` of the time; else another, by the utterance's name."""
    draw = generator(5, utterance, right)
    return emotion if draw.random() < right else EMOTIONS[(EMOTIONS.index(emotion) + int(draw.integers(1, 7))) % 7]


def make(folder: Path, wanted: tuple[str, ...] = MODELS, protocols: tuple[str, ...] = ("random", "speaker"),
         folds: int = 3, explained: str = "cnn_lstm", emotions: tuple[str, ...] = EMOTIONS, per_class: int = 6,
         corpora: tuple[str, ...] = ("synthetic_ravdess", "synthetic_tess")) -> Params:
    """Write params.yaml and work/ below `folder`; right answers: 0.9 at random, 0.6 by speaker."""
    values = yaml.safe_load((PROJECT / "params.yaml").read_text(encoding="utf-8"))
    values["paths"] = {name: str(folder / name) for name in values["paths"]}
    values["evaluate"]["resamples"] = 200
    settings = yaml.safe_load((PROJECT / "reproduction/params.yaml").read_text(encoding="utf-8"))
    settings["folds"] |= {"count": folds, "explained": explained, "protocols": list(protocols)}
    (folder / "reproduction").mkdir()
    (folder / "reproduction/params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    write_settings(folder, values)
    params = load_params(folder / "params.yaml")
    spoken = [(f"{corpora[number % len(corpora)]}/{emotion}_{number}", emotion, f"speaker_{number}")
              for emotion in emotions for number in range(per_class)]
    target = params.paths.work / "papers" / "folds"
    target.mkdir(parents=True)
    answers, history, groups = [], [], []
    for model in wanted:
        for protocol in protocols:
            right = {"random": 0.9, "word": 0.8, "speaker": 0.6}[protocol]
            for number, (utterance, emotion, speaker) in enumerate(spoken):
                predicted = answer(f"{model} {utterance}", emotion, right)
                chances = {f"p_{label}": 0.4 if label == predicted else 0.1 for label in EMOTIONS}
                answers.append({"model": model, "protocol": protocol, "fold": number % folds + 1,
                                "utterance": utterance, "corpus": utterance.split("/")[0], "speaker": speaker,
                                "emotion": emotion, "predicted": predicted} | chances)
            history += [{"model": model, "protocol": protocol, "fold": fold, "epoch": epoch,
                         "train_loss": 2 / epoch, "train_uar": 1 - 0.8 / epoch, "validation_loss": 2.2 / epoch,
                         "validation_uar": right * (1 - 0.7 / (epoch + fold)), "learning_rate": 0.001, "seconds": 1.0}
                        for fold in range(1, folds + 1) for epoch in range(1, 9)]
            groups.append({"model": model, "protocol": protocol, "run_id": f"{model}{protocol}", "parameters": 7,
                           "backbone": "random weights" if model in ("vit", "beit") else "none", "seconds": 60.0,
                           "folds": []})
            _model(params, model, target / "models" / model / protocol)
    write_csv(target / "predictions.csv", answers, PREDICTION_COLUMNS)
    write_csv(target / "history.csv", history, HISTORY_COLUMNS)
    write_json(target / "runs.json", {"groups": groups, "provenance": {
        "corpora": list(corpora), "synthetic": [corpus for corpus in corpora if corpus.startswith("synthetic")],
        "partial": [],
        "missing": [corpus for corpus in ("ravdess", "crema_d", "tess", "savee")
                    if not any(corpus in name for name in corpora)],
        "preset": "small", "counts": {name: folds if name in protocols else 0 for name in PROTOCOLS},
        "variants": ["original"], "seed": 100, "commit": "0123abcd",
        "dirty": "false", "data_md5": "f00d", "confidence": 0.95,
        "declared": {"random": ["split by utterance: speakers are in several partitions"], "speaker": []}}})
    _inputs(params, spoken)
    return params


def _model(params: Params, name: str, folder: Path) -> None:
    reads = params.chosen.input_of(name)
    channels = channels_of(reads)
    model = architectures.build(name, params.chosen, {"mean": [0.0] * channels, "std": [1.0] * channels}, 3)
    model_folder.save(folder, model, {"preset": "small"})
    write_json(folder / "run.json", {"run_id": f"{name}1", "experiment": "made", "tracking_uri": "none"})


def _inputs(params: Params, spoken: list[tuple[str, str, str]]) -> None:
    """Waveforms, stacked features and images of noise, with the table of rows."""
    work, features = params.paths.work, params.paths.work / "papers" / "original" / "features"
    stores = {work / "ingest" / "waveforms": {}, work / "papers" / "original" / "augmented" / "waveforms": {},
              features / "stacked": {}, features / "image": {}}
    waves, _, stacked, images = stores.values()
    for utterance, _, _ in spoken:
        draw = generator(6, utterance)
        waves[utterance] = draw.normal(0, 0.1, 24000).astype(np.float32)
        for values, model in ((stacked, "cnn_lstm"), (images, "vit")):
            shape = shape_of(params.chosen.input_of(model))
            values[f"{utterance}#original"] = draw.normal(0, 1, shape).astype(np.float32)
    for store, arrays in stores.items():
        store.mkdir(parents=True)
        write_index(store, write_shard(store, 0, arrays.items()))
    write_rows(work / "papers" / "original" / "augmented" / "variants.csv", [
        VariantRow(f"{utterance}#original", utterance, "original", "", emotion, speaker, utterance.split("/")[0])
        for utterance, emotion, speaker in spoken], VariantRow)
