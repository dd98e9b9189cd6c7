"""The sections of params.yaml. Meanings and units stand beside each value there."""

import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from ser_ops.emotions import same_label
from ser_ops.model_table import MODELS, known

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
# What a settings file or a model folder may ask for: each bound is some times that of the largest published models.
Width = Annotated[int, Field(ge=1, le=8192)]    # channels, maps and values of one layer
Depth = Annotated[int, Field(ge=1, le=128)]     # layers, heads, networks side by side
Kernel = Annotated[int, Field(ge=1, le=4096)]   # samples, frames, bands or pixels that one step looks at or goes on by
MOST_PARAMETERS = 2**30     # of a model; four bytes each
MOST_VALUES = 2**25         # that one layer gives for one window; 20 s of a Wav2Vec 2.0 of full size
_MOST_BANDS = 256           # of a mel spectrogram
ModelName = Annotated[str, AfterValidator(known)]
StationaryNoise = Literal["white", "pink", "brown"]
Overrides = dict[str, float | int | bool | str]
Variant = Literal["original", "noisy", "pitched", "pitched_noisy", "slow", "slow_noisy", "fast", "fast_noisy"]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Paths(Section):
    data: Path
    work: Path
    state: Path
    reports: Path
    pretrained: Path

    @property
    def adding_lock(self) -> Path:
        """What is held while a corpus or noise is brought into `data`; outside of it, as DVC tracks that."""
        return self.state / "adding.lock"


class Manifest(Section):
    """A corpus that a CSV manifest lists; `labels` maps its labels to the seven classes, or to drop."""

    name: Name
    labels: dict[str, Literal["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise", "drop"]] = {}

    @field_validator("labels")
    @classmethod
    def _each_label_once(cls, labels: dict[str, Any]) -> dict[str, Any]:
        targets: dict[str, str] = {}
        for label, target in labels.items():
            if targets.setdefault(same_label(label), target) != target:
                raise ValueError(f"{label!r} stands there twice, capitals left aside: give it one emotion")
        return labels


class ManifestSource(Manifest):
    """A manifest and the CSV file that it is."""

    file: Path


class Data(Section):
    corpora: tuple[Name, ...]
    manifests: tuple[Manifest, ...]
    noise: tuple[Name, ...]
    calm: Literal["neutral", "excluded"]
    sample_rate: Annotated[int, Field(ge=8000, le=48000)]

    @field_validator("manifests", mode="before")
    @classmethod
    def _where_dvc_sees_them(cls, manifests: Any) -> Any:
        for entry in manifests if isinstance(manifests, list) else []:
            if isinstance(entry, dict) and "file" in entry:
                name = entry.get("name", "NAME")
                raise ValueError(f"{name} names a file, in which DVC would not see a change: bring it in with `ser-ops "
                                 f"corpora add manifest {entry['file']} --name {name}` and leave file out")
        return manifests

    @model_validator(mode="after")
    def _something(self) -> "Data":
        if not self.corpora and not self.manifests:
            raise ValueError("names no corpus: list at least one folder of data/corpora or of data/manifests")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Every corpus by name: folders of data/corpora, then those of data/manifests."""
        return (*self.corpora, *(manifest.name for manifest in self.manifests))

    def labels_of(self, name: str) -> dict[str, Any]:
        """What the labels of the manifest `name` are mapped to; nothing where it is not listed."""
        return next((manifest.labels for manifest in self.manifests if manifest.name == name), {})


class Partitions(Section):
    protocol: Literal["speaker", "random", "paper"]
    seed: Seed
    validation: Share
    test: Share
    noise_validation: Share
    noise_test: Share
    held_out_noise: tuple[Name, ...]

    @model_validator(mode="after")
    def _room_for_training(self) -> "Partitions":
        if self.validation + self.test >= 1 or self.noise_validation + self.noise_test >= 1:
            raise ValueError("validation and test together leave nothing for training: keep their sum below 1")
        return self


class Validation(Section):
    seconds: tuple[Positive, Positive]
    sample_rate: tuple[Count, Count]
    level_dbfs: tuple[float, float]
    clipped_share: Share
    silent_share: Share
    silence_dbfs: Annotated[float, Field(lt=0)]
    bad_share: Share


class Augment(Section):
    seed: Seed
    variants: tuple[Variant, ...]
    semitones: Annotated[float, Field(ge=-12, le=12)]
    speed: Annotated[float, Field(gt=0, lt=0.5)]
    intensity: tuple[Share, Share]
    stationary: bool
    level: Literal["keep", "clip", "renormalise"]
    silent_crop_dbfs: Annotated[float, Field(lt=0)]

    @model_validator(mode="after")
    def _original_first(self) -> "Augment":
        if not self.variants or self.variants[0] != "original" or len(set(self.variants)) != len(self.variants):
            raise ValueError("variants start with original and name each kind once")
        return self


class Window(Section):
    """What every kind of input has: the window that a model hears, and its frames."""

    sample_rate: Annotated[int, Field(ge=8000, le=48000)]
    seconds: Annotated[float, Field(gt=0, le=60)]
    frame: Annotated[int, Field(ge=2, le=2**16)]
    hop: Annotated[int, Field(ge=1, le=2**16)]

    @property
    def frames(self) -> int:
        """Number of frames of a window."""
        return round(self.seconds * self.sample_rate) // self.hop + 1

    @model_validator(mode="after")
    def _bounded(self) -> "Window":
        if self.frames * max(self.frame, _MOST_BANDS) > MOST_VALUES:
            raise ValueError(f"{self.frames} frames of {self.frame} samples are too many for one window: shorten "
                             "seconds or frame, or lengthen hop")
        return self


class Features(Window):
    """Paper 1: ZCR, RMS and MFCC, these of `mels` mel bands."""

    mfcc: Annotated[int, Field(ge=1, le=128)]
    mels: Annotated[int, Field(ge=8, le=_MOST_BANDS)]
    layout: Literal["serial", "frames"]
    level: Literal["keep", "same"]
    centre: bool
    standardise: bool

    @model_validator(mode="after")
    def _bands_enough(self) -> "Features":
        if self.mfcc > self.mels:
            raise ValueError(f"mfcc {self.mfcc} of {self.mels} mels: there are no more coefficients than bands")
        return self


class Stacked(Window):
    """Paper 2: MFCC, chroma, mel spectrogram and spectral contrast, one above the other."""

    mfcc: Annotated[int, Field(ge=1, le=128)]
    mels: Annotated[int, Field(ge=8, le=_MOST_BANDS)]
    mel_scale: Literal["power", "decibels"]
    standardise: bool


class MelImage(Window):
    """Paper 2: log-mel spectrogram as an image."""

    mels: Annotated[int, Field(ge=8, le=_MOST_BANDS)]


class Wav2Vec(Section):
    """The stream over the waveform: a checkpoint of one revision, or random weights in the configuration below it."""

    checkpoint: str | None
    revision: str | None = None
    trainable: Literal["frozen", "partly", "all"]
    tuned_layers: Annotated[int, Field(ge=0)]
    states: Literal["last", "weighted"]
    cache_states: bool
    dropout: Annotated[float, Field(ge=0, lt=1)]
    hidden: Width
    layers: Depth
    heads: Depth
    convolutions: Annotated[tuple[tuple[Width, Kernel, Kernel], ...], Field(min_length=1, max_length=16)]

    @property
    def keeps_states(self) -> bool:
        """Whether the states of a row are computed once and kept: only a frozen checkpoint's are always the same."""
        return self.cache_states and self.trainable == "frozen" and self.checkpoint is not None


class Blocks(Section):
    """The spectral stream of paper 1: three blocks over the features, flattened."""

    design: Literal["blocks"]
    channels: tuple[Width, Width, Width]
    kernels: tuple[Kernel, Kernel, Kernel]
    kind_dropout: Annotated[float, Field(ge=0, lt=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    embedding: Width

    @property
    def members(self) -> int:
        return 1


class Bands(Section):
    """The spectral stream over log-mel bands: 2-D convolutions, one along time, attentive statistics."""

    design: Literal["bands"]
    members: Depth
    channels: Annotated[tuple[Width, ...], Field(min_length=1, max_length=16)]
    pools: tuple[tuple[Kernel, Kernel], ...]
    maps: Width
    kernel: Kernel
    attention: Width
    masked_bands: Annotated[int, Field(ge=0)]
    masked_frames: Annotated[int, Field(ge=0)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    embedding: Width

    @model_validator(mode="after")
    def _one_of_each(self) -> "Bands":
        if len(self.channels) != len(self.pools):
            raise ValueError("channels and pools: one of each for every convolution")
        return self


Spectral = Annotated[Blocks | Bands, Field(discriminator="design")]


class Head(Section):
    hidden: Width
    dropout: Annotated[float, Field(ge=0, lt=1)]


class ImageTransformer(Section):
    """ViT or BEiT: a checkpoint of one revision, or random weights in the configuration below it."""

    checkpoint: str | None
    revision: str | None = None
    trainable: Literal["frozen", "all"]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    hidden: Width
    layers: Depth
    heads: Depth
    patch: Kernel
    crop: tuple[Share, Share]

    @model_validator(mode="after")
    def _sizes_fit(self) -> "ImageTransformer":
        if self.hidden % self.heads:
            raise ValueError(f"hidden {self.hidden} is no multiple of heads {self.heads}: change one of them")
        if not 0 < self.crop[0] <= self.crop[1]:
            raise ValueError("crop: shares of the image's area, the lower one above 0 and first")
        return self


class Preset(Section):
    features: Features
    stacked: Stacked
    image: MelImage
    wav2vec: Wav2Vec
    spectral: Spectral
    head: Head
    vit: ImageTransformer
    beit: ImageTransformer
    over: dict[Literal["train", "tune"], Overrides]

    @model_validator(mode="after")
    def _known_settings(self) -> "Preset":
        for section, values in self.over.items():
            known = (Training if section == "train" else Tune).model_fields
            if unknown := sorted(values.keys() - known):
                raise ValueError(f"over.{section} names {unknown[0]!r}: choose of {', '.join(sorted(known))}")
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
        if (left := math.prod(bands for bands, _ in self.spectral.pools)) > self.features.mels:
            raise ValueError(f"spectral.pools makes one of {left} bands, and features.mels are {self.features.mels}")
        if (left := math.prod(frames for _, frames in self.spectral.pools)) > self.features.frames:
            raise ValueError(f"spectral.pools makes one of {left} frames, and a window has {self.features.frames}")
        return self

    def input_of(self, model: str) -> Window:
        """The section that says what a model reads; its window is the one that the model hears."""
        return getattr(self, MODELS[model].reads)


class Training(Section):
    seed: Seed
    epochs: Count
    patience: Count
    batch_size: Annotated[int, Field(ge=2)]
    accumulate: Count
    length_buckets: Count
    learning_rate: Positive
    backbone_learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    warmup: Annotated[float, Field(ge=0, lt=1)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    mixup: Annotated[float, Field(ge=0)]
    mixup_share: Share
    class_weights: bool
    gradient_clip: Positive
    precision: Literal["auto", "float32", "bfloat16"]
    keep: Literal["best", "last"]


class Train(Training):
    model: ModelName

    def training(self) -> Training:
        """The settings of the loop, without the model's name."""
        return Training(**self.model_dump(exclude={"model"}))


class Range(Section):
    low: float
    high: float
    log: bool = False


class Choices(Section):
    choices: tuple[float | int | bool | str, ...]


class Tune(Section):
    trials: Annotated[int, Field(ge=0)]
    seed: Seed
    startup_trials: Annotated[int, Field(ge=0)]
    warmup_epochs: Annotated[int, Field(ge=0)]
    together: Count
    trial: Training
    space: dict[str, Range | Choices]

    @model_validator(mode="after")
    def _known_settings(self) -> "Tune":
        for name, values in self.space.items():
            if name not in Training.model_fields:
                raise ValueError(f"space names {name!r}, which is no training setting: choose of "
                                 f"{', '.join(sorted(Training.model_fields))}")
            if isinstance(values, Range) and (values.low > values.high or (values.log and values.low <= 0)):
                raise ValueError(f"space.{name}: low must not exceed high, and be above 0 where log is true")
        return self


class Ablations(Section):
    models: tuple[ModelName, ...]
    shuffled: Annotated[int, Field(ge=0)]
    shuffled_epochs: Count
    shuffled_seed: Seed


class Evaluate(Section):
    stationary: tuple[StationaryNoise, ...]
    intensities: tuple[Share, ...]
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    resamples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    bootstrap_seed: Seed
    batch_size: Count
    speed_utterances: Count


class Behave(Section):
    """What must not change a model's answers: small changes of the sound, and who speaks."""

    seed: Seed
    utterances: Count
    gain_db: Annotated[tuple[float, ...], Field(min_length=1)]
    noise_snr_db: Annotated[tuple[float, ...], Field(min_length=1)]
    crop_seconds: Annotated[tuple[Positive, ...], Field(min_length=1)]
    high_pass_hertz: Annotated[tuple[Positive, ...], Field(min_length=1)]
    low_pass_hertz: Annotated[tuple[Positive, ...], Field(min_length=1)]
    tilt_db: Positive
    offset: Annotated[tuple[Annotated[float, Field(ge=-1, le=1)], ...], Field(min_length=1)]
    level_db: Annotated[tuple[float, ...], Field(min_length=1)]
    resampled_hertz: Annotated[tuple[Annotated[float, Field(ge=8000, le=192000)], ...], Field(min_length=1)]
    pitch_hertz: tuple[Positive, Positive]
    group_utterances: Count
    simulations: Annotated[int, Field(ge=1000)]

    @model_validator(mode="after")
    def _a_range(self) -> "Behave":
        if self.pitch_hertz[0] >= self.pitch_hertz[1]:
            raise ValueError("pitch_hertz: lowest and highest, the lower one first")
        return self


class Faithfulness(Section):
    """How far the traces of the methods can be believed, measured by what the model itself answers."""

    steps: Annotated[int, Field(ge=2)]
    cell_seconds: Positive
    fade_seconds: Annotated[float, Field(ge=0)]
    fills: Annotated[tuple[Literal["silence", "noise"], ...], Field(min_length=2)]
    random_draws: Count
    resamples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0, lt=1)]
    other_seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    seed_clips: Count
    randomised_clips: Count
    randomised_limit: Share

    @model_validator(mode="after")
    def _possible(self) -> "Faithfulness":
        if self.fade_seconds > self.cell_seconds:
            raise ValueError("fade_seconds is longer than cell_seconds: two edges of one cell would overlap")
        for name, values in (("fills", self.fills), ("other_seeds", self.other_seeds)):
            if len(set(values)) != len(values):
                raise ValueError(f"{name} names one twice: name each one once")
        return self


class Planted(Section):
    """A burst at a known place that alone decides the class, and the training of the model that must find it."""

    seconds: Positive
    hertz: tuple[Positive, Positive]
    other_hertz: Positive
    others: Annotated[int, Field(ge=0)]
    level_db: float
    train_clips: Annotated[int, Field(ge=4)]
    clips: Annotated[int, Field(ge=2)]
    batch_size: Annotated[int, Field(ge=2)]
    max_steps: Count
    check_every: Count
    learning_rate: Positive
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    accuracy: Share


class Conditions(Section):
    """The noises in which explanations are held against the clean ones: every recorded category, and these."""

    stationary: tuple[StationaryNoise, ...]
    intensities: tuple[Share, ...]
    seed: Seed
    per_class: Count
    traced_per_class: Count
    shap_samples: Count
    resamples: Annotated[int, Field(ge=100)]
    confidence: Annotated[float, Field(gt=0, lt=1)]


class Speech(Section):
    """Where speech is, by its energy; decibels relative to the loudest frame of the window."""

    frame: Positive
    hop: Positive
    start_db: Annotated[float, Field(lt=0)]
    stop_db: Annotated[float, Field(lt=0)]
    hangover: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _stops_below(self) -> "Speech":
        if self.stop_db > self.start_db:
            raise ValueError("stop_db is above start_db: speech would end before it began, set it lower")
        return self


class Listen(Section):
    """What the page can play and show as a spectrogram: every clip clean, and at this intensity of each noise."""

    intensity: Share
    frame: Count
    hop: Count
    mels: Annotated[int, Field(ge=8, le=_MOST_BANDS)]


class Explain(Section):
    seed: Seed
    per_class: Count
    background: Count
    shap_samples: Count
    top: Count
    batch_size: Count
    figures_per_class: Annotated[int, Field(ge=0)]
    active_share: Annotated[float, Field(gt=0.0, lt=1.0)]
    occlusion_seconds: Positive
    occlusion_hop: Positive
    conditions: Conditions
    speech: Speech
    listen: Listen
    faithfulness: Faithfulness
    planted: Planted


class Limit(Section):
    limit: float
    reason: Annotated[str, Field(min_length=10)]


class Gate(Section):
    clean_uar: Limit
    worst_cell_uar: Limit
    largest_drop: Limit
    shuffled_margin: Limit
    unchanged_labels: Limit
    group_difference: Limit
    calibration_error: Limit
    staging_confidence: Limit
    answers_tolerance: Limit


class Report(Section):
    seed: Seed
    clips: Annotated[int, Field(ge=0)]
    clip_intensity: Share


class Tracking(Section):
    uri: str
    experiment: Name
    registered_model: Name
    timeout: Positive
    outage: Positive
    lease: Positive


class Storage(Section):
    part_megabytes: Count
    parallel: Count
    attempts: Count
    longest_wait: Positive
    timeout: Positive


class Predict(Section):
    window_hop: Positive
    batch_size: Count


class Compute(Section):
    workers: Annotated[int, Field(ge=0)]
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
    shard_megabytes: Count
    queue_seconds: Positive
    heartbeat_seconds: Positive
    lost_seconds: Positive
    outage_seconds: Positive


class Params(Section):
    paths: Paths
    preset: str
    data: Data
    partitions: Partitions
    validation: Validation
    augment: Augment
    presets: dict[str, Preset]
    train: Train
    tune: Tune
    ablations: Ablations
    evaluate: Evaluate
    behave: Behave
    explain: Explain
    gate: Gate
    report: Report
    tracking: Tracking
    storage: Storage
    predict: Predict
    compute: Compute

    @model_validator(mode="before")
    @classmethod
    def _over_sections(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Sections as they are while the preset is in force; what is malformed is left to the sections to say."""
        try:
            over = values["presets"][values["preset"]]["over"]
            return {**values, **{name: {**values[name], **settings} for name, settings in over.items()}}
        except (KeyError, TypeError, AttributeError):
            return values

    @model_validator(mode="after")
    def _preset_exists(self) -> "Params":
        if self.preset not in self.presets:
            raise ValueError(f"preset: {self.preset!r} is not among the presets ({', '.join(self.presets)})")
        return self

    @model_validator(mode="after")
    def _checkpoints_where_dvc_sees_them(self) -> "Params":
        for name in ("wav2vec", "vit", "beit"):
            checkpoint = getattr(self.chosen, name).checkpoint
            if checkpoint and os.path.isdir(checkpoint) and not Path(os.path.realpath(checkpoint)).is_relative_to(
                    os.path.realpath(self.paths.pretrained)):
                raise ValueError(f"presets.{self.preset}.{name}.checkpoint: {checkpoint} does not lie in "
                                 f"{self.paths.pretrained} (paths.pretrained), and elsewhere, behind a link too, DVC "
                                 "would not see other weights: move or copy the folder there")
        return self

    @property
    def chosen(self) -> Preset:
        """The preset that is in force."""
        return self.presets[self.preset]


