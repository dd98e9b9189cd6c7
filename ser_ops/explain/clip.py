"""One utterance explained over time: the numbers and the figure."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ser_ops import config
from ser_ops.dataset import Batch
from ser_ops.emotions import EMOTIONS
from ser_ops.explain import figures
from ser_ops.explain.held import Held
from ser_ops.explain.occlusion import occlude
from ser_ops.explain.scorecam import score_cam
from ser_ops.explain.subject import Subject
from ser_ops.features import frames_of, to_frames

HELD = " The Wav2Vec 2.0 stream is not in the picture: it kept hearing the whole waveform."
_CAM = ("Score-CAM on the spectral stream's last convolution: darker moments are where its maps raise the probability "
        "of '{predicted}'. Each step of a map has seen {blur}, so edges are soft. The picture does not show what "
        "speaks against the class, nor that a moment is the cause of the answer.")
_OCCLUSION = ("Occlusion: what '{predicted}' loses in probability when the 100 ms around a moment are muted. Moments "
              "whose muting raises it are drawn as 0. This model has no spectral stream, so Score-CAM and SHAP over "
              "spectral features do not apply.")


def _answer(batch: Batch, logits: Tensor, subject: Subject) -> dict[str, Any]:
    probabilities = logits.softmax(-1)
    row, winner = batch.rows[0], int(probabilities.argmax())
    return {"utterance": row.utterance, "corpus": row.corpus, "emotion": row.emotion, "predicted": EMOTIONS[winner],
            "confidence": float(probabilities[winner]), "explained": EMOTIONS[winner],
            "valid_seconds": int(batch.valid[0]) / subject.sample_rate}


def _curve(seconds: np.ndarray, values: np.ndarray, valid_seconds: float) -> dict[str, Any]:
    """A map over time, scaled so that its peak is 1, with the peak, and the share of it that lies on padding."""
    positive = np.maximum(values, 0)
    peak, total = float(positive.max(initial=0.0)), float(positive.sum())
    return {"times": np.round(seconds, 4).tolist(), "values": np.round(values / (peak or 1), 5).tolist(), "peak": peak,
            "empty": peak == 0, "share_in_padding": float(positive[seconds > valid_seconds].sum()) / (total or 1)}


def _title(clip: Mapping[str, Any]) -> str:
    taken = "recognised" if clip["predicted"] == clip["emotion"] else f"taken for {clip['predicted']}"
    return f"{clip['emotion']}, {taken} ({clip['confidence']:.2f})   {clip['utterance']}"


def _draw(subject: Subject, batch: Batch, clip: Mapping[str, Any], curve: Mapping[str, Any], unit: str, caption: str,
          file: Path) -> None:
    figures.over_waveform(batch.waveform[0].cpu().numpy(), subject.sample_rate, np.array(curve["times"]),
                          np.maximum(curve["values"], 0) * curve["peak"], _title(clip), unit, caption, file,
                          clip["valid_seconds"])


def by_score_cam(subject: Subject, held: Held, batch: Batch, settings: config.Explain, file: Path) -> dict[str, Any]:
    """Score-CAM of a batch of one, drawn into `file`; what explanations.json holds of it."""
    features = batch.features[0]
    with torch.no_grad():
        clip = _answer(batch, held(features[None])[0], subject)
    saliency = score_cam(held, subject.model.spectral_layer(), features, EMOTIONS.index(clip["explained"]),
                         subject.baseline(), settings.batch_size).cpu().numpy()
    spectral = subject.features
    if spectral.layout == "serial":  # its axis is an index, not a time: equation 29, summed per frame
        saliency = to_frames(saliency, spectral)
    seconds = np.arange(frames_of(spectral)) * spectral.hop / spectral.sample_rate
    curve = _curve(seconds, saliency, clip["valid_seconds"])
    caption = _CAM.format(predicted=clip["predicted"], blur=subject.blur())
    caption += HELD if "wav2vec" in subject.model.streams else ""
    _draw(subject, batch, clip, curve, "saliency", caption, file)
    return clip | {"scorecam": curve}


def by_occlusion(subject: Subject, batch: Batch, settings: config.Explain, file: Path) -> dict[str, Any]:
    """Occlusion of a batch of one, drawn into `file`; what explanations.json holds of it."""
    def logits(waveforms: Tensor) -> Tensor:
        return subject.model(waveforms, batch.valid.expand(len(waveforms)),
                             batch.features.expand(len(waveforms), *batch.features.shape[1:]))

    with torch.no_grad():
        clip = _answer(batch, logits(batch.waveform)[0], subject)
    target = EMOTIONS.index(clip["explained"])
    found = occlude(lambda waveforms: logits(waveforms).softmax(1)[:, target], batch.waveform[0], subject.sample_rate,
                    batch_size=settings.batch_size)
    curve = _curve(found.seconds, found.drop, clip["valid_seconds"])
    _draw(subject, batch, clip, curve, "loss of probability", _OCCLUSION.format(predicted=clip["predicted"]), file)
    return clip | {"occlusion": curve}
