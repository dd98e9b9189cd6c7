"""What all models share: how they are called, standardised features, members' answers, rates for the optimiser."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Union

import numpy as np
import torch
from torch import Tensor, nn

from ser_ops.config.models import Features, Preset, Window
from ser_ops.emotions import EMOTIONS
from ser_ops.features.index_map import channels_of, frames_of, shape_of
from ser_ops.features.standardise import Standardisation
from ser_ops.model_table import MODELS

if TYPE_CHECKING:
    from ser_ops.models.image_transformers import ImageBackbone
    from ser_ops.models.spectral_streams import SpectralBranch
    from ser_ops.models.wav2vec_backbone import Backbone

EMBEDDING = 32      # values that `embedding` keeps of a window
_POSITIONS = ("cls_token", "position_embeddings")   # as little use for decay as a bias


class EmotionModel(nn.Module):
    """Waveform and features in, logits of the seven classes out.

    forward takes waveform float32 (B, N) at 16 kHz, or in its place what a frozen Wav2Vec 2.0 made of it
    (`Backbone.states`); valid int64 (B,) the samples that are not padding; features
    float32 (B, *shape_of(preset.input_of(name))) as the extractor gives them; returns (B, 7). A model of several
    members returns (B, members, 7) in training, for `member_examples`. A model ignores what its `streams` do not use.
    forward is `classify(context(waveform, valid), features)`: a caller that varies only the features, as explanations
    do, computes the context once.
    """

    name: ClassVar[str]                 # in the table of models, which says the rest
    backbone: Union["Backbone", "ImageBackbone"]    # where a checkpoint may stand, in models that have one
    spectral: "SpectralBranch"          # in models with a spectral stream

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.preset = preset

    @property
    def row(self) -> str:
        """Of paper 1's table VI; "" for paper 2's models."""
        return MODELS[self.name].row

    @property
    def streams(self) -> tuple[str, ...]:
        """Of "wav2vec", "spectral", "stacked", "image"."""
        return MODELS[self.name].streams

    def context(self, waveform: Tensor, valid: Tensor) -> Tensor:
        """What the Wav2Vec 2.0 stream makes of the waveform: (B, H), or (B, 0) without that stream."""
        return waveform.new_zeros(waveform.shape[0], 0)

    def classify(self, context: Tensor, features: Tensor) -> Tensor:
        """Logits (B, 7) from `context` and the features."""
        raise NotImplementedError

    def forward(self, waveform: Tensor, valid: Tensor, features: Tensor) -> Tensor:
        return self.classify(self.context(waveform, valid), features)

    def cam_layer(self) -> nn.Module:
        """The layer whose output Grad-CAM and Score-CAM weigh; `maps` brings that output into shape.

        The spectral stream's last convolution, a CNN's last convolution after its ReLU, an image transformer's last
        norm before attention. Raises ValueError for a model in which no layer keeps a time axis.
        """
        raise ValueError(f"{self.name} has no convolution or patches that Grad-CAM could look at")

    def maps(self, output: Tensor) -> Tensor:
        """The output of `cam_layer` as maps: (B, C, T') over time, or (B, C, rows, columns) of an image.

        Columns are time, rows mel bands from low to high. In the serial layout T' counts positions of the input, not
        time.
        """
        return output

    @property
    def depends_on_padding(self) -> bool:
        """Whether the answer depends on how far the waveform is padded."""
        return False

    def parameter_groups(self, learning_rate: float, backbone_learning_rate: float) -> list[dict[str, Any]]:
        """Groups for a torch optimiser: the backbone at its own rate, no decay of biases, norms and positions.

        Groups that decay carry no `weight_decay` of their own, so that the optimiser's holds. Frozen parameters
        are in none.
        """
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                # original0 are weight norm's lengths
                decays = parameter.ndim > 1 and not name.endswith(("original0", *_POSITIONS))
                groups.setdefault((name.startswith("backbone.network."), decays), []).append(parameter)
        return [{"params": parameters, "lr": backbone_learning_rate if backbone else learning_rate,
                 "name": ("backbone" if backbone else "new") + ("" if decays else ", no decay"),
                 **({} if decays else {"weight_decay": 0.0})}
                for (backbone, decays), parameters in groups.items()]


class LastInputs:
    """What a model's last layers read, in passes of any number of threads at once.

    Last layers are the linear ones that give the classes' logits: one, or one of each member and stream.
    """

    def __init__(self, model: nn.Module) -> None:
        self._of_thread = threading.local()
        for part in model.modules():
            if isinstance(part, nn.Linear) and part.out_features == len(EMOTIONS):
                part.register_forward_pre_hook(self._note)

    def _note(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        read = getattr(self._of_thread, "read", None)
        if read is not None:
            read.append(inputs[0])

    @contextmanager
    def reading(self) -> Iterator[list[Tensor]]:
        """Within the context each pass of this thread adds what each last layer reads, (B, inputs), to the list."""
        self._of_thread.read = read = list[Tensor]()
        try:
            yield read
        finally:
            self._of_thread.read = None


def embedding(read: Sequence[Tensor]) -> np.ndarray:
    """A short mark of where windows lie for a model: float32 (B, EMBEDDING).

    read: what the last layers read (`LastInputs`), (B, inputs) each. Side by side they are projected onto the
    first vectors of a cosine transform. Neurons stand in no order, so these are directions as good as random ones, yet
    always the same, and distances shrink alike (Johnson and Lindenstrauss 1984).
    """
    values = torch.cat([part.flatten(1) for part in read], dim=1).float()
    size = values.shape[1]
    position = torch.arange(size, device=values.device, dtype=torch.float32)
    waves = torch.cos(torch.pi / size * (position + 0.5) * torch.arange(EMBEDDING, device=values.device)[:, None])
    return (values @ waves.T * (2 / size) ** 0.5).cpu().numpy()


def member_examples(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Each member's logits as examples of its own, so that each has its own loss.

    logits: (B, K, 7) of K members, with labels (B,), become (B K, 7) and (B K,); logits (B, 7) stay as they are.
    """
    if logits.ndim == 2:
        return logits, labels
    return logits.flatten(0, 1), labels.repeat_interleave(logits.shape[1])


class Standardise(nn.Module):
    """Each channel of the features (ZCR, each MFCC, each row of paper 2's stack) to mean 0 and deviation 1.

    Takes features float32 (B, *shape_of(settings)), either layout, and gives the same shape back. The means and
    deviations, channels_of(settings) of each, are buffers: they travel with the weights. Without any, features pass
    unchanged. Raises ValueError for another number of values.
    """

    mean: Tensor
    std: Tensor
    applied = False     # to what comes in, already: see `standardised_beforehand`

    def __init__(self, settings: Window, standardisation: Standardisation | None = None) -> None:
        super().__init__()
        self.frames, self.shape = frames_of(settings), shape_of(settings)
        self.serial = isinstance(settings, Features) and settings.layout == "serial"
        channels = channels_of(settings)
        values = standardisation or {"mean": [0.0] * channels, "std": [1.0] * channels}
        for name in ("mean", "std"):
            buffer = torch.tensor(values[name], dtype=torch.float32)
            if buffer.shape != (channels,):
                raise ValueError(f"standardisation: {name} has {len(values[name])} values, not {channels}")
            self.register_buffer(name, buffer)

    def spread(self, values: Tensor) -> Tensor:
        """A value per channel, (..., C), repeated over its frames: (..., C, 1), or (..., L) in the serial layout."""
        if not self.serial:
            return values[..., None]
        ones = [1] * (values.ndim - 1)
        return torch.cat([values[..., :2].repeat_interleave(self.frames, dim=-1),
                          values[..., 2:].repeat(*ones, self.frames)], dim=-1)

    def tables(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of each value of one example's features, float32 of their shape."""
        mean, std = (self.spread(values).expand(self.shape).cpu().contiguous().numpy()
                     for values in (self.mean, self.std))
        return mean, std

    def forward(self, features: Tensor) -> Tensor:
        if self.applied:
            return features
        return (features - self.spread(self.mean)) / self.spread(self.std)


@contextmanager
def standardised_beforehand(model: nn.Module) -> Iterator[Standardise | None]:
    """Within the context the model takes features to which its `Standardise` was already applied.

    Gives that `Standardise`, or None for a model without. For a loop that reads the same features many times: while one
    example lies in the processor's cache it costs next to nothing, for a whole batch it costs a small network a tenth
    of its time.
    """
    standardise = next((module for module in model.modules() if isinstance(module, Standardise)), None)
    if standardise is None:
        yield None
        return
    standardise.applied = True
    try:
        yield standardise
    finally:
        standardise.applied = False
