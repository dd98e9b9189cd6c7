"""One utterance under every condition: what the model answers and each method gives, with the sound and its picture.

All conditions are explained for one class, the answer to the sound without noise: the question stays the same and the
sound alone changes. Each is explained once; all that is written, drawn or measured is made of that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops.config.explaining import Explain, Listen
from ser_ops.emotions import EMOTIONS
from ser_ops.explain.background import Background
from ser_ops.explain.clip import CLEAN, Clip, class_probabilities, waveform_contexts
from ser_ops.explain.figures import Sound, draw_over_waveform
from ser_ops.explain.intervals import rank_correlation
from ser_ops.explain.methods.shap import Attribution
from ser_ops.explain.playback import (
    common_gain,
    share_inside,
    share_of_time,
    speech_stretches,
    write_ogg,
    write_spectrogram,
)
from ser_ops.explain.question import Explanation, Question, explain_clip, method_module
from ser_ops.explain.streams import StreamValues, stream_shapley
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.methods import METHODS


@dataclass(frozen=True)
class OutputFolders:
    """Folders that take files, and the prefix of their names in explanations.json.

    files: for sounds and spectrograms; figures: for drawn figures.
    """

    files: Path
    files_prefix: str
    figures: Path
    figures_prefix: str


@dataclass(frozen=True)
class UtteranceExplanation:
    """Entries as explanations.json holds them under "heard", and the first condition's question with its answers.

    entries: of the conditions of which methods were asked. records: of the others, with their streams alone.
    explanations: by method, of every class where a method can; empty where no method was asked.
    """

    entries: list[dict[str, Any]]
    records: list[dict[str, Any]]
    question: Question
    explanations: dict[str, Explanation]

    @property
    def traces(self) -> dict[str, Trace]:
        """Each method's trace of the first condition."""
        return _traces(self.explanations)

    @property
    def attribution(self) -> Attribution | None:
        """SHAP of the first condition; None where it was not asked."""
        return next((explanation.details for explanation in self.explanations.values()
                     if isinstance(explanation.details, Attribution)), None)


def explain_utterance(subject: Subject, clips: Sequence[Clip], background: Background | None, settings: Explain,
                      output: OutputFolders | None = None, name: str = "", asked: int | None = None,
                      every_class: bool = True) -> UtteranceExplanation:
    """Everything about one utterance.

    clips        its conditions, the one without noise first
    output       takes sounds and spectrograms of the conditions of settings.listen, under <name>_<condition>; None
                 writes none
    asked        of how many conditions methods are asked, from the first; None: of all. The others get streams alone
    every_class  whether the first condition is explained for all seven classes by the methods that can
    """
    context = waveform_contexts(subject, clips, settings.batch_size)
    probabilities = class_probabilities(subject, clips, context)
    target = int(probabilities[0].argmax())
    streams = None if background is None else \
        stream_shapley(subject, clips, context, target, background, settings.batch_size)
    questions, entries = [], []
    for i, clip in enumerate(clips):
        questions.append(Question(subject, clip, target, settings, None if background is None else background.features,
                                  context[i:i + 1], settings.conditions.shap_samples if i else settings.shap_samples,
                                  every_class=every_class and i == 0))
        entries.append(answer_entry(subject, clip, probabilities[i], target)
                       | {"streams": None if streams is None else streams_entry(streams[i])})
    asked = len(clips) if asked is None else asked
    if not asked:
        return UtteranceExplanation([], entries, questions[0], {})
    answers = [explain_clip(question) for question in questions[:asked]]
    stretches = speech_stretches(clips[0].clean, subject.sample_rate, settings.speech)
    audible = [output is not None and (clip.noise == CLEAN or clip.intensity == settings.listen.intensity)
               for clip in clips[:asked]]
    gain = common_gain([clip.window for clip, sounds in zip(clips, audible, strict=False) if sounds])
    for i, (entry, clip) in enumerate(zip(entries[:asked], clips, strict=False)):
        traces, audio, spectrogram = _traces(answers[i]), None, None
        if output is not None and audible[i]:
            audio, spectrogram = _write_sound(clip, gain, subject.sample_rate, settings.listen, output, name)
        entry |= {
            "audio": audio, "gain": gain, "traces": {method: trace_entry(trace) for method, trace in traces.items()},
            "speech": speech_entry(traces, stretches, entry["window_seconds"], settings.speech.hop),
            "rank_correlation": rank_correlations(_traces(answers[0]), traces, entry["valid_seconds"]) if i else None,
            "spectrogram": spectrogram, "figures": {}}
    return UtteranceExplanation(entries[:asked], entries[asked:], questions[0], answers[0])


def _traces(explanations: Mapping[str, Explanation]) -> dict[str, Trace]:
    return {method: explanation.trace for method, explanation in explanations.items()}


def _write_sound(clip: Clip, gain: float, sample_rate: int, settings: Listen, output: OutputFolders,
                 name: str) -> tuple[str, dict[str, Any]]:
    """Write the clip's sound and its spectrogram; what the entry holds of both."""
    stem = name + ("_clean" if clip.noise == CLEAN else f"_{clip.noise}_{clip.intensity:g}")
    write_ogg(output.files / f"{stem}.ogg", (clip.window * gain).clip(-1, 1), sample_rate)
    picture = write_spectrogram(output.files / f"{stem}.png", clip.window, sample_rate, settings)
    return f"{output.files_prefix}{stem}.ogg", {"file": f"{output.files_prefix}{stem}.png", **picture}


def answer_entry(subject: Subject, clip: Clip, probabilities: np.ndarray, target: int) -> dict[str, Any]:
    """Which utterance under which condition, and what the model answers; `target` is the class explained.

    probabilities: of the seven classes, (7,).
    """
    winner = int(probabilities.argmax())
    return {"utterance": clip.row.utterance, "corpus": clip.row.corpus, "emotion": clip.row.emotion,
            "noise": clip.noise, "intensity": clip.intensity, "seed": clip.seed,
            "snr_db": clip.snr_db if clip.snr_db is not None and np.isfinite(clip.snr_db) else None,
            "predicted": EMOTIONS[winner], "confidence": float(probabilities[winner]), "explained": EMOTIONS[target],
            "probabilities": {emotion: float(share) for emotion, share in zip(EMOTIONS, probabilities, strict=True)},
            "valid_seconds": clip.valid / subject.sample_rate,
            "window_seconds": len(clip.window) / subject.sample_rate, "window_start": clip.start}


def streams_entry(streams: StreamValues) -> dict[str, Any]:
    """The streams' Shapley values as explanations.json holds them."""
    return {"names": list(streams.phi), "phi": streams.phi, "base": streams.base, "score": streams.score,
            "unit": streams.unit}


def trace_entry(trace: Trace) -> dict[str, Any]:
    """A trace as explanations.json holds it: seconds to 0.1 ms, values to five digits."""
    return {"seconds": np.round(trace.seconds, 4).tolist(),
            "values": [float(f"{value:.5g}") for value in trace.values], "unit": trace.unit, "held": trace.held}


def speech_entry(traces: Mapping[str, Trace], stretches: np.ndarray, seconds: float, step: float) -> dict[str, Any]:
    """Where speech is in a window of `seconds`, and the share of each method's positive values that lies there.

    stretches: of speech, float64 (k, 2), in seconds. step: seconds at which traces are read.
    """
    return {"seconds": np.round(stretches, 4).tolist(), "share_of_time": share_of_time(stretches, seconds),
            "share": {method: share_inside(trace, stretches, seconds, step) for method, trace in traces.items()}}


def rank_correlations(clean: Mapping[str, Trace], noisy: Mapping[str, Trace], valid_seconds: float) -> dict[str, float]:
    """Spearman's rank correlation of each method's trace with that of the same clip without noise, before padding."""
    correlations = {}
    for method, trace in noisy.items():
        valid = trace.seconds <= valid_seconds
        correlations[method] = rank_correlation(clean[method].over(trace.seconds[valid]), trace.values[valid])
    return correlations


def clip_entry(explained: UtteranceExplanation, output: OutputFolders, name: str) -> dict[str, Any]:
    """The first condition as explanations.json holds it under "clips": each method that draws a picture of its own.

    Pictures are <method>_<name>.png; the first one's is the clip's own "figure".
    """
    entry = {key: explained.entries[0][key] for key in ("utterance", "corpus", "emotion", "predicted", "confidence",
                                                        "explained", "valid_seconds", "window_start")}
    for method, explanation in explained.explanations.items():
        if METHODS[method].evidence != "features":
            file = output.figures / f"{method}_{name}.png"
            figure = f"{output.figures_prefix}{file.name}"
            entry[method] = draw_method(explained.question, method, explanation, entry, file) | {"figure": figure}
            entry.setdefault("figure", figure)
    return entry


def draw_method(question: Question, name: str, explanation: Explanation, entry: Mapping[str, Any],
                file: Path) -> dict[str, Any]:
    """Draw a method's picture of a clip into `file`; what explanations.json holds of it.

    The method's own (`picture` of its file), or the waveform coloured by its trace. entry: as `answer_entry` gives it.
    """
    own = getattr(method_module(name), "picture", None)
    return draw_over_time(question, name, explanation.trace, entry, file) if own is None else \
        own(question, explanation, entry, file)


def draw_over_time(question: Question, name: str, trace: Trace, entry: Mapping[str, Any],
                   file: Path) -> dict[str, Any]:
    """Draw the waveform coloured by what a trace gives to the class explained; its `curve_entry`."""
    subject, blur = question.subject, method_module(name).blur(question.subject, question.settings)
    held = f" Held: {trace.held}." if trace.held else ""
    caption = (f"{METHODS[name].title} for '{entry['explained']}'. {METHODS[name].caption} A moment has seen "
               f"{blur:.2g} s of sound; below 0 it is drawn as 0.{held}")
    sound = Sound(question.clip.window, subject.sample_rate, entry["valid_seconds"], clip_title(entry))
    draw_over_waveform(sound, trace.seconds, np.maximum(trace.values, 0), trace.unit, caption, file)
    return curve_entry(trace, entry["valid_seconds"])


def clip_title(entry: Mapping[str, Any]) -> str:
    """The utterance, its labelled emotion where that is known, and what it was taken for."""
    taken = "recognised" if entry["predicted"] == entry["emotion"] else f"taken for {entry['predicted']}"
    label = f"{entry['emotion']}, " if entry["emotion"] else ""
    return f"{label}{taken} ({entry['confidence']:.2f})   {entry['utterance']}"


def curve_entry(trace: Trace, valid_seconds: float) -> dict[str, Any]:
    """A trace scaled so that its positive peak is 1, with the peak, and the share of what is above 0 on padding."""
    positive = np.maximum(trace.values, 0)
    peak, total = float(positive.max(initial=0.0)), float(positive.sum())
    return {"times": np.round(trace.seconds, 4).tolist(), "values": np.round(trace.values / (peak or 1), 5).tolist(),
            "peak": peak, "empty": peak == 0,
            "share_in_padding": float(positive[trace.seconds > valid_seconds].sum()) / (total or 1)}
