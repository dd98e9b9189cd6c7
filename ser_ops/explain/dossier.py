"""One utterance under every condition: what the model answers and each method gives, with the sound and its picture.

All conditions are explained for one class, the answer to the sound without noise: the question stays the same and the
sound alone changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ser_ops import config
from ser_ops.emotions import EMOTIONS
from ser_ops.explain.background import Background
from ser_ops.explain.heard import Heard
from ser_ops.explain.intervals import rank_correlation
from ser_ops.explain.methods import traces
from ser_ops.explain.sound import gain_of, write_ogg
from ser_ops.explain.spectrogram import write_spectrogram
from ser_ops.explain.speech import share_inside, share_of_time, speech_of
from ser_ops.explain.streams import Streams, shapley
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace


@dataclass(frozen=True)
class Dossier:
    """Entries as explanations.json holds them under "heard", and the traces of the first condition."""

    entries: list[dict[str, Any]]
    traces: dict[str, Trace]


def answer_of(subject: Subject, heard: Heard) -> np.ndarray:
    """Probabilities of the seven classes, float64 (7,)."""
    batch = heard.batch
    with torch.no_grad():
        return subject.model(batch.waveform, batch.valid, batch.features)[0].double().softmax(-1).cpu().numpy()


def dossier(subject: Subject, clips: Sequence[Heard], background: Background | None, settings: config.Explain,
            files: Path | None = None, prefix: str = "", name: str = "") -> Dossier:
    """Everything about one utterance; clips: its conditions, the one without noise first.

    files: the folder that takes sounds and spectrograms of the conditions of settings.listen, under <name>_<condition>;
    `prefix` stands before their names in the entries. None writes none.
    """
    clean, answers = clips[0], [answer_of(subject, one) for one in clips]
    target = int(answers[0].argmax())
    stretches = speech_of(clean.clean, subject.sample_rate, settings.speech)
    audible = [] if files is None else [one for one in clips
                                        if one is clean or one.intensity == settings.listen.intensity]
    gain, before, entries = gain_of([one.window for one in audible]), dict[str, Trace](), list[dict[str, Any]]()
    fewer = settings.model_copy(update={"shap_samples": settings.conditions.shap_samples})
    for one, probabilities in zip(clips, answers, strict=True):
        found = traces(subject, one, target, None if background is None else background.features,
                       settings if one is clean else fewer)
        before = before or found
        entry = spoken(subject, one, probabilities, target) | {
            "audio": None, "gain": gain, "traces": {method: shown(trace) for method, trace in found.items()},
            "streams": None if background is None else leaning(shapley(subject, one, target, background)),
            "speech": _speech(found, stretches, len(one.window) / subject.sample_rate, settings.speech.hop),
            "rank_correlation": None if one is clean else against(before, found, clean.valid / subject.sample_rate),
            "spectrogram": None, "figures": {}}
        if any(one is other for other in audible) and files is not None:
            base = name + ("_clean" if one is clean else f"_{one.noise}_{one.intensity:g}")
            write_ogg(files / f"{base}.ogg", (one.window * gain).clip(-1, 1), subject.sample_rate)
            drawn = write_spectrogram(files / f"{base}.png", one.window, subject.sample_rate, settings.listen)
            entry |= {"audio": f"{prefix}{base}.ogg", "spectrogram": {"file": f"{prefix}{base}.png"} | drawn}
        entries.append(entry)
    return Dossier(entries, before)


def spoken(subject: Subject, heard: Heard, probabilities: np.ndarray, target: int) -> dict[str, Any]:
    """Which utterance under which condition, and what the model says of it; `target` is the class explained."""
    winner = int(probabilities.argmax())
    return {"utterance": heard.row.utterance, "corpus": heard.row.corpus, "emotion": heard.row.emotion,
            "noise": heard.noise, "intensity": heard.intensity, "seed": heard.seed,
            "snr_db": heard.snr_db if heard.snr_db is not None and np.isfinite(heard.snr_db) else None,
            "predicted": EMOTIONS[winner], "confidence": float(probabilities[winner]), "explained": EMOTIONS[target],
            "probabilities": {emotion: float(share) for emotion, share in zip(EMOTIONS, probabilities, strict=True)},
            "valid_seconds": heard.valid / subject.sample_rate,
            "window_seconds": len(heard.window) / subject.sample_rate}


def shown(trace: Trace) -> dict[str, Any]:
    """A trace as explanations.json holds it: seconds to 0.1 ms, values to five digits."""
    return {"seconds": np.round(trace.seconds, 4).tolist(), "values": [float(f"{one:.5g}") for one in trace.values],
            "unit": trace.unit, "held": trace.held}


def leaning(streams: Streams | None) -> dict[str, Any] | None:
    """The streams' Shapley values as explanations.json holds them."""
    return None if streams is None else {"names": list(streams.phi), "phi": streams.phi, "base": streams.base,
                                         "score": streams.score, "unit": streams.unit}


def against(before: dict[str, Trace], after: dict[str, Trace], valid_seconds: float) -> dict[str, float]:
    """Spearman's rank correlation of each method's trace with that of the same clip without noise, before padding."""
    found = {}
    for method, trace in after.items():
        spoken_part = trace.seconds <= valid_seconds
        moments = trace.seconds[spoken_part]
        found[method] = rank_correlation(before[method].over(moments), trace.values[spoken_part])
    return found


def _speech(found: dict[str, Trace], stretches: np.ndarray, seconds: float, step: float) -> dict[str, Any]:
    return {"seconds": np.round(stretches, 4).tolist(), "share_of_time": share_of_time(stretches, seconds),
            "share": {method: share_inside(trace, stretches, seconds, step) for method, trace in found.items()}}
