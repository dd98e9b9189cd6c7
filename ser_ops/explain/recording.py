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


def explain_recording(model: EmotionModel, card: Mapping[str, Any], device: torch.device, path: Path,
                      settings: Explain, out: Path, start: float | None = None,
                      channel: int | None = None) -> dict[str, Any]:
    """Explain one window of a recording; sounds and pictures go into the folder `out`.

    Returns what explanations.json holds of it: model, methods, not_admitted, provenance, notes (sentences on what the
    reader must know), heard (one entry). Raises UserError as `read_window` does.
    """
    subject = Subject.of(model, card, device)
    window = read_window(path, subject.sample_rate, subject.features.seconds, start, channel)
    name = printable(path.name)[:_LONGEST_NAME]
    clip = make_clip(subject, VariantRow(name, name, "original", "", "", "", ""), window.samples)
    background = Background.of_card(subject, clip) if subject.needs_background else None
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{out}: no folder to write to ({error.strerror}): give another with --out") from error
    output = OutputFolders(out, "", out, "")
    explained = explain_utterance(subject, [clip], background, settings, output, "recording", every_class=False)
    question, entry, attribution = explained.question, explained.entries[0], explained.attribution
    muting = counterfactual(clip, question.classify_windows, leading_trace(explained.traces), question.target,
                            subject.sample_rate, settings)
    entry["figures"] = draw_paper_figures(subject, clip, entry, explained.traces, attribution, muting, settings, out,
                                          "")
    if attribution is not None:
        row = ShapRow(clip.batch.features[0].cpu().numpy(), entry["explained"], clip_title(entry))
        draw_utterance_waterfall(subject, attribution, row, question.target, settings.top, out / "figure_4d.png")
        entry["figures"]["figure_4d"] = "figure_4d.png"
    return {"model": card["model"], "methods": list(subject.admitted), "not_admitted": subject.not_admitted,
            "provenance": {"backbone": card.get("backbone")},
            "notes": [*(caveat.sentence for caveat in caveats(card)), *_notes(subject, window, background)],
            "heard": [entry | {"window_start": window.start}]}


def read_window(path: Path, sample_rate: int, seconds: float, start: float | None = None,
                channel: int | None = None) -> RecordingWindow:
    """`seconds` of a recording at `sample_rate` hertz from `start`, or its middle; less where it ends before.

    channel: of several, from 1 on; None: `ser_ops.audio` chooses. The recording is decoded twice, since only decoding
    tells how long it is; no more than a block is held beside the window. Raises UserError in one line for a file that
    is not admitted, a start beyond the end and a window in which nothing sounds.
    """
    stream = RecordingStream(path, sample_rate, channel=channel)
    for _ in stream:
        pass
    total = stream.seconds
    if start is not None and not 0 <= start <= max(0.0, total - SHORTEST):
        raise UserError(f"{path}: --start {start:g} leaves no sound: the recording lasts {total:.1f} s, give 0 to "
                        f"{max(0.0, total - seconds):.1f}")
    begin = max(0.0, total - seconds) / 2 if start is None else start
    first, last = round(begin * sample_rate), round((begin + seconds) * sample_rate)
    read, blocks = 0, [np.zeros(0, np.float32)]
    for block in stream:
        blocks.append(block[max(0, first - read):max(0, last - read)])
        read += len(block)
        if read >= last:
            break
    samples = np.concatenate(blocks)
    if is_silent(samples):
        raise UserError(f"{path}: nothing rises above {SILENCE_DBFS:g} dBFS from {begin:.1f} to {begin + seconds:.1f} "
                        "s: give another --start")
    return RecordingWindow(samples, begin, total)


def _notes(subject: Subject, window: RecordingWindow, background: Background | None) -> list[str]:
    """Sentences on what the reader must know."""
    end, notes = window.start + len(window.samples) / subject.sample_rate, []
    if window.total > subject.features.seconds:
        notes.append(f"The recording lasts {window.total:.1f} s; explained is one window of it, {window.start:.2f} to "
                     f"{end:.2f} s (--start chooses another). Seconds on this page count from its start.")
    if background is not None:
        notes.append(f"SHAP and the streams compare the recording with {background.words}, not with other speech.")
    notes.append("Where speech is was found by energy in the recording itself, so loud noise is taken for speech.")
    return [*notes, "How far each method can be believed was not measured on this recording: explanations.json of the "
                    "model's run says what was found on its test utterances."]
