"""The table of models: what each reads, which streams it has, and which file holds its network.

A model is an entry here and that file in ser_ops/models. It is light, so that params.yaml can be checked against it
without loading any network.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Model:
    """A model as everybody but its own network sees it.

    network        the module in ser_ops/models and its class, as "module:Class"
    reads          the section of a preset that says what it reads
    streams        of "wav2vec" (the waveform), "spectral", "stacked", "image"
    has_cam_layer  whether a layer keeps a time axis, so that Grad-CAM can weigh its maps (`EmotionModel.cam_layer`)
    row            of paper 1's table VI; "" for paper 2's models
    backbone       the section of a preset that can name a checkpoint; "" for a model without
    attends        whether a learned weight for each frame pools its states (`Subject.attends` says it of a network,
                   since of states kept as statistics there is nothing to pool)

    The class is called with the preset and, by name, with `backbone` where it has one and with `standardisation` where
    it reads features of which each channel has a mean and a deviation.
    """

    network: str
    reads: Literal["features", "stacked", "image"]
    streams: tuple[str, ...]
    has_cam_layer: bool = True
    row: str = ""
    backbone: str = ""
    attends: bool = False

    @property
    def standardised(self) -> bool:
        """Whether it can bring the channels of what it reads to mean 0 and deviation 1."""
        return bool({"spectral", "stacked"} & set(self.streams))


MODELS: dict[str, Model] = {
    "fusion": Model("paper1:FusionModel", "features", ("wav2vec", "spectral"), row="D", backbone="wav2vec",
                    attends=True),
    "concat": Model("paper1:ConcatModel", "features", ("wav2vec", "spectral"), row="C", backbone="wav2vec"),
    "wav2vec": Model("paper1:Wav2VecModel", "features", ("wav2vec",), has_cam_layer=False, row="B", backbone="wav2vec"),
    "spectral": Model("paper1:SpectralModel", "features", ("spectral",), row="A"),
    "cnn": Model("paper2:CNNModel", "stacked", ("stacked",)),
    "lstm": Model("paper2:LSTMModel", "stacked", ("stacked",), has_cam_layer=False),
    "cnn_lstm": Model("paper2:CNNLSTMModel", "stacked", ("stacked",)),
    "vit": Model("image_transformers:ViTModel", "image", ("image",), backbone="vit"),
    "beit": Model("image_transformers:BEiTModel", "image", ("image",), backbone="beit"),
}


def known_model(name: str) -> str:
    """The name of a model, unchanged. Raises ValueError, with all names, for a name that is not in the table.

    >>> known_model("fusion")
    'fusion'
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}: expected one of {', '.join(MODELS)}")
    return name
