"""A recording of the user's own explained: one window of it, by every method, with paper 1's figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ser_ops.audio.admission import SHORTEST, SILENCE_DBFS
from ser_ops.audio.reading import RecordingStream
from ser_ops.caveats import caveats
from ser_ops.config.explaining import Explain
from ser_ops.errors import UserError
from ser_ops.explain.background import Background
from ser_ops.explain.clip import make_clip
from ser_ops.explain.clip_figures import draw_paper_figures, leading_trace
from ser_ops.explain.deletion import counterfactual
from ser_ops.explain.methods.shap import Attribution
from ser_ops.explain.overall_figures import ShapRow, draw_utterance_waterfall
from ser_ops.explain.subject import Subject
from ser_ops.explain.utterance import OutputFolders, clip_title, explain_utterance
from ser_ops.inference.recogniser import is_silent
from ser_ops.manifest import VariantRow
from ser_ops.models.base import EmotionModel
from ser_ops.terminal import printable

_LONGEST_NAME = 80     # characters: what fits above a picture, and into its file's name


@dataclass(frozen=True)
class RecordingWindow:
    """Mono samples (n,) from `start` seconds of a recording that lasts `total` seconds."""

    samples: np.ndarray
    start: float
    total: float


def window_of(path: Path, sample_rate: int, seconds: float, start: float | None = None,
              channel: int | None = None) -> RecordingWindow:
    """`seconds` of a recording at `sample_rate` hertz from `start`, or its middle; less where it ends before.

    channel: of several, from 1 on; None lets the door choose. The recording is decoded twice, since only decoding tells
    how long it is; no more than a block is held beside the window. Raises UserError in one line for a file that the
    door does not admit, a start beyond the end and a window in which nothing sounds.
    """
    listening = RecordingStream(path, sample_rate, channel=channel)
    for _ in listening:
        pass
    total = listening.seconds
    if start is not None and not 0 <= start <= max(0.0, total - SHORTEST):
        raise UserError(f"{path}: --start {start:g} leaves no sound: the recording lasts {total:.1f} s, give 0 to "
                        f"{max(0.0, total - seconds):.1f}")
    begin = max(0.0, total - seconds) / 2 if start is None else start
    first, last = round(begin * sample_rate), round((begin + seconds) * sample_rate)
    place, kept = 0, [np.zeros(0, np.float32)]
    for block in listening:
        kept.append(block[max(0, first - place):max(0, last - place)])
        place += len(block)
        if place >= last:
            break
    samples = np.concatenate(kept)
    if is_silent(samples):
        raise UserError(f"{path}: nothing rises above {SILENCE_DBFS:g} dBFS from {begin:.1f} to {begin + seconds:.1f} "
                        "s: give another --start")
    return RecordingWindow(samples, begin, total)


def explain_recording(model: EmotionModel, card: Mapping[str, Any], device: torch.device, path: Path,
                      settings: Explain, out: Path, start: float | None = None,
                      channel: int | None = None) -> dict[str, Any]:
    """Explain one window of a recording; sounds and pictures go into the folder `out`.

    Returns what explanations.json holds of it: model, methods, not_admitted, provenance, notes (sentences on what the
    reader must know), heard (one entry). Raises UserError as `window_of` does.
    """
    subject = Subject.of(model, card, device)
    window = window_of(path, subject.sample_rate, subject.features.seconds, start, channel)
    name = printable(path.name)[:_LONGEST_NAME]
    heard = make_clip(subject, VariantRow(name, name, "original", "", "", "", ""), window.samples)
    background = Background.of_card(subject, heard) if subject.needs_background else None
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: no folder to write to ({error.strerror}): give another with --out") from error
    output = OutputFolders(out, "", out, "")
    told = explain_utterance(subject, [heard], background, settings, output, "recording", every_class=False)
    question, entry = told.question, told.entries[0]
    traces = {name: one.trace for name, one in told.found.items()}
    attribution = next((one.details for one in told.found.values() if isinstance(one.details, Attribution)), None)
    course = counterfactual(heard, question.classify_windows, leading_trace(traces), question.target, subject.sample_rate, settings)
    entry["figures"] = draw_paper_figures(subject, heard, entry, traces, attribution, course, settings, out, "")
    if attribution is not None:
        row = ShapRow(heard.batch.features[0].cpu().numpy(), entry["explained"], clip_title(entry))
        draw_utterance_waterfall(subject, attribution, row, question.target, settings.top, out / "figure_4d.png")
        entry["figures"]["figure_4d"] = "figure_4d.png"
    return {"model": card["model"], "methods": list(subject.admitted), "not_admitted": subject.not_admitted,
            "provenance": {"backbone": card.get("backbone")},
            "notes": [*(caveat.sentence for caveat in caveats(card)), *_notes(subject, window, background)],
            "heard": [entry | {"window_start": window.start}]}


def _notes(subject: Subject, window: RecordingWindow, background: Background | None) -> list[str]:
    end, said = window.start + len(window.samples) / subject.sample_rate, []
    if window.total > subject.features.seconds:
        said.append(f"The recording lasts {window.total:.1f} s; explained is one window of it, {window.start:.2f} to "
                    f"{end:.2f} s (--start chooses another). Seconds on this page count from its start.")
    if background is not None:
        said.append(f"SHAP and the streams compare the recording with {background.words}, not with other speech.")
    said.append("Where speech is was found by energy in the recording itself, so loud noise is taken for speech.")
    return [*said, "How far each method can be believed was not measured on this recording: explanations.json of the "
                   "model's run says what was found on its test utterances."]
