"""One utterance under every condition: what the model answers and each method gives, with the sound and its picture.

All conditions are explained for one class, the answer to the sound without noise: the question stays the same and the
sound alone changes. Each is explained once, and whatever is said, drawn or measured of it is made of that.

One clip in words and figures: what the model answers, and what a method gives to it, with the method's picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops import config
from ser_ops.emotions import EMOTIONS
from ser_ops.explain import figures
from ser_ops.explain.background import Background
from ser_ops.explain.condition import CLEAN, Heard, answers, contexts
from ser_ops.explain.intervals import rank_correlation
from ser_ops.explain.playback import gain_of, share_inside, share_of_time, speech_of, write_ogg, write_spectrogram
from ser_ops.explain.question import Explanation, Question, computed_by, explanations
from ser_ops.explain.streams import Streams, shapley
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


@dataclass(frozen=True)
class Output:
    """Folders that take files, and what stands before their names in explanations.json.

    files: of sounds and spectrograms; figures: of drawn figures.
    """

    files: Path
    files_prefix: str
    figures: Path
    figures_prefix: str


@dataclass(frozen=True)
class Dossier:
    """Entries as explanations.json holds them under "heard", and the first condition's question with its answers.

    entries: of the conditions of which methods were asked. records: of the others, with their streams alone. found: by
    method, of every class where a method can; empty where no method was asked.
    """

    entries: list[dict[str, Any]]
    records: list[dict[str, Any]]
    question: Question
    found: dict[str, Explanation]


def dossier(subject: Subject, clips: Sequence[Heard], background: Background | None, settings: config.Explain,
            output: Output | None = None, name: str = "", asked: int | None = None,
            every_class: bool = True) -> Dossier:
    """Everything about one utterance; clips: its conditions, the one without noise first.

    output: takes sounds and spectrograms of the conditions of settings.listen, under <name>_<condition>; None writes
    none. asked: of how many conditions methods are asked, from the first; of all for None. Of the others there are the
    streams alone. every_class: whether the first condition is explained for all seven classes by the methods that can.
    """
    context = contexts(subject, clips, settings.batch_size)
    probabilities = answers(subject, clips, context)
    target = int(probabilities[0].argmax())
    streams = None if background is None else shapley(subject, clips, context, target, background, settings.batch_size)
    questions = [Question(subject, one, target, settings, None if background is None else background.features,
                          context[place:place + 1],
                          settings.conditions.shap_samples if place else settings.shap_samples,
                          every_class=every_class and not place) for place, one in enumerate(clips)]
    entries = [told(subject, one, own, target) | {"streams": None if streams is None else leaning(streams[place])}
               for place, (one, own) in enumerate(zip(clips, probabilities, strict=True))]
    asked = len(clips) if asked is None else asked
    if not asked:
        return Dossier([], entries, questions[0], {})
    found = [explanations(question) for question in questions[:asked]]
    before = {method: one.trace for method, one in found[0].items()}
    stretches = speech_of(clips[0].clean, subject.sample_rate, settings.speech)
    audible = [] if output is None else [one for one in clips[:asked] if one.noise == CLEAN
                                         or one.intensity == settings.listen.intensity]
    gain = gain_of([one.window for one in audible])
    for entry, one, given in zip(entries[:asked], clips, found, strict=False):
        own = {method: answer.trace for method, answer in given.items()}
        entry |= {
            "audio": None, "gain": gain, "traces": {method: shown(trace) for method, trace in own.items()},
            "speech": _speech(own, stretches, entry["window_seconds"], settings.speech.hop),
            "rank_correlation": None if one is clips[0] else against(before, own, entry["valid_seconds"]),
            "spectrogram": None, "figures": {}}
        if output is not None and any(one is other for other in audible):
            base = name + ("_clean" if one.noise == CLEAN else f"_{one.noise}_{one.intensity:g}")
            write_ogg(output.files / f"{base}.ogg", (one.window * gain).clip(-1, 1), subject.sample_rate)
            picture = write_spectrogram(output.files / f"{base}.png", one.window, subject.sample_rate, settings.listen)
            entry["audio"] = f"{output.files_prefix}{base}.ogg"
            entry["spectrogram"] = {"file": f"{output.files_prefix}{base}.png", **picture}
    return Dossier(entries[:asked], entries[asked:], questions[0], found[0])


def clip_of(made: Dossier, output: Output, name: str) -> dict[str, Any]:
    """The first condition as explanations.json holds it under "clips": each method that draws a picture of its own.

    Pictures are <method>_<name>.png; the first one's is the clip's own "figure".
    """
    clip = {key: made.entries[0][key] for key in ("utterance", "corpus", "emotion", "predicted", "confidence",
                                                  "explained", "valid_seconds", "window_start")}
    for method, found in made.found.items():
        if METHODS[method].evidence != "features":
            file = output.figures / f"{method}_{name}.png"
            figure = f"{output.figures_prefix}{file.name}"
            clip[method] = drawn(made.question, method, found, clip, file) | {"figure": figure}
            clip.setdefault("figure", figure)
    return clip


def shown(trace: Trace) -> dict[str, Any]:
    """A trace as explanations.json holds it: seconds to 0.1 ms, values to five digits."""
    return {"seconds": np.round(trace.seconds, 4).tolist(), "values": [float(f"{one:.5g}") for one in trace.values],
            "unit": trace.unit, "held": trace.held}


def leaning(streams: Streams) -> dict[str, Any]:
    """The streams' Shapley values as explanations.json holds them."""
    return {"names": list(streams.phi), "phi": streams.phi, "base": streams.base, "score": streams.score,
            "unit": streams.unit}


def against(before: Mapping[str, Trace], after: Mapping[str, Trace], valid_seconds: float) -> dict[str, float]:
    """Spearman's rank correlation of each method's trace with that of the same clip without noise, before padding."""
    found = {}
    for method, trace in after.items():
        spoken_part = trace.seconds <= valid_seconds
        moments = trace.seconds[spoken_part]
        found[method] = rank_correlation(before[method].over(moments), trace.values[spoken_part])
    return found


def _speech(found: Mapping[str, Trace], stretches: np.ndarray, seconds: float, step: float) -> dict[str, Any]:
    return {"seconds": np.round(stretches, 4).tolist(), "share_of_time": share_of_time(stretches, seconds),
            "share": {method: share_inside(trace, stretches, seconds, step) for method, trace in found.items()}}
