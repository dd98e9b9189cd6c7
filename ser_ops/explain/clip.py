"""One utterance explained over time: the numbers and the figure of each method."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ser_ops import config
from ser_ops.dataset.examples import Batch
from ser_ops.emotions import EMOTIONS
from ser_ops.explain import figures
from ser_ops.explain.held import Held
from ser_ops.explain.occlusion import occlude
from ser_ops.explain.scorecam import score_cam
from ser_ops.explain.subject import Subject
from ser_ops.features.extractor import Extractor
from ser_ops.features.index_map import frames_of, to_frames

HELD = " The Wav2Vec 2.0 stream is not in the picture: it kept hearing the whole waveform."
_CAM = ("Score-CAM on the spectral stream's last convolution: darker moments are where its maps raise the probability "
        "of '{predicted}'. Each step of a map has seen {blur}, so edges are soft. The picture does not show what "
        "speaks against the class, nor that a moment is the cause of the answer.")
_OCCLUSION = ("Occlusion: what '{predicted}' loses in probability when the 100 ms around a moment are muted. Moments "
              "whose muting raises it are drawn as 0. {more}")
_NO_STREAM = "This model has no spectral stream, so Score-CAM and SHAP over spectral features do not apply."
_ANEW = "The features are made anew from the muted sound. It does not show what two moments do together."


def answer(batch: Batch, subject: Subject) -> dict[str, Any]:
    """What the model says of a batch of one, and which utterance that is; the class explained is the one that wins."""
    with torch.no_grad():
        probabilities = subject.model(batch.waveform, batch.valid, batch.features)[0].softmax(-1)
    row, winner = batch.rows[0], int(probabilities.argmax())
    return {"utterance": row.utterance, "corpus": row.corpus, "emotion": row.emotion, "predicted": EMOTIONS[winner],
            "confidence": float(probabilities[winner]), "explained": EMOTIONS[winner],
            "valid_seconds": int(batch.valid[0]) / subject.sample_rate}


def curve(seconds: np.ndarray, values: np.ndarray, valid_seconds: float) -> dict[str, Any]:
    """A map over time, scaled so that its peak is 1, with the peak, and the share of it that lies on padding."""
    positive = np.maximum(values, 0)
    peak, total = float(positive.max(initial=0.0)), float(positive.sum())
    return {"times": np.round(seconds, 4).tolist(), "values": np.round(values / (peak or 1), 5).tolist(), "peak": peak,
            "empty": peak == 0, "share_in_padding": float(positive[seconds > valid_seconds].sum()) / (total or 1)}


def title(clip: Mapping[str, Any]) -> str:
    """The utterance, what it was meant as (where that is known) and what it was taken for."""
    taken = "recognised" if clip["predicted"] == clip["emotion"] else f"taken for {clip['predicted']}"
    meant = f"{clip['emotion']}, " if clip["emotion"] else ""
    return f"{meant}{taken} ({clip['confidence']:.2f})   {clip['utterance']}"


def _draw(subject: Subject, batch: Batch, clip: Mapping[str, Any], found: Mapping[str, Any], unit: str, caption: str,
          file: Path) -> None:
    figures.over_waveform(batch.waveform[0].cpu().numpy(), subject.sample_rate, np.array(found["times"]),
                          np.maximum(found["values"], 0) * found["peak"], title(clip), unit, caption, file,
                          clip["valid_seconds"])


def by_score_cam(subject: Subject, held: Held, batch: Batch, clip: Mapping[str, Any],
                 settings: config.Explain, file: Path) -> dict[str, Any]:
    """Score-CAM of a batch of one for `clip["explained"]`, drawn into `file`; its curve for explanations.json."""
    spectral = cast(config.Features, subject.features)
    saliency = score_cam(held, subject.model.spectral_layer(), batch.features[0], EMOTIONS.index(clip["explained"]),
                         subject.baseline(), settings.batch_size).cpu().numpy()
    if spectral.layout == "serial":  # its axis is an index, not a time: equation 29, summed per frame
        saliency = to_frames(saliency, spectral)
    seconds = np.arange(frames_of(spectral)) * spectral.hop / spectral.sample_rate
    found = curve(seconds, saliency, clip["valid_seconds"])
    caption = _CAM.format(predicted=clip["predicted"], blur=subject.blur())
    caption += HELD if "wav2vec" in subject.model.streams else ""
    _draw(subject, batch, clip, found, "saliency", caption, file)
    return found


def _logits(subject: Subject, batch: Batch) -> Callable[[Tensor], Tensor]:
    """Waveforms (b, n) to logits; features of a model that reads no waveform are made of these waveforms."""
    extract = None if "wav2vec" in subject.model.streams else Extractor(subject.features, subject.sample_rate)

    def logits(waveforms: Tensor) -> Tensor:
        features = batch.features.expand(len(waveforms), *batch.features.shape[1:]) if extract is None \
            else extract(waveforms)
        return subject.model(waveforms, batch.valid.expand(len(waveforms)), features)

    return logits


def by_occlusion(subject: Subject, _held: Held, batch: Batch, clip: Mapping[str, Any],
                 settings: config.Explain, file: Path) -> dict[str, Any]:
    """Occlusion of a batch of one for `clip["explained"]`, drawn into `file`; its curve for explanations.json."""
    target, logits = EMOTIONS.index(clip["explained"]), _logits(subject, batch)
    found = occlude(lambda waveforms: logits(waveforms).softmax(1)[:, target], batch.waveform[0], subject.sample_rate,
                    settings.occlusion_seconds, settings.occlusion_hop, settings.batch_size)
    shown = curve(found.seconds, found.drop, clip["valid_seconds"])
    more = _NO_STREAM if "wav2vec" in subject.model.streams else _ANEW
    _draw(subject, batch, clip, shown, "loss of probability",
          _OCCLUSION.format(predicted=clip["predicted"], more=more), file)
    return shown
