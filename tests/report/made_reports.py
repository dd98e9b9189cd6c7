"""A made reports folder in the true formats: simulated answers, real scoring, table, gate and figures.

`python tests/report/made_reports.py FOLDER` writes one and builds its page, for looking at.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ser_ops.config.params import Params, load_params
from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation import ablation
from ser_ops.evaluation.predictions import CLEAN, Condition, Predictions, transmission_conditions
from ser_ops.evaluation.selective import selective
from ser_ops.evaluation.summary import ROBUSTNESS_FIELDS, Summary, compare_streams
from ser_ops.explain import figures
from ser_ops.files import write_json
from ser_ops.gate import judging
from ser_ops.stages.report import published_record
from ser_ops.tables import write_csv

MODELS = {"fusion": ("D", 0.64, 0.92), "spectral": ("A", 0.57, 0.31), "wav2vec": ("B", 0.33, 0.61),
          "concat": ("C", 0.61, 0.90)}
NOISES = {"fish_market": 0.20, "railway_engine": 0.10, "children": 0.14, "white": 0.12, "pink": 0.09, "brown": 0.03}
CORPORA = {"synthetic_ravdess": "ravdess", "synthetic_crema_d": "crema_d", "synthetic_tess": "tess",
           "synthetic_savee": "savee"}
PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")


def _answers(random: np.random.Generator, true: np.ndarray, skill: float) -> np.ndarray:
    """Probabilities (n, 7) whose winner is right about `skill` of the time; sad and neutral are mixed up."""
    scores = random.normal(0, 1, (len(true), 7))
    scores[np.arange(len(true)), true] += 4.2 * max(skill - 0.14, 0)
    scores[true == 5, 4] += 0.8
    return np.exp(scores) / np.exp(scores).sum(1, keepdims=True)


def _lost(condition: Condition) -> float:
    """Skill that a condition costs."""
    if condition.clean:
        return 0.0
    return 0.15 if condition.transmitted else NOISES[condition.noise] * (0.4 + 1.6 * condition.intensity)


def _predictions(params: Params, per_class: int) -> Predictions:
    random = np.random.default_rng(7)
    true = np.repeat(np.arange(7), per_class)
    names = list(CORPORA)
    speakers = [f"{names[i % 4]}/{i % 8}" for i in range(len(true))]
    utterances = [f"{speaker.split('/')[0]}/Actor_{speaker[-1]}/{EMOTIONS[c]}_{i:03d}"
                  for i, (c, speaker) in enumerate(zip(true, speakers, strict=True))]
    conditions = [CLEAN, *(Condition(noise, intensity, seed) for noise in NOISES
                           for intensity in params.evaluate.intensities for seed in params.evaluate.seeds),
                  *transmission_conditions(params.evaluate)]
    skills = {name: skill for name, (_, skill, _) in MODELS.items()} | {"shuffled_1": 0.13, "shuffled_2": 0.14}
    probabilities = np.array([[_answers(random, true, skill - _lost(condition))
                               for condition in conditions] for skill in skills.values()]).round(6)
    snr = np.array([[np.nan if condition.clean or condition.transmitted else
                     14 - 24 * condition.intensity + random.normal(0, 3) for _ in true] for condition in conditions])
    return Predictions(tuple(skills), tuple(utterances), tuple(speakers), true, tuple(conditions), probabilities, snr)


def _metrics(params: Params, predictions: Predictions, changes: dict[str, Any]) -> dict[str, Any]:
    summary = Summary(predictions, params.evaluate)
    models = {}
    for name, (row, _, millions) in MODELS.items():
        own = [name] if name in ("spectral", "wav2vec") else ["wav2vec", "spectral"]
        speed = {"spectral": 310.0, "wav2vec": 84.0}.get(name, 66.0)
        models[name] = {"row": row, "streams": own, **summary.model(name), "parameters_millions": millions,
                        "samples_per_second": {"clean": speed, "noisy": speed - 1.5},
                        "selective": selective(predictions, name, range(0, 10_000, 50), params.evaluate.coverages,
                                               summary.unseen, params.evaluate.confidence)}
    shuffled = summary.shuffled(["shuffled_1", "shuffled_2"])
    provenance = {"corpora": list(CORPORA), "synthetic": list(CORPORA), "partial": [], "protocol": "speaker",
                  "backbone": "random weights, small configuration", "preset": "small",
                  "seeds": list(params.evaluate.seeds), "test_utterances": len(predictions.utterances),
                  "test_speakers": len(set(predictions.speakers)), "intervals": summary.intervals()}
    return {"provenance": provenance | changes, "models": models, "shuffled": shuffled,
            "streams": compare_streams(summary, ["wav2vec", "spectral"], {"wav2vec": "wav2vec", "spectral": "spectral"},
                                       shuffled)}


def _validation(partial: bool) -> dict[str, Any]:
    corpora = {}
    for name, layout in CORPORA.items():
        emotions = {emotion: 60 for emotion in EMOTIONS if (layout, emotion) != ("crema_d", "surprise")}
        corpora[name] = {"layout": layout, "synthetic": True, "complete": False, "found": sum(emotions.values()),
                         "expected": None, "speakers": 4, "emotions": emotions, "expected_emotions": None,
                         "skipped": {}, "oddities": [], "licence": "CC0-1.0", "source": "made by a synthesiser"}
    if partial:
        corpora["ravdess"] = {
            "layout": "ravdess", "synthetic": False, "complete": False, "found": 1200, "expected": 1440,
            "speakers": 20, "emotions": dict.fromkeys(EMOTIONS, 160) | {"neutral": 240},
            "expected_emotions": dict.fromkeys(EMOTIONS, 192) | {"neutral": 288}, "skipped": {"song": 4},
            "oddities": ["five files are stereo"], "licence": "CC BY-NC-SA 4.0", "source": "zenodo"}
    rules = [("decodes", "the file decodes to finite samples", 1, 1620, "quarantine"),
             ("duration", "between 0.3 and 60 s", 0, 1620, "quarantine"),
             ("bandwidth", "16,000 Hz or more: telephone speech carries less", 3, 1620, "warn"),
             ("leaks", "nothing in two partitions beyond what the protocol declares", 0, 12, "stop")]
    return {"success": True, "stops": [], "checked": {"utterances": 1620, "noise": 24},
            "rules": [{"rule": rule, "description": text, "success": not failed, "failed": failed, "of": of,
                       "severity": severity} for rule, text, failed, of, severity in rules],
            "quarantined": [{"kind": "utterance", "id": "synthetic_savee/DC_a01", "path": "synthetic_savee/DC_a01.wav",
                             "rule": "decodes", "reason": "damaged audio (<truncated> & short)"}],
            "bad_share": 1 / 1620, "limit": 0.05, "corpora": corpora,
            "partial": ["ravdess"] if partial else [], "synthetic": list(CORPORA)}


def _explanations(reports: Path, predictions: Predictions) -> dict[str, Any]:
    random, folder, clips = np.random.default_rng(3), "figures/explanations", []
    seconds = np.arange(79) * 512 / 16000
    for number, emotion in enumerate(EMOTIONS):
        file = f"{folder}/scorecam_{emotion}_1.png"
        values = np.maximum(0, np.sin(seconds * 3 + number)) * (seconds < 1.9)
        moment = np.arange(40000)
        wave = random.normal(0, 0.1, 40000) * np.maximum(0, np.sin(moment / 2500)) * (moment < 30400)
        figures.draw_over_waveform(figures.Sound(wave, 16000, 1.9, f"{emotion}, recognised (0.71)"), seconds, values,
                                   "saliency", "Drawn from made numbers.", reports / file)
        utterance = predictions.utterances[len(predictions.utterances) // 7 * number]
        clips.append({"utterance": utterance, "corpus": "synthetic_ravdess", "emotion": emotion,
                      "predicted": emotion if number % 3 else "sad", "confidence": 0.71, "explained": emotion,
                      "valid_seconds": 1.9, "window_start": 0.0, "figure": file,
                      "scorecam": {"times": seconds.tolist(), "values": values.tolist(), "peak": 0.4,
                                   "empty": number == 4, "share_in_padding": 0.02 + 0.1 * number}})
    names = [f"MFCC {k} at {k / 10:.2f} s" for k in range(12)]
    per_class = {emotion: (random.random(12) * np.linspace(0.1, 0.02, 12)).tolist() for emotion in EMOTIONS}
    figures.draw_shap_bar(names, per_class, "Drawn from made numbers.", reports / folder / "shap_global.png")
    top = [{"feature": name, "index": k, "per_class": {emotion: per_class[emotion][k] for emotion in EMOTIONS}}
           for k, name in enumerate(names)]
    kinds = [feature | {"feature": feature["feature"].split(" at")[0]} for feature in top]
    away = {mode: {fill: {"difference": figure, "low": figure - 0.1, "high": figure + 0.1}
                   for fill in ("silence", "noise")} for mode, figure in (("deletion", -0.2), ("insertion", 0.2))}
    return {"model": "fusion", "methods": ["scorecam", "shap"], "not_admitted": {}, "clips": clips,
            "blur": "1.1 s of sound",
            "faithfulness": {"fills": ["silence", "noise"], "steps": 10, "clips": 14, "words": [],
                             "methods": {method: {"beats_random": True, "against_random": away}
                                         for method in ("scorecam", "shap")}},
            "shap": {"figure": f"{folder}/shap_global.png", "utterances": 14, "background": 32, "samples": 400,
                     "score": "logit less the mean of all seven logits", "top": top, "kinds": kinds,
                     "base_values": dict.fromkeys(EMOTIONS, 0.0), "additivity_error": 0.031,
                     "additivity_error_share": 0.04}}


def _behaviour(predictions: Predictions) -> dict[str, Any]:
    size = len(predictions.utterances)
    changes = {"gain": 0.99, "white_noise": 0.96, "crop_start": 0.97, "high_pass": 0.94}
    return {"model": "fusion", "utterances": size, "speakers": 8,
            "changes": {"all": {"unchanged": 0.965, "of": 4 * size},
                        **{name: {"unchanged": share, "of": size} for name, share in changes.items()}},
            "groups": {"sex": {"groups": ["female", "male"], "uar": {"female": 0.66, "male": 0.61},
                               "speakers": {"female": 4, "male": 3}, "unknown": 1, "corpora": ["synthetic_ravdess"],
                               "classes": 7, "difference": 0.05, "exchanges": 35, "chance": 17 / 35,
                               "smallest_chance": 1 / 35},
                       "pitch": {"groups": ["lower", "higher"], "speakers": {"lower": 8, "higher": 0}, "unknown": 0,
                                 "classes": 0, "difference": None, "chance": None, "smallest_chance": None}},
            "calibration": {"error": 0.121, "temperature": 1.42, "error_with_temperature": 0.063,
                            "validation_utterances": 300}}


def _clips(reports: Path, predictions: Predictions) -> dict[str, Any]:
    random, clips = np.random.default_rng(4), []
    for number in range(3):
        position = len(predictions.utterances) // 7 * number
        clip: dict[str, Any] = {"utterance": predictions.utterances[position], "corpus": "synthetic_ravdess",
                                "emotion": EMOTIONS[predictions.true[position]], "seconds": 0.5, "gain": 0.8,
                                "licence": "CC0-1.0", "synthetic": True}
        for kind in ("clean", "noisy"):
            file = f"clips/{number + 1}_{kind}.wav"
            (reports / "clips").mkdir(parents=True, exist_ok=True)
            soundfile.write(reports / file, random.normal(0, 0.05, 8000), 16000, "PCM_16")
            clip[kind] = {"file": file, "predicted": "happy", "confidence": 0.52}
        clip["noisy"] |= {"noise": "fish_market", "intensity": 0.5, "seed": 1, "snr_db": 3.2}
        clips.append(clip)
    return {"clips": clips}


def _provenance(params: Params) -> dict[str, Any]:
    return {
        "commit": "0123456789abcdef0123456789abcdef01234567", "dirty": "false", "data_md5": "aa11bb22cc33.dir",
        "run": {"run_id": "4f2d", "experiment": "ser-fusion", "tracking_uri": "sqlite:///mlflow.db"},
        "card": {"model": "fusion", "preset": "small", "parameters": 921311, "best_epoch": 9, "validation_uar": 0.661,
                 "validation_clean_uar": 0.701, "validation_noisy_uar": 0.621,
                 "backbone": "random weights, small configuration", "training": {"learning_rate": 0.0012}},
        "seeds": {"partitions.seed": 20, "train.seed": 40},
        "versions": {"python": "3.11.9", "torch": "2.13.0", "mlflow": "3.17.2"},
        "partitions": {"utterances": {"train": 980, "validation": 300, "test": 340},
                       "speakers": {"train": 8, "validation": 4, "test": 4},
                       "noise": {noise: {"train": 4, "validation": 2, "test": 2} for noise in list(NOISES)[:3]}},
        "params": params.model_dump(mode="json")}


def make(reports: Path, per_class: int = 24, partial: bool = False, resamples: int = 1000,
         transmission: tuple[str, ...] = (), **provenance: Any) -> Path:
    """Write every file that the page is built from, but the page. Keyword arguments change metrics' provenance."""
    params = PARAMS.model_copy(update={"evaluate": PARAMS.evaluate.model_copy(
        update={"resamples": resamples, "transmission": transmission})})
    reports.mkdir(parents=True, exist_ok=True)
    predictions = _predictions(params, per_class)
    metrics = _metrics(params, predictions, provenance | ({"partial": ["ravdess"]} if partial else {}))
    rows = Summary(predictions.of(*MODELS), params.evaluate).table(list(MODELS))
    audit = {"protocol": "speaker", "clean": True, "declared": [], "findings": [],
             "checked": {"utterances": 1620, "rows": 4560, "contents": 4560, "speakers": 16, "noise_recordings": 24,
                         "noise_sources": 24}}
    explanations, validation = _explanations(reports, predictions), _validation(partial)
    write_json(reports / "metrics.json", metrics)
    predictions.of(*MODELS).write(reports / "predictions.csv")
    write_csv(reports / "robustness.csv", rows, ROBUSTNESS_FIELDS)
    write_csv(reports / "ablation.csv", ablation.ablation_table(metrics["models"]), ablation.ABLATION_FIELDS)
    write_json(reports / "leak_audit.json", audit)
    write_json(reports / "data_validation.json", validation)
    write_json(reports / "explanations.json", explanations)
    behaviour = _behaviour(predictions)
    write_json(reports / "behaviour.json", behaviour)
    write_json(reports / "clips.json", _clips(reports, predictions))
    write_json(reports / "provenance.json", _provenance(params))
    write_json(reports / "published.json", published_record())
    epochs = np.arange(1, 15)
    write_csv(reports / "history.csv", [
        {"epoch": int(e), "train_loss": round(1.9 * np.exp(-e / 7) + 0.3, 4), "train_uar": round(1 - np.exp(-e / 6), 4),
         "validation_loss": round(1.6 * np.exp(-e / 6) + 0.02 * e + 0.7, 4),
         "validation_uar": round(0.66 - 0.4 * np.exp(-e / 3) - 0.001 * (e - 9) ** 2, 4), "learning_rate": 0.001,
         "seconds": 12.5} for e in epochs],
        ["epoch", "train_loss", "train_uar", "validation_loss", "validation_uar", "learning_rate", "seconds"])
    files = {path.relative_to(reports).as_posix() for path in reports.rglob("*") if path.is_file()}
    verdict = judging.judge({"metrics": metrics, "robustness": [{key: str(value) for key, value in row.items()}
                                                                for row in rows],
                             "behaviour": behaviour, "leak_audit": audit, "data_validation": validation,
                             "explanations": explanations},
                            params.gate, "fusion", [condition for condition in predictions.conditions
                                                    if not condition.clean], files,
                            {"loads": True, "pickles": [], "utterances": 16, "largest_difference": 2e-7, "error": ""})
    write_json(reports / "gate.json", verdict)
    return reports


if __name__ == "__main__":
    from ser_ops.report.page import build

    print(build(make(Path(sys.argv[1]), partial="partial" in sys.argv)))
