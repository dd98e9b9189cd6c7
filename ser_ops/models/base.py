"""What all models have in common: how they are called, where Grad-CAM looks, and what is tuned how fast."""

from typing import TYPE_CHECKING, Any, ClassVar, Union

from torch import Tensor, nn

from ser_ops.config import Preset
from ser_ops.model_table import MODELS
from ser_ops.models.spectral_streams import SpectralBranch
from ser_ops.models.wav2vec_backbone import Backbone

if TYPE_CHECKING:
    from ser_ops.models.image_transformers import ImageBackbone

_POSITIONS = ("cls_token", "position_embeddings")   # as little use for decay as a bias


class EmotionModel(nn.Module):
    """Waveform and features in, logits of the seven classes out.

    forward takes waveform float32 (B, N) at 16 kHz, or in its place what a frozen Wav2Vec 2.0 made of it
    (`Backbone.states`); valid int64 (B,) the samples that are not padding; features
    float32 (B, *shape_of(preset.input_of(name))) as the extractor gives them; returns (B, 7). A model ignores what
    its `streams` do not use. forward is `classify(context(waveform, valid), features)`: who varies only the
    features, as explanations do, computes the context once.
    """

    name: ClassVar[str]                 # in the table of models, which says the rest
    backbone: Union[Backbone, "ImageBackbone"]  # where a checkpoint may stand, in models that have one
    spectral: SpectralBranch

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
        return waveform.new_zeros(len(waveform), 0)

    def classify(self, context: Tensor, features: Tensor) -> Tensor:
        """Logits (B, 7) from `context` and the features."""
        raise NotImplementedError

    def forward(self, waveform: Tensor, valid: Tensor, features: Tensor) -> Tensor:
        return self.classify(self.context(waveform, valid), features)

    def spectral_layer(self) -> nn.Conv1d:
        """The last convolution of the spectral stream, for class activation maps.

        Raises ValueError for a model without that stream.
        """
        if "spectral" not in self.streams:
            raise ValueError(f"{type(self).__name__} has no spectral stream")
        return self.spectral.last_convolution

    def camera(self) -> nn.Module:
        """The layer whose output Grad-CAM looks at; `maps` brings that output into shape.

        The spectral stream's last convolution, a CNN's last convolution after its ReLU, an image transformer's last
        norm before attention. Raises ValueError for a model without a layer that still has a place in time.
        """
        if "spectral" not in self.streams:
            raise ValueError(f"{self.name} has no convolution or patches that Grad-CAM could "
                             "look at")
        return self.spectral.last_convolution

    def maps(self, output: Tensor) -> Tensor:
        """The camera's output as maps: (B, C, T') over time, or (B, C, rows, columns) of an image.

        Columns are time, rows mel bands from low to high. In the serial layout T' counts positions of the input, not
        time.
        """
        return output

    @property
    def hears_padding(self) -> bool:
        """Whether the answer depends on how far the waveform is padded."""
        backbone = getattr(self, "backbone", None)
        return isinstance(backbone, Backbone) and backbone.hears_padding

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
