"""Score-CAM over the spectral stream: where in time the last convolution finds what speaks for a class.

Paper 1, algorithm 1, equations 26 and 27. Each channel of the last convolution, stretched to the input's
length and scaled to [0, 1], is a mask over the input; its weight is the probability that the masked input
leaves to the class, less the baseline's. No gradients.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ser_ops.config.explaining import Explain
from ser_ops.config.models import Features
from ser_ops.explain.question import Explanation, Question
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace, blur_seconds, frame_seconds
from ser_ops.features.index_map import to_frames

Classify = Callable[[Tensor], Tensor]


def activations(classify: Classify, layer: nn.Module, features: Tensor) -> Tensor:
    """What `layer` gives for one example: float32 of shape (channels, positions).

    `features` has shape (1, length) or (1, channels, length); `classify` must run `layer` on it.
    """
    outputs: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _module, _inputs, output: outputs.append(output.detach()))
    try:
        with torch.no_grad():
            classify(features)
    finally:
        handle.remove()
    return outputs[-1][0].float()


def upsample(maps: Tensor, length: int) -> Tensor:
    """Stretch maps of shape (n, positions) to (n, length), linearly.

    >>> upsample(torch.tensor([[0.0, 1.0]]), 4)
    tensor([[0.0000, 0.2500, 0.7500, 1.0000]])
    """
    return functional.interpolate(maps[:, None], size=length, mode="linear", align_corners=False)[:, 0]


def masks(maps: Tensor) -> Tensor:
    """Scale each row of (n, length) to [0, 1]; a flat row, which points nowhere, becomes zeros.

    >>> masks(torch.tensor([[2.0, 3.0, 4.0], [5.0, 5.0, 5.0]]))
    tensor([[0.0000, 0.5000, 1.0000],
            [0.0000, 0.0000, 0.0000]])
    """
    low, high = maps.amin(1, keepdim=True), maps.amax(1, keepdim=True)
    return torch.where(high > low, (maps - low) / (high - low).clamp_min(torch.finfo(maps.dtype).tiny), 0.0)


def score_cam(classify: Classify, layer: nn.Module, features: Tensor, target: int, baseline: Tensor,
              batch_size: int = 64) -> Tensor:
    """Saliency along the input's last axis: float32 of shape (length,), at least 0, no upper bound.

    classify    features of shape (b, ...) to logits (b, classes), everything else about the utterance held
    layer       the convolution whose output, (b, channels, positions), gives the maps
    features    one example, shape (length,) or (channels, length)
    target      index of the class that is explained
    baseline    what stands where a mask is 0, broadcastable to `features`; the mean over the training
                partition is zero for a model that standardises its input, the paper's baseline
    batch_size  masked inputs in one forward pass

    All zeros mean that no weighted sum of maps is positive anywhere (equation 27's ReLU): the stream
    holds nothing for this class.
    """
    length = features.shape[-1]
    maps = upsample(activations(classify, layer, features[None]), length)
    baseline = baseline.to(features).expand_as(features)
    with torch.no_grad():
        floor = classify(baseline[None]).softmax(1)[0, target]
        weights = []
        for batch in masks(maps).split(batch_size):
            shaped = batch.reshape(len(batch), *[1] * (features.ndim - 1), length)
            weights.append(classify(torch.lerp(baseline, features, shaped)).softmax(1)[:, target] - floor)
        return torch.relu(torch.cat(weights) @ maps)


def explain(question: Question) -> Explanation:
    """Saliency of each frame, at least 0; in the serial layout summed per frame through equation 29."""
    subject = question.subject
    saliency = score_cam(question.classify_features, subject.model.cam_layer(), question.clip.batch.features[0],
                         question.target, subject.baseline(), question.settings.batch_size).double().cpu().numpy()
    spectral = cast(Features, subject.features)
    if spectral.layout == "serial":     # its axis is an index, not a time
        saliency = to_frames(saliency, spectral)
    return Explanation(Trace("scorecam", frame_seconds(spectral), saliency, "probability times activation",
                             question.held))


def blur(subject: Subject, _settings: Explain) -> float:
    """Seconds of sound behind one moment: the receptive field of the maps."""
    spectral = cast(Features, subject.features)
    return blur_seconds(1 if spectral.layout == "serial" else subject.receptive_field, spectral)
