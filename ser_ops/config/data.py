"""Sections of params.yaml about data: folders, corpora and noise, partitions, validation and augmentation."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ser_ops.config.section import Below0, Count, CountOr0, Hertz, Name, Positive, Section, Seed, Share, Variant
from ser_ops.emotions import normalised_label


class Paths(Section):
    """Folders of the project; dvc.yaml takes its paths from here too."""

    data: Path = Field(description="corpora/, manifests/ and noise/, tracked by data.dvc")
    work: Path = Field(description="intermediates, all made by the pipeline")
    state: Path = Field(description="studies and checkpoints, by which a killed run goes on")
    reports: Path = Field(description="what stages report, and the page")
    pretrained: Path = Field(description="folders of checkpoints; a dependency of every training")
    voices: Path = Field(default=Path("voices"), description="what predict --speaker knows of people; never shared")

    records: Path = Field(default=Path("records"), description="what ser-ops serve --records keeps; never shared")

    @property
    def adding_lock(self) -> Path:
        """What is held while a corpus or noise is brought into `data`; outside of it, as DVC tracks that."""
        return self.state / "adding.lock"


class Manifest(Section):
    """A corpus that a CSV manifest lists."""

    name: Name = Field(description="folder of data/manifests")
    labels: dict[str, Literal["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise", "drop"]] = Field(
        default={}, description="the manifest's labels, each to one of the seven emotions, or to drop")

    @field_validator("labels")
    @classmethod
    def _each_label_once(cls, labels: dict[str, Any]) -> dict[str, Any]:
        targets: dict[str, str] = {}
        for label, target in labels.items():
            if targets.setdefault(normalised_label(label), target) != target:
                raise ValueError(f"{label!r} is given twice (capitals do not count): give it one emotion")
        return labels


class ManifestSource(Manifest):
    """A manifest and the CSV file that it is."""

    file: Path


class Data(Section):
    """Which corpora and noise the pipeline takes."""

    corpora: tuple[Name, ...] = Field(description="folders of data/corpora")
    manifests: tuple[Manifest, ...] = Field(description="folders of data/manifests: {name, labels}")
    noise: tuple[Name, ...] = Field(description="folders of data/noise, each with a folder for every category")
    calm: Literal["neutral", "excluded"] = Field(description="RAVDESS calm: neutral (table III of paper 1) or excluded")
    sample_rate: Hertz = Field(description="hertz; all audio is brought to it first, mono")

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
    def _any_corpus(self) -> "Data":
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
    """How utterances and noise recordings are divided into training, validation and test."""

    protocol: Literal["speaker", "random", "paper"] = Field(
        description="speaker (the only one that can pass the gate), random (by utterance) or paper (by row)")
    seed: Seed = Field(description="of the division")
    validation: Share = Field(description="share of speakers, or of utterances")
    test: Share = Field(description="share of speakers, or of utterances")
    noise_validation: Share = Field(description="share of the source recordings of each noise category")
    noise_test: Share = Field(description="share of the source recordings of each noise category")
    held_out_noise: tuple[Name, ...] = Field(description="noise categories kept out of training")

    @model_validator(mode="after")
    def _room_for_training(self) -> "Partitions":
        if self.validation + self.test >= 1 or self.noise_validation + self.noise_test >= 1:
            raise ValueError("validation and test together leave nothing for training: keep their sum below 1")
        return self


class Validation(Section):
    """Which recordings are quarantined, and when the run stops."""

    seconds: tuple[Positive, Positive] = Field(description="shortest and longest utterance")
    sample_rate: tuple[Count, Count] = Field(description="hertz; below 16,000 is a warning about bandwidth")
    level_dbfs: tuple[float, float] = Field(description="RMS over the utterance; quiet actors of RAVDESS are near -60")
    clipped_share: Share = Field(description="most samples at full scale")
    silent_share: Share = Field(description="most frames of 25 ms below silence_dbfs")
    silence_dbfs: Below0 = Field(description="RMS of a frame that counts as silent")
    bad_share: Share = Field(description="more bad recordings than this stop the run")


class Augment(Section):
    """The variants of each training utterance, the noisy copies of each validation utterance, and their noise."""

    seed: Seed = Field(description="of noises, crops, intensities, rooms and telephone lines")
    variants: tuple[Variant, ...] = Field(description="original first; of all twelve, paper 1 has the first four")
    semitones: Annotated[float, Field(ge=-12, le=12)] = Field(description="pitch shift upwards, duration kept")
    speed: Annotated[float, Field(gt=0, lt=0.5)] = Field(description="how much slower and faster; pitch moves too")
    intensity: tuple[Share, Share] = Field(description="U(low, high), relative to the utterance's peak (equation 10)")
    stationary: bool = Field(description="whether white, pink and brown noise are mixed in too")
    level: Literal["keep", "clip", "renormalise"] = Field(description="what is done to mixtures beyond full scale")
    silent_crop_dbfs: Below0 = Field(description="a crop of noise with a lower peak is drawn again")
    validation_copies: CountOr0 = Field(
        description="of each validation utterance, in noise that neither trains nor tests; 0: clean speech chooses")

    @model_validator(mode="after")
    def _original_first(self) -> "Augment":
        if not self.variants or self.variants[0] != "original" or len(set(self.variants)) != len(self.variants):
            raise ValueError("variants start with original and name each kind once")
        return self
