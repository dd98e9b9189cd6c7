"""Grad-CAM (Selvaraju et al., 2017): where a convolution or an image transformer finds what speaks for a class.

The weight of a map is the mean over its positions of the gradient of the class's logit with respect to it; the map of
the class is the positive part of the weighted sum.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ser_ops.config.explaining import Explain
from ser_ops.config.models import MelImage, Stacked
from ser_ops.explain.map_axes import MapAxis
from ser_ops.explain.question import Explanation, Question
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace, blur_seconds, frame_seconds
from ser_ops.features.paper2 import mel_rows


@dataclass(frozen=True)
class Cam:
    """Grad-CAM of B utterances.

    maps    float32 (B, T') over time or (B, h, w) over bands and time, at least 0, in units of the logit
    logits  (B, classes)
    slopes  like the features: gradient of each utterance's logit with respect to its own features
    """

    maps: Tensor
    logits: Tensor
    slopes: Tensor


def grad_cam(classify: nn.Module, cam_layer: nn.Module, maps: Callable[[Tensor], Tensor], features: Tensor,
             targets: Sequence[int] | Tensor | None = None) -> Cam:
    """Grad-CAM of a batch.

    classify  features (B, ...) to logits (B, classes), in evaluation mode: utterances must not touch one another
    cam_layer    the layer looked at
    maps      its output, a tensor, rearranged as (B, C, T') or (B, C, h, w); nothing but selecting and reshaping, so
              that the gradient is rearranged likewise
    targets   the class explained of each utterance; None: the one that wins
    """
    outputs: list[Tensor] = []
    handle = cam_layer.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    try:
        with torch.enable_grad():
            inputs = features.detach().clone().requires_grad_()
            logits = classify(inputs)
            chosen = logits.argmax(1) if targets is None else torch.as_tensor(targets, device=logits.device)
            score = logits.gather(1, chosen[:, None]).sum()
            outer, slopes = torch.autograd.grad(score, (outputs[-1], inputs))
    finally:
        handle.remove()
    activations, gradients = maps(outputs[-1].detach()).float(), maps(outer).float()
    weights = gradients.flatten(2).mean(2)
    return Cam(torch.relu(torch.einsum("bc,bc...->b...", weights, activations)), logits.detach(), slopes)


@dataclass(frozen=True)
class Heat:
    """A map on the mel spectrogram of one utterance.

    values      float64 (mels, T) in [0, 1]: 1 is the peak of the map at its own resolution
    peak        that peak in units of the logit; 0 for a map that is zero everywhere
    own         (T',) or (h, w): the map at its own resolution, in units of the logit
    bandless    share of a map over time that no mel band carries (0 for one with bands of its own)
    """

    values: np.ndarray
    peak: float
    own: np.ndarray
    bandless: float = 0.0


def over_image(cam: np.ndarray, bands: MapAxis, time: MapAxis) -> Heat:
    """A map (h, w) of an image transformer, bilinear between the centres of its patches."""
    peak = float(cam.max(initial=0.0))
    return Heat(bands.weights() @ (cam / (peak or 1)).astype(np.float64) @ time.weights().T, peak, cam)


def over_bands(cam: np.ndarray, time: MapAxis, evidence: np.ndarray) -> Heat:
    """A map over time (T',), linear between the centres of its receptive fields, spread over the mel bands.

    evidence: gradient times standardised input of each mel band and frame, (mels, T). Its positive part is scaled so
    that the strongest band of a frame has the frame's activation. A frame in which no band is positive stays 0: the
    class is spoken for there by other rows of the input, if by any.
    """
    peak = float(cam.max(initial=0.0))
    curve = time.weights() @ (cam / (peak or 1)).astype(np.float64)
    positive = np.maximum(np.asarray(evidence, np.float64), 0)
    strongest = positive.max(0)
    carried = strongest > 0
    values = np.divide(positive, strongest, out=np.zeros_like(positive), where=carried) * curve
    return Heat(values, peak, cam, float(curve[~carried].sum() / (curve.sum() or 1)))


def mel_window(subject: Subject) -> Stacked | MelImage:
    """What the model reads. Raises TypeError for a model that reads no mel spectrogram."""
    if not isinstance(subject.features, Stacked | MelImage):
        raise TypeError(f"{type(subject.features).__name__} holds no mel spectrogram for a picture of Grad-CAM")
    return subject.features


def heat_of(question: Question) -> Heat:
    """Grad-CAM of a clip on its mel spectrogram. Raises TypeError for a model that reads none."""
    subject, features = question.subject, question.clip.batch.features
    window, axes = mel_window(subject), subject.map_axes
    cam = grad_cam(question.classify_features, subject.model.cam_layer(), subject.model.maps, features,
                   [question.target])
    own = cam.maps[0].double().cpu().numpy()
    if len(axes) == 2:
        return over_image(own, *axes)
    mean = np.zeros(features.shape[1]) if subject.standardisation is None else \
        np.asarray(subject.standardisation["mean"])
    # The gradient by the standardised input is the raw one times the deviation, by which the input was divided.
    centred = features[0].double().cpu().numpy() - mean[:, None]
    return over_bands(own, axes[0], (cam.slopes[0].double().cpu().numpy() * centred)[mel_rows(window)])


def explain(question: Question) -> Explanation:
    """The strongest band of each frame; details: the Heat."""
    heat = heat_of(question)
    return Explanation(Trace("gradcam", frame_seconds(question.subject.features), heat.values.max(0) * heat.peak,
                             "logit, strongest band", question.held), heat)


def blur(subject: Subject, _settings: Explain) -> float:
    """Seconds of sound behind one moment: the receptive field of the maps."""
    return blur_seconds(subject.map_axes[-1].field, subject.features)


def picture(question: Question, explanation: Explanation, entry: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """Paper 2's: the map over the mel spectrogram beside its metric table."""
    from ser_ops.explain.grad_cam_picture import grad_cam_picture  # draws with the maps of this file

    return grad_cam_picture(question, explanation.details, entry, file)
