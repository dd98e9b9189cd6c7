"""One clip in words and figures: what the model answers, and what a method gives to it, with the method's picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops.emotions import EMOTIONS
from ser_ops.explain import figures
from ser_ops.explain.asking import computed_by
from ser_ops.explain.heard import Heard
from ser_ops.explain.question import Explanation, Question
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.methods import METHODS


def told(subject: Subject, heard: Heard, probabilities: np.ndarray, target: int) -> dict[str, Any]:
    """Which utterance under which condition, and what the model says of it; `target` is the class explained.

    probabilities: of the seven classes, (7,).
    """
    winner = int(probabilities.argmax())
    return {"utterance": heard.row.utterance, "corpus": heard.row.corpus, "emotion": heard.row.emotion,
            "noise": heard.noise, "intensity": heard.intensity, "seed": heard.seed,
            "snr_db": heard.snr_db if heard.snr_db is not None and np.isfinite(heard.snr_db) else None,
            "predicted": EMOTIONS[winner], "confidence": float(probabilities[winner]), "explained": EMOTIONS[target],
            "probabilities": {emotion: float(share) for emotion, share in zip(EMOTIONS, probabilities, strict=True)},
            "valid_seconds": heard.valid / subject.sample_rate,
            "window_seconds": len(heard.window) / subject.sample_rate, "window_start": heard.start}


def title(clip: Mapping[str, Any]) -> str:
    """The utterance, what it was meant as (where that is known) and what it was taken for."""
    taken = "recognised" if clip["predicted"] == clip["emotion"] else f"taken for {clip['predicted']}"
    meant = f"{clip['emotion']}, " if clip["emotion"] else ""
    return f"{meant}{taken} ({clip['confidence']:.2f})   {clip['utterance']}"


def curve(trace: Trace, valid_seconds: float) -> dict[str, Any]:
    """A trace scaled so that its positive peak is 1, with the peak, and the share of what is above 0 on padding."""
    positive = np.maximum(trace.values, 0)
    peak, total = float(positive.max(initial=0.0)), float(positive.sum())
    return {"times": np.round(trace.seconds, 4).tolist(), "values": np.round(trace.values / (peak or 1), 5).tolist(),
            "peak": peak, "empty": peak == 0,
            "share_in_padding": float(positive[trace.seconds > valid_seconds].sum()) / (total or 1)}


def drawn(question: Question, name: str, found: Explanation, clip: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Draw a method's picture of a clip into `file`; what explanations.json holds of it.

    The method's own (`picture` of its file), or the waveform coloured by its trace. clip: as `told`.
    """
    own = getattr(computed_by(name), "picture", None)
    return over_time(question, name, found.trace, clip, file) if own is None else own(question, found, clip, file)


def over_time(question: Question, name: str, trace: Trace, clip: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Draw the waveform coloured by what a trace gives to the class explained; its `curve`."""
    subject, blur = question.subject, computed_by(name).blur(question.subject, question.settings)
    held = f" Held: {trace.held}." if trace.held else ""
    caption = (f"{METHODS[name].title} for '{clip['explained']}'. {METHODS[name].caption} A moment has seen {blur:.2g} "
               f"s of sound; below 0 it is drawn as 0.{held}")
    figures.over_waveform(question.heard.window, subject.sample_rate, trace.seconds, np.maximum(trace.values, 0),
                          title(clip), trace.unit, caption, file, clip["valid_seconds"])
    return curve(trace, clip["valid_seconds"])
