"""Made content of explanations.json for the listening page: hostile names, an empty trace, padding, negative values.

`python tests/report/made_listening.py FOLDER` writes it with its sounds and pictures and builds the page; with the
word `large`, 14 clips in 7 conditions as a real run has them; with `one`, a single recording of a user's own.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ser_ops.emotions import EMOTIONS
from ser_ops.files import write_json

HOSTILE = "</script><script>alert(\"1\")</script><!-- ' & \u2028 ünïcødé 🎧"
RATE, WINDOW = 16000, 2.5
STREAMS = ("wav2vec", "mfcc", "zcr", "rms")
METHODS = {"scorecam": "probability times activation", "shap": "log odds (logit less the mean of all seven)",
           "occlusion": "loss of probability"}
CONDITIONS = (("clean", 0.0), ("white", 0.25), ("white", 0.75), ("fish_market", 0.25), ("fish_market", 0.75),
              ("railway_engine", 0.25), ("railway_engine", 0.75))


def _speech(random: np.random.Generator, valid: int) -> np.ndarray:
    """Something between a vowel and noise, with pauses, silent beyond `valid`: (RATE * WINDOW,)."""
    moment = np.arange(round(RATE * WINDOW)) / RATE
    voice = sum(np.sin(2 * np.pi * 140 * k * moment) / k for k in range(1, 12))
    loud = np.maximum(0, np.sin(2 * np.pi * (1.1 + random.random()) * moment + random.random()))
    made = 0.2 * voice * loud + random.normal(0, 0.002, len(moment))
    made[valid:] = 0
    return np.asarray(made, np.float32)


def _spectrogram(samples: np.ndarray, path: Path) -> dict[str, Any]:
    """A picture in the page's form: grey, high bands first, black is low_db and white high_db."""
    from librosa import mel_frequencies
    from librosa.feature import melspectrogram
    from PIL import Image

    power = melspectrogram(y=samples, sr=RATE, n_fft=1024, hop_length=256, n_mels=64)
    level = np.clip(10 * np.log10(np.maximum(power, 1e-10) / power.max()), -80, 0)[::-1]
    Image.fromarray(((level + 80) / 80 * 255).round().astype(np.uint8)).save(path)
    return {"low_db": -80.0, "high_db": 0.0, "hop_seconds": 256 / RATE,
            "hertz": mel_frequencies(66, fmin=0, fmax=RATE / 2)[1:-1].round(1).tolist()}


def _traces(random: np.random.Generator, valid_seconds: float, empty: bool) -> dict[str, Any]:
    frames, mutings = np.arange(79) * 512 / RATE, np.arange(0, valid_seconds, 0.025) + 0.05
    bump = np.exp(-((frames - 0.4 - random.random()) / 0.2) ** 2)
    if valid_seconds < WINDOW:
        bump = np.where(frames > valid_seconds + 0.1, 0.5, bump)     # some of it on padding
    values = {"scorecam": np.zeros(79) if empty else bump * 0.3, "shap": bump - 0.4 * np.roll(bump, 20),
              "occlusion": 0.2 * np.sin(5 * mutings + random.random())}
    return {method: {"seconds": (mutings if method == "occlusion" else frames).round(4).tolist(),
                     "values": [float(f"{value:.5g}") for value in values[method]], "unit": unit,
                     "held": "" if method == "occlusion" else
                     "the stream over the waveform, which kept hearing all of it"}
            for method, unit in METHODS.items()}


def _heard(reports: Path, number: int, emotion: str, noise: str, intensity: float) -> dict[str, Any]:
    random = np.random.default_rng([number, round(100 * intensity), len(noise)])
    valid = RATE * 2 if number % 2 else round(RATE * WINDOW)
    samples = _speech(np.random.default_rng(number), valid)
    if noise != "clean":
        samples[:valid] += intensity * 0.3 * random.normal(0, 0.4, valid).astype(np.float32)
    name = f"explanations/{number}_{noise}_{intensity:g}"
    (reports / "explanations").mkdir(parents=True, exist_ok=True)
    soundfile.write(reports / f"{name}.ogg", samples, RATE, format="OGG", subtype="VORBIS")
    drawn = _spectrogram(samples, reports / f"{name}.png")
    predicted = emotion if (number + round(4 * intensity)) % 3 or not emotion else "sad"
    chances = random.dirichlet(np.ones(7))
    phi = {name: float(value) for name, value in zip(STREAMS, random.normal(0.2, 0.4, 4), strict=True)}
    clean = noise == "clean"
    utterance = HOSTILE if number == 1 else f"synthetic_tess/speaker_{number % 4}/{emotion or 'mine'}_{number:02d}"
    return {
        "utterance": utterance, "gain": 0.5,
        "corpus": "synthetic_tess", "emotion": emotion, "noise": noise, "intensity": intensity,
        "seed": None if clean else 1, "snr_db": None if clean else 14 - 20 * intensity,
        "predicted": predicted or "fear", "confidence": float(chances.max()), "explained": predicted or "fear",
        "probabilities": {emotion: float(chance) for emotion, chance in zip(EMOTIONS, chances, strict=True)},
        "valid_seconds": valid / RATE, "window_seconds": WINDOW, "audio": f"{name}.ogg",
        "traces": _traces(random, valid / RATE, empty=number == 2),
        "streams": {"names": list(STREAMS), "phi": phi, "base": -0.4, "score": -0.4 + sum(phi.values()),
                    "unit": "log odds"},
        "speech": {"seconds": [[0.1, 0.7], [1.0, 1.6]], "share_of_time": 0.6, "share": dict.fromkeys(METHODS, 0.7)},
        "rank_correlation": None if clean else {method: float(random.uniform(-0.2, 1)) for method in METHODS},
        "spectrogram": {"file": f"{name}.png", **drawn}, "figures": {}}


def _spread(mean: float, reach: float = 0.06, key: str = "mean") -> dict[str, float]:
    return {key: mean, "low": mean - reach, "high": mean + reach}


def _across(conditions: tuple[tuple[str, float], ...]) -> dict[str, Any]:
    def cell(noise: str, intensity: float) -> dict[str, Any]:
        shares = np.array([0.5 - 0.3 * intensity, 0.3 + 0.2 * intensity, 0.1, 0.1 + 0.1 * intensity])
        return {"noise": noise, "intensity": intensity, "n": 14, "same_answer": 1 - 0.6 * intensity,
                "rank_correlation": {method: _spread(0.9 - 0.3 * position - 0.5 * intensity)
                                     for position, method in enumerate(METHODS)},
                "speech_share": {method: _spread(0.8 - 0.1 * position - 0.2 * intensity)
                                 for position, method in enumerate(METHODS)},
                "streams": {stream: _spread(float(share), 0.05) for stream, share in zip(STREAMS, shares, strict=True)}}
    clean = {key: value for key, value in cell("clean", 0.0).items() if key in ("n", "speech_share", "streams")}
    levels = sorted({level for _, level in conditions if level})
    return {"by_intensity": [{"intensity": level, "streams": cell("", level)["streams"]} for level in (0.0, *levels)],
            "cells": [cell(*condition) for condition in conditions if condition[0] != "clean"], "clean": clean,
            "words": ["From clean to white at 0.75 the share of wav2vec falls by 0.23 [0.15, 0.31]."]}


def _faithfulness() -> dict[str, Any]:
    def curves_of(good: float) -> dict[str, Any]:
        def both(make: Any) -> dict[str, Any]:
            return {curve: {fill: make(sign) for fill in ("silence", "noise")}
                    for curve, sign in (("deletion", -1), ("insertion", 1))}
        return {**both(lambda sign: _spread(0.4 + sign * good, 0.05, "area") | {"curve": [
                    0.4 + sign * (good - 0.3 * (share - 0.5)) for share in (0, 0.25, 0.5, 0.75, 1)]}),
                **{f"against_{name}": both(lambda sign: _spread(sign * good, 0.04, "difference"))
                   for name in ("random", "energy")}}

    def method(good: float, sampled: bool) -> dict[str, Any]:
        return {**curves_of(good), "beats_random": good > 0.04, "completeness_error": 0.12 if sampled else None,
                "seed_agreement": 0.94 if sampled else None, "randomised_correlation": 0.11,
                "randomised_head_correlation": 0.61}
    baselines = {name: {curve: value for curve, value in curves_of(good).items() if not curve.startswith("against")}
                 for name, good in (("random", 0.0), ("energy", 0.07))}
    return {"fills": ["silence", "noise"], "steps": 10, "clips": 14, "shares": [0, 0.25, 0.5, 0.75, 1],
            "methods": {name: method(0.15 - 0.06 * position, name == "shap") for position, name in enumerate(METHODS)},
            **baselines, "words": [f"SHAP beats random order. {HOSTILE}"]}


def _planted() -> dict[str, Any]:
    return {"cue": {"seconds": [0.2, 2.2], "hertz": [1000, 2500]}, "accuracy": 0.98,
            "methods": {name: {"hit_rate": 0.9 - 0.2 * position, "n": 24, "chance": 0.12, "found": position < 2}
                        for position, name in enumerate(METHODS)},
            "words": ["Every method finds the burst more often than chance."]}


def content(reports: Path, clips: int = 4, conditions: int = 3) -> dict[str, Any]:
    """Write sounds and pictures of clips x conditions into `reports`/explanations, and return what names them."""
    chosen = CONDITIONS[:conditions]
    heard = [_heard(reports, number, EMOTIONS[number % 7], *condition) for number in range(clips)
             for condition in chosen]
    for clip in heard:
        if clip["emotion"] == "happy" and clip["noise"] != "clean":    # as where sounds are kept of few conditions
            clip |= {"audio": None, "spectrogram": None}
    return {"model": "fusion", "methods": list(METHODS), "not_admitted": {"gradcam": "the model has no camera"},
            "heard": heard, "across_noise": _across(chosen), "faithfulness": _faithfulness(), "planted": _planted(),
            "provenance": {"synthetic": ["synthetic_tess"], "partial": ["ravdess"],
                           "backbone": "random weights, small configuration"}}


def own_recording(reports: Path) -> dict[str, Any]:
    """Content for one recording of a user's own: nothing is known but what the model answered."""
    heard = _heard(reports, 3, "", "clean", 0.0) | {"utterance": "mine.wav", "corpus": "", "streams": None}
    heard["speech"], heard["rank_correlation"] = None, None
    return {"model": "spectral", "heard": [heard]}


if __name__ == "__main__":
    from ser_ops.report.listening import build

    folder, large = Path(sys.argv[1]), "large" in sys.argv
    made = own_recording(folder) if "one" in sys.argv else content(folder, *((14, 7) if large else (4, 3)))
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "explanations.json", made)
    print(build(folder))
