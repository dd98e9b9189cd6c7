"""Grad-CAM of one utterance: the metric table of paper 2's figures 7 to 13, and the picture."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ser_ops import config
from ser_ops.dataset.examples import Examples
from ser_ops.emotions import EMOTIONS
from ser_ops.explain.clip import title, told
from ser_ops.explain.focus import Focus, activated, focus, frame_borders, masked
from ser_ops.explain.frames import blur_seconds
from ser_ops.explain.heard import answers, contexts, hear
from ser_ops.explain.mel_picture import MelSpectrogram, over_mel
from ser_ops.explain.methods.gradcam import Heat, heat_of, mel_window
from ser_ops.explain.places import Places
from ser_ops.explain.question import Question
from ser_ops.explain.subject import Subject
from ser_ops.features.rows import mel_edges_hertz, mel_rows

PAPER_ORDER = ("angry", "fear", "disgust", "happy", "sad", "surprise", "neutral")   # figures 7 to 13
_OVER_TIME = (
    "Grad-CAM on the last convolution, which runs over time alone; each of its steps has seen {seen:.2f} s of sound. "
    "Within a frame the map is spread over the mel bands by the positive part of gradient times standardised input: "
    "bands are those that the answer '{predicted}' leans on there, not what a filter has looked at. MFCC, chroma and "
    "contrast are not in the picture, and masking leaves them as they are.")
_OVER_IMAGE = (
    "Grad-CAM on {rows} x {columns} cells of the image, each {seconds:.2f} s long and {bands:.0f} mel bands high, "
    "smoothed between their centres. In a transformer cells attend to one another: one may speak for what it has taken "
    "from elsewhere.")
_NOT_SHOWN = (
    " Dashed: the focus range, from the first to the last cell at or above half of the maximum (the line on the colour "
    "bar); what lies within need not be activated. Confidence drop: what masking the activated area with the "
    "utterance's mean level takes from '{predicted}'. Not shown: what speaks against '{predicted}', and whether the "
    "area is the cause of the answer.")


def _masked(window: config.Stacked | config.MelImage, features: Tensor, area: np.ndarray, valid: np.ndarray) -> Tensor:
    """Features (1, rows, T) with the utterance's mean level in the area: an image's one mean, a stack's of each row."""
    rows, changed = mel_rows(window), features.clone()
    mel = features[0, rows].cpu().numpy()
    changed[0, rows] = torch.from_numpy(masked(mel, area, valid, isinstance(window, config.Stacked))).to(features)
    return changed


def _spectrogram(window: config.Stacked | config.MelImage, features: Tensor, valid_seconds: float) -> MelSpectrogram:
    mel = features[0, mel_rows(window)].double().cpu().numpy()
    if isinstance(window, config.Stacked) and window.mel_scale == "power":
        mel = 10 * np.log10(np.maximum(mel, 1e-10))
    borders = frame_borders(mel.shape[1], window.hop / window.sample_rate, window.seconds)
    return MelSpectrogram(mel - mel.max(), borders, mel_edges_hertz(window), valid_seconds)


def _caption(window: config.Window, where: Sequence[Places], predicted: str) -> str:
    second = window.sample_rate
    if len(where) == 1:
        words = _OVER_TIME.format(seen=blur_seconds(where[0].field, window), predicted=predicted)
    else:
        bands, time = where
        words = _OVER_IMAGE.format(rows=len(bands.centres), columns=len(time.centres),
                                   seconds=time.step * window.hop / second, bands=bands.step)
    return words + _NOT_SHOWN.format(predicted=predicted)


def _figure(value: float | None, digits: int, unit: str = "", sign: str = "") -> str:
    return "none" if value is None else f"{value:{sign}.{digits}f}{unit}"


def _table(clip: Mapping[str, Any], found: Mapping[str, Any]) -> list[tuple[str, str]]:
    time, hertz = found["time_focus_range"], found["freq_focus_range"]
    return [("confidence", f"{100 * found['confidence']:.2f} % ({clip['explained']})"),
            ("mean activation", _figure(found["mean_activation"], 4)),
            ("max activation", _figure(found["max_activation"], 4)),
            ("activated area", _figure(found["activated_area_pct"], 2, " %")),
            ("entropy", _figure(found["entropy"], 3, " nats")),
            ("time focus range", f"{time[0]:.2f} to {time[1]:.2f} s" if time else "none"),
            ("freq. focus range", f"{hertz[0]:,.0f} to {hertz[1]:,.0f} Hz" if hertz else "none"),
            ("confidence drop", _figure(found["confidence_drop"], 2, " points", "+")),
            ("map on padding", _figure(100 * found["share_in_padding"], 1, " %"))]


def _rounded(figures: Focus) -> dict[str, Any]:
    """As explanations.json holds them: ranges as lists, seconds to 0.1 ms and hertz to 0.1."""
    found = asdict(figures)
    for name, digits in (("time_focus_range", 4), ("freq_focus_range", 1)):
        found[name] = None if found[name] is None else [round(value, digits) for value in found[name]]
    return found


def grad_cam_picture(question: Question, heat: Heat, clip: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Draw Grad-CAM of a clip for `clip["explained"]` into `file`; what explanations.json holds of it.

    Figures bear the paper's names: confidence (share), mean_activation,
    max_activation, activated_area_pct, entropy, time_focus_range, freq_focus_range, confidence_drop (percentage
    points, above 0 where masking takes from the answer; None for an empty map), probabilities. Further: times and
    values, the strongest band of each frame; peak (of the map, in units of the logit), empty, share_in_padding,
    share_without_band, map (at its own resolution, peak 1).
    """
    subject, features, target = question.subject, question.heard.batch.features, question.target
    window = mel_window(subject)
    picture = _spectrogram(window, features, clip["valid_seconds"])
    times = np.arange(heat.values.shape[1]) * window.hop / window.sample_rate
    valid, area = times <= clip["valid_seconds"], activated(heat.values)
    with torch.no_grad():
        both = torch.cat([features, _masked(window, features, area, valid)])
        before, after = question.held(both).double().softmax(1).cpu().numpy()
    figures = focus(heat.values, picture.seconds, picture.hertz)
    found = {
        "confidence": float(before[target]), **_rounded(figures),
        "confidence_drop": 100 * float(before[target] - after[target]) if area.any() else None,
        "probabilities": {emotion: float(share) for emotion, share in zip(EMOTIONS, before, strict=True)},
        "times": np.round(times, 4).tolist(), "values": np.round(heat.values.max(0), 5).tolist(), "peak": heat.peak,
        "empty": not area.any(), "share_in_padding": float(heat.values[:, ~valid].sum() / (heat.values.sum() or 1)),
        "share_without_band": heat.bandless, "map": np.round(heat.own / (heat.own.max() or 1), 4).tolist()}
    over_mel(picture, heat.values, figures, title(clip), _table(clip, found), found["probabilities"],
             _caption(window, subject.places, clip["predicted"]), file)
    return found


def grad_cam_figures(subject: Subject, examples: Examples, positions: Sequence[int], settings: config.Explain,
                     folder: Path, prefix: str) -> list[dict[str, Any]]:
    """Grad-CAM of the examples at `positions`, one picture each in `folder`: gradcam_<emotion>_<n>.png.

    Returns what explanations.json holds of each, in the order of paper 2's figures 7 to 13 by the emotion that the
    utterance was meant as; `prefix` stands before the file's name under "figure". Raises ValueError for a model that
    admits no Grad-CAM (its camera() says why).
    """
    subject.model.camera()
    clips, number = [], Counter[str]()
    for position in sorted(positions, key=lambda one: PAPER_ORDER.index(examples.rows[one].emotion)):
        row = examples.rows[position]
        heard = hear(subject, row, examples.stores.waveform(row))
        context = contexts(subject, [heard], 1)
        (probabilities,) = answers(subject, [heard], context)
        target = int(probabilities.argmax())
        question = Question(subject, heard, target, settings, context=context)
        clip = told(subject, heard, probabilities, target)
        number[clip["emotion"]] += 1
        file = folder / f"gradcam_{clip['emotion']}_{number[clip['emotion']]}.png"
        figure = f"{prefix}{file.name}"
        clips.append(clip | {"gradcam": grad_cam_picture(question, heat_of(question), clip, file) | {"figure": figure},
                             "figure": figure})
    return clips
