"""Sections of params.yaml that a preset is made of: what models read, and the size of each network."""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ser_ops.config.data import Augment
from ser_ops.config.section import (
    MOST_BANDS,
    MOST_VALUES,
    BandCount,
    Depth,
    Hertz,
    Kernel,
    Positive,
    Rate,
    Section,
    Share,
    Width,
)
from ser_ops.config.training import Training, Tune
from ser_ops.model_table import MODELS

CoefficientCount = Annotated[int, Field(ge=1, le=128)]


class Window(Section):
    """What every kind of input has: the window that a model reads, and its frames."""

    sample_rate: Hertz = Field(description="hertz")
    seconds: Annotated[float, Field(gt=0, le=60)] = Field(
        description="the middle of an utterance; a shorter one is padded with zeros at its end")
    frame: Annotated[int, Field(ge=2, le=2**16)] = Field(description="samples")
    hop: Annotated[int, Field(ge=1, le=2**16)] = Field(description="samples from one frame to the next")

    @property
    def frames(self) -> int:
        """Number of frames of a window."""
        return round(self.seconds * self.sample_rate) // self.hop + 1

    @model_validator(mode="after")
    def _bounded(self) -> "Window":
        if self.frames * max(self.frame, MOST_BANDS) > MOST_VALUES:
            raise ValueError(f"{self.frames} frames of {self.frame} samples are too many for one window: shorten "
                             "seconds or frame, or lengthen hop")
        return self


class Features(Window):
    """Paper 1: ZCR, RMS and MFCC."""

    mfcc: CoefficientCount = Field(description="coefficients; as many as mels lose nothing of the bands")
    mels: BandCount = Field(description="mel bands under the MFCC")
    layout: Literal["serial", "frames"] = Field(
        description="serial (equation 28), or frames: 2 + mfcc channels over time")
    level: Literal["keep", "same"] = Field(description="same: every window is brought to one RMS first")
    centre: bool = Field(description="each row less its mean over the window, against the colour of a microphone")
    standardise: bool = Field(description="by the training partition's mean and deviation, kept in the model")

    @model_validator(mode="after")
    def _bands_enough(self) -> "Features":
        if self.mfcc > self.mels:
            raise ValueError(f"mfcc {self.mfcc} of {self.mels} mels: there are no more coefficients than bands")
        return self


class Stacked(Window):
    """Paper 2: MFCC, chroma (12 rows), mel spectrogram and spectral contrast (7 rows), one above the other."""

    mfcc: CoefficientCount = Field(description="coefficients")
    mels: BandCount = Field(description="bands of the mel spectrogram")
    mel_scale: Literal["power", "decibels"] = Field(description="power (as librosa gives it) or decibels")
    standardise: bool = Field(description="by the training partition's mean and deviation, kept in the model")


class MelImage(Window):
    """Paper 2: log-mel spectrogram as an image for ViT and BEiT."""

    mels: BandCount = Field(description="bands, the image's height")


class Wav2Vec(Section):
    """The stream over the waveform: a checkpoint of one revision, or random weights in the configuration below it."""

    checkpoint: str | None = Field(
        description="hub name, or folder in paths.pretrained; null: random weights by the configuration below")
    revision: str | None = Field(
        default=None, description="commit of the hub, or digest of the folder; loading says what to write")
    trainable: Literal["frozen", "partly", "all"] = Field(description="partly: the last tuned_layers layers")
    tuned_layers: Annotated[int, Field(ge=0)] = Field(description="transformer layers that are trained with partly")
    states: Literal["last", "weighted", "statistics"] = Field(
        description="last: the last layer's; weighted: a learned sum of all layers (SUPERB); statistics: mean and "
                    "deviation over time of each layer, in the place of pooling")
    cache_states: bool = Field(description="of a frozen checkpoint: computed once, kept in paths.state")
    dropout: Rate = Field(description="in training")
    hidden: Width = Field(description="values of a state")
    layers: Depth = Field(description="transformer layers")
    heads: Depth = Field(description="attention heads of a layer")
    checkpoint_layers: Depth | None = Field(
        default=None, description="of a Whisper checkpoint: its first layers alone are computed; null: all")
    embedding: Width = Field(default=128, description="with statistics: values that each member makes of them")
    statistics_dropout: Rate = Field(
        default=0.5, description="with statistics: of them and of the embedding, in training")
    voice_prior: Positive = Field(
        default=4.0, description="with statistics: a voice known from so many clips is adapted to half of the way")
    convolutions: Annotated[tuple[tuple[Width, Kernel, Kernel], ...], Field(min_length=1, max_length=16)] = Field(
        description="channels, kernel and stride (samples, then frames) of the feature encoder")

    @property
    def keeps_states(self) -> bool:
        """Whether the states of a row are computed once and kept: only a frozen checkpoint's are always the same."""
        return self.cache_states and self.trainable == "frozen" and self.checkpoint is not None


class Blocks(Section):
    """The spectral stream of paper 1: three blocks over the features, flattened."""

    design: Literal["blocks"] = Field(description="blocks: paper 1's")
    channels: tuple[Width, Width, Width] = Field(description="of each block")
    kernels: tuple[Kernel, Kernel, Kernel] = Field(description="of each block")
    kind_dropout: Rate = Field(
        description="share of ZCR, RMS and MFCC left out of an utterance in training; the paper has none")
    dropout: Rate = Field(description="in training")
    embedding: Width = Field(description="values that the stream gives")

    @property
    def members(self) -> int:
        """Networks side by side: there is only one of this design."""
        return 1


class Bands(Section):
    """The spectral stream over log-mel bands: 2-D convolutions, one along time, attentive statistics."""

    design: Literal["bands"] = Field(description="bands: a picture of log-mel bands, attentive statistics")
    members: Depth = Field(description="networks side by side, each with its own weights, that answer by their mean")
    channels: Annotated[tuple[Width, ...], Field(min_length=1, max_length=16)] = Field(
        description="of each member's 2-D convolutions")
    pools: tuple[tuple[Kernel, Kernel], ...] = Field(description="bands and frames that become one after each")
    maps: Width = Field(description="of the convolution along time that follows")
    kernel: Kernel = Field(description="frames of that convolution")
    attention: Width = Field(description="hidden values of the attention over frames")
    masked_bands: Annotated[int, Field(ge=0)] = Field(description="SpecAugment: most bands masked of an utterance")
    masked_frames: Annotated[int, Field(ge=0)] = Field(description="SpecAugment: most frames masked of an utterance")
    dropout: Rate = Field(description="of what pooling gives, in training")
    embedding: Width = Field(description="values that the stream gives")

    @model_validator(mode="after")
    def _a_pool_for_each_convolution(self) -> "Bands":
        if len(self.channels) != len(self.pools):
            raise ValueError("channels and pools: one of each for every convolution")
        return self


Spectral = Annotated[Blocks | Bands, Field(discriminator="design")]


class Head(Section):
    """The classifier above the streams."""

    hidden: Width = Field(description="values of its hidden layer")
    dropout: Rate = Field(description="in training")


class ImageTransformer(Section):
    """ViT or BEiT: a checkpoint of one revision, or random weights in the configuration below it."""

    checkpoint: str | None = Field(description="as that of wav2vec")
    revision: str | None = Field(default=None, description="as that of wav2vec")
    trainable: Literal["frozen", "all"] = Field(description="which weights are trained")
    dropout: Rate = Field(description="in training")
    hidden: Width = Field(description="values of a patch")
    layers: Depth = Field(description="transformer layers")
    heads: Depth = Field(description="attention heads of a layer")
    patch: Kernel = Field(description="pixels, height and width")
    crop: tuple[Share, Share] = Field(description="share of the image's area that a training example keeps")

    @model_validator(mode="after")
    def _sizes_fit(self) -> "ImageTransformer":
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is no multiple of heads {self.heads}: change one of them")
        if not 0 < self.crop[0] <= self.crop[1]:
            raise ValueError("crop: shares of the image's area, the lower one above 0 and first")
        return self


class Preset(Section):
    """What all models read and how large they are, while a preset is in force.

    `over`: what the preset's file lays over the sections augment, train and tune.
    """

    features: Features = Field(description="paper 1's ZCR, RMS and MFCC")
    stacked: Stacked = Field(description="paper 2's features, one above the other")
    image: MelImage = Field(description="paper 2's log-mel image")
    wav2vec: Wav2Vec = Field(description="the stream over the waveform")
    spectral: Spectral = Field(description="the stream over the features")
    head: Head = Field(description="the classifier above the streams")
    vit: ImageTransformer = Field(description="paper 2's ViT")
    beit: ImageTransformer = Field(description="paper 2's BEiT")
    over: dict[Literal["augment", "train", "tune"], dict[str, Any]] = Field(
        default={}, description="what the preset's file lays over augment, train and tune")

    @model_validator(mode="after")
    def _known_settings(self) -> "Preset":
        for section, values in self.over.items():
            sections: dict[str, type[Section]] = {"augment": Augment, "train": Training, "tune": Tune}
            known = sections[section].model_fields
            if unknown := sorted(values.keys() - known):
                raise ValueError(f"{section} names {unknown[0]!r}: choose one of {', '.join(sorted(known))}")
        return self

    @model_validator(mode="after")
    def _bands_over_time(self) -> "Preset":
        values = max(self.spectral.channels) * self.features.frames
        if isinstance(self.spectral, Bands):
            values *= self.features.mels
        elif self.features.layout == "serial":
            values *= 2 + self.features.mfcc
        if values > MOST_VALUES:
            raise ValueError(f"spectral.channels: a layer of {values:,} values for one window, at most {MOST_VALUES:,} "
                             "are allowed: lower channels, or lengthen features.hop")
        if not isinstance(self.spectral, Bands):
            return self
        if self.features.layout != "frames":
            raise ValueError("spectral.design bands looks along time: set features.layout to frames")
        if (pooled := math.prod(bands for bands, _ in self.spectral.pools)) > self.features.mels:
            raise ValueError(f"spectral.pools makes one of {pooled} bands, and features.mels are {self.features.mels}")
        if (pooled := math.prod(frames for _, frames in self.spectral.pools)) > self.features.frames:
            raise ValueError(f"spectral.pools makes one of {pooled} frames, and a window has {self.features.frames}")
        return self

    def input_of(self, model: str) -> Window:
        """The section that says what a model reads; its window is the one that the model gets."""
        return getattr(self, MODELS[model].reads)
