"""Section explain of params.yaml: explanations clean and in noise, how faithful they are, and what the page shows."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ser_ops.config.section import (
    BandCount,
    Below0,
    Confidence,
    Count,
    CountOr0,
    NotNegative,
    Positive,
    Rate,
    Resamples,
    Section,
    Seed,
    Share,
    StationaryNoise,
)


class Conditions(Section):
    """The noises in which explanations are held against the clean ones: every recorded category, and these."""

    stationary: tuple[StationaryNoise, ...] = Field(description="beside every category with recordings for the test")
    intensities: tuple[Share, ...] = Field(description="peak of the noise over that of the utterance")
    seed: Seed = Field(description="of the mixtures, one of evaluate.seeds")
    per_class: Count = Field(description="test utterances of each class whose streams are compared")
    traced_per_class: Count = Field(description="of these, how many every method explains in each noise")
    shap_samples: Count = Field(description="as explain.shap_samples, in noise")
    resamples: Resamples = Field(description="of the bootstrap over utterances")
    confidence: Confidence = Field(description="of the intervals")


class Speech(Section):
    """Where speech is, by its energy; decibels relative to the loudest frame of the window without noise."""

    frame: Positive = Field(description="seconds")
    hop: Positive = Field(description="seconds")
    start_db: Below0 = Field(description="speech begins above it")
    stop_db: Below0 = Field(description="and lasts until it is quieter than this")
    hangover: NotNegative = Field(description="for longer than so many seconds")

    @model_validator(mode="after")
    def _stops_below(self) -> "Speech":
        if self.stop_db > self.start_db:
            raise ValueError("stop_db is above start_db: speech would end before it began, set it lower")
        return self


class Listen(Section):
    """What the page plays and shows as a spectrogram: every clip clean, and at this intensity of each noise."""

    intensity: Share = Field(description="one of conditions.intensities")
    frame: Count = Field(description="samples")
    hop: Count = Field(description="samples")
    mels: BandCount = Field(description="bands of the spectrogram")


class Faithfulness(Section):
    """How far the traces of the methods can be believed, measured by what the model itself answers."""

    steps: Annotated[int, Field(ge=2)] = Field(description="shares of the sound replaced: 10 are 0, 10, ..., 100 %")
    cell_seconds: Positive = Field(description="moments that are ranked and replaced as wholes")
    fade_seconds: NotNegative = Field(description="from sound to fill, so that no click marks an edge")
    fills: Annotated[tuple[Literal["silence", "noise"], ...], Field(min_length=2)] = Field(
        description="what replaces sound; noise: Gaussian, of the clip's own spectrum and RMS")
    random_draws: Count = Field(description="random rankings of each clip")
    resamples: Resamples = Field(description="of the bootstrap over utterances")
    confidence: Confidence = Field(description="of the intervals")
    other_seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = Field(
        description="with which SHAP samples again; their rankings are compared with its own")
    seed_clips: Count = Field(description="clips that this is done for")
    randomised_clips: Count = Field(description="clips explained again on random weights")
    randomised_limit: Share = Field(description="rank correlation above which a trace shows the clip, not the weights")

    @model_validator(mode="after")
    def _possible(self) -> "Faithfulness":
        if self.fade_seconds > self.cell_seconds:
            raise ValueError("fade_seconds is longer than cell_seconds: two edges of one cell would overlap")
        for name, values in (("fills", self.fills), ("other_seeds", self.other_seeds)):
            if len(set(values)) != len(values):
                raise ValueError(f"{name} names one twice: name each one once")
        return self


class Planted(Section):
    """Clips of noise whose class a tone burst at a known moment decides, and a model trained on them."""

    seconds: Positive = Field(description="of a burst; long enough that muting a part of it leaves some")
    hertz: tuple[Positive, Positive] = Field(description="of the burst that decides: one frequency a class")
    other_hertz: Positive = Field(description="of bursts as loud that say nothing, in both classes")
    others: CountOr0 = Field(description="how many of these a clip has")
    level_db: float = Field(description="RMS of a burst over that of the noise")
    train_clips: Annotated[int, Field(ge=4)] = Field(description="that the model is trained on")
    clips: Annotated[int, Field(ge=2)] = Field(description="that the methods are tried on; no training hears them")
    batch_size: Annotated[int, Field(ge=2)] = Field(description="rows")
    max_steps: Count = Field(description="of the training")
    check_every: Count = Field(description="steps")
    learning_rate: Positive = Field(description="of the training")
    label_smoothing: Rate = Field(description="where an answer is all but certain, muting costs nothing")
    accuracy: Share = Field(description="on the clips above; reached, training stops")


class Explain(Section):
    """How answers of the main model are explained."""

    seed: Seed = Field(description="of the clips, of SHAP and of all draws")
    per_class: Count = Field(description="test utterances of each class")
    background: Count = Field(description="training utterances that SHAP takes as its background")
    shap_samples: Count = Field(description="spread over the background and over the way to the clip")
    top: Count = Field(description="features in the global bar chart")
    batch_size: Count = Field(description="rows")
    figures_per_class: CountOr0 = Field(description="clips of each class that paper 1's figures 2, 3 and 5 show")
    active_share: Confidence = Field(description="of the utterance's time that paper 1's figure 3d calls active")
    occlusion_seconds: Positive = Field(description="muted at a time")
    occlusion_hop: Positive = Field(description="seconds from one muted stretch to the next")
    conditions: Conditions = Field(description="the noises in which explanations are held against the clean ones")
    speech: Speech = Field(description="where speech is, by the energy of the sound without noise")
    listen: Listen = Field(description="what the page plays and shows as a spectrogram")
    faithfulness: Faithfulness = Field(description="deletion and insertion curves, randomisation, other seeds")
    planted: Planted = Field(description="clips of noise whose class a tone burst decides")
