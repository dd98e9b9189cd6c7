"""Every method on one time axis: what each of them gives to each moment of one clip, for one class.

| method | what it asks | sees |
| --- | --- | --- |
| scorecam | what the last convolution's maps, as masks, leave to the class (paper 1, algorithm 1) | spectral stream |
| shap | what each feature adds to the score, against a background (paper 1, equations 24 and 25) | features |
| gradcam | where the gradient of the class's logit meets the maps (paper 2, figures 7 to 13) | features |
| occlusion | what muting a moment takes from the class (paper 1, figure 3c) | all that the model hears |
"""

from collections.abc import Callable, Collection
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ser_ops import config
from ser_ops.explain.attribution import expected_gradients
from ser_ops.explain.grad_cam_clip import heat_of
from ser_ops.explain.heard import Answering, Heard
from ser_ops.explain.held import Centred, Held, Single
from ser_ops.explain.occlusion import occlude
from ser_ops.explain.scorecam import score_cam
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.features.index_map import frames_of, to_frames

METHODS = ("scorecam", "shap", "gradcam", "occlusion")
WAVEFORM_HELD = "the Wav2Vec 2.0 stream, which kept hearing the whole waveform"

_Asked = Callable[[Subject, Heard, int, Tensor | None, config.Explain, str], Trace]


def methods_of(subject: Subject) -> tuple[str, ...]:
    """The methods of `traces` for this model: those that its architecture admits, and occlusion."""
    return tuple(name for name in METHODS if name in subject.admitted[0] or name == "occlusion")


def traces(subject: Subject, heard: Heard, target: int, background: Tensor | None, settings: config.Explain,
           seed_key: str = "", only: Collection[str] | None = None) -> dict[str, Trace]:
    """Each method of `methods_of` over one clip, for class `target`, 0 to 6.

    background: features (b, *shape_of(subject.features)), not standardised, that SHAP compares with; None leaves SHAP
    out. seed_key: another one draws SHAP's samples anew; all else is without chance. only: leaves out other methods.
    """
    asked = [name for name in methods_of(subject) if only is None or name in only]
    return {name: _EACH[name](subject, heard, target, background, settings, seed_key) for name in asked
            if name != "shap" or background is not None}


def frame_seconds(subject: Subject) -> np.ndarray:
    """Centres of the frames of the features, in seconds from the start of the window: float64 (T,)."""
    window = subject.features
    return np.arange(frames_of(window)) * window.hop / window.sample_rate


def _held(subject: Subject, heard: Heard) -> tuple[Held, str]:
    return (Held(subject.model, heard.batch.waveform[0], heard.batch.valid[0]),
            WAVEFORM_HELD if "wav2vec" in subject.model.streams else "")


def _scorecam(subject: Subject, heard: Heard, target: int, _background: Tensor | None, settings: config.Explain,
              _seed_key: str) -> Trace:
    held, words = _held(subject, heard)
    found = score_cam(held, subject.model.spectral_layer(), heard.batch.features[0], target, subject.baseline(),
                      settings.batch_size).double().cpu().numpy()
    spectral = cast(config.Features, subject.features)
    if spectral.layout == "serial":     # its axis is an index, not a time: equation 29, summed per frame
        found = to_frames(found, spectral)
    return Trace("scorecam", frame_seconds(subject), found, "probability times activation", words)


def _shap(subject: Subject, heard: Heard, target: int, background: Tensor | None, settings: config.Explain,
          seed_key: str) -> Trace:
    held, words = _held(subject, heard)
    found = expected_gradients(Single(Centred(held), target), heard.batch.features[0],
                               cast(Tensor, background).to(subject.device), settings.shap_samples, settings.seed,
                               f"{heard.key}{seed_key}", settings.batch_size)
    return Trace("shap", frame_seconds(subject), to_frames(found.values[..., 0], subject.features),
                 "log odds (logit less the mean of all seven)", words)


def _gradcam(subject: Subject, heard: Heard, target: int, _background: Tensor | None, _settings: config.Explain,
             _seed_key: str) -> Trace:
    held, words = _held(subject, heard)
    heat, _ = heat_of(subject, held, heard.batch, target)
    return Trace("gradcam", frame_seconds(subject), heat.values.max(0) * heat.peak, "logit, strongest band", words)


def _occlusion(subject: Subject, heard: Heard, target: int, _background: Tensor | None, settings: config.Explain,
               _seed_key: str) -> Trace:
    answering, length = Answering(subject, settings.batch_size), len(heard.window)
    # Padding is silent already. The last stretches reach into it by their own width, so that the curve ends at zero.
    reach = min(length, heard.valid + round(settings.occlusion_seconds * subject.sample_rate))

    def probability(muted: Tensor) -> Tensor:
        windows = functional.pad(muted, (0, length - reach))
        return answering(windows, heard.batch.valid.expand(len(windows))).double().softmax(1)[:, target]

    found = occlude(probability, torch.from_numpy(heard.window[:reach]), subject.sample_rate,
                    settings.occlusion_seconds, settings.occlusion_hop, settings.batch_size)
    seconds, drop = found.seconds, found.drop.astype(np.float64)
    if reach < length:
        seconds, drop = np.append(seconds, reach / subject.sample_rate), np.append(drop, 0.0)
    return Trace("occlusion", seconds, drop, "loss of probability")


_EACH: dict[str, _Asked] = {"scorecam": _scorecam, "shap": _shap, "gradcam": _gradcam, "occlusion": _occlusion}
