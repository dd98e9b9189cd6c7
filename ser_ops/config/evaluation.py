"""Sections of params.yaml about judging a model: the noise grid, behaviour, the gate and the report."""

from typing import Annotated

from pydantic import Field, model_validator

from ser_ops.config.section import (
    Confidence,
    Count,
    CountOr0,
    Positive,
    Resamples,
    Section,
    Seed,
    Share,
    StationaryNoise,
    Transmission,
)

_Values = Annotated[tuple[float, ...], Field(min_length=1)]
_PositiveValues = Annotated[tuple[Positive, ...], Field(min_length=1)]


class Evaluate(Section):
    """Clean speech, the grid noise x intensity x seed, and transmissions."""

    stationary: tuple[StationaryNoise, ...] = Field(description="beside every category with recordings for the test")
    intensities: tuple[Share, ...] = Field(description="peak of the noise over that of the utterance")
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = Field(description="of the mixtures of each cell")
    transmission: tuple[Transmission, ...] = Field(description="telephone lines and rooms, beside the grid; first seed")
    voice_clips: tuple[Count, ...] = Field(
        description="clips by which a speaker is known, in turn, of models that can use it; no other figure counts it")
    resamples: Resamples = Field(description="of the bootstrap over speakers, or utterances where it must be")
    confidence: Confidence = Field(description="of all intervals")
    bootstrap_seed: Seed = Field(description="of the resamples")
    coverages: tuple[Confidence, ...] = Field(description="shares of sets that shall hold the truth, to be checked")
    batch_size: Count = Field(description="rows")
    speed_utterances: Count = Field(description="by which samples a second are measured")

    @model_validator(mode="after")
    def _each_transmission_once(self) -> "Evaluate":
        if len(set(self.transmission)) < len(self.transmission):
            raise ValueError("transmission: name each telephone line and each room once")
        return self


class Behave(Section):
    """Small changes of sound that must not change an answer; kinds and values as in audEERING's public test suite."""

    seed: Seed = Field(description="of what each utterance gets")
    utterances: Count = Field(description="most test utterances, of each class as many as possible in turn")
    gain_db: _Values = Field(description="of each list an utterance gets one value")
    noise_snr_db: _Values = Field(description="white noise, by RMS")
    crop_seconds: _PositiveValues = Field(description="cut off at the start or the end")
    high_pass_hertz: _PositiveValues = Field(description="Butterworth filter of first order")
    low_pass_hertz: _PositiveValues = Field(description="Butterworth filter of first order")
    tilt_db: Positive = Field(description="from 0 Hz to half the rate, up and down, level kept")
    offset: Annotated[tuple[Annotated[float, Field(ge=-1, le=1)], ...], Field(min_length=1)] = Field(
        description="added to every sample; reading the sound takes it out again")
    level_db: _Values = Field(description="another distance or another gain")
    resampled_hertz: Annotated[tuple[Annotated[float, Field(ge=8000, le=192000)], ...], Field(min_length=1)] = Field(
        description="resampled to it and back")
    pitch_hertz: tuple[Positive, Positive] = Field(description="where the voice is looked for")
    group_utterances: Count = Field(
        description="of a class that each of two groups needs in a corpus, or that class is not compared there")
    exchanges: Annotated[int, Field(ge=1000)] = Field(
        description="of speakers between two groups; all of them where there are no more")

    @model_validator(mode="after")
    def _pitch_range(self) -> "Behave":
        if self.pitch_hertz[0] >= self.pitch_hertz[1]:
            raise ValueError("pitch_hertz: lowest and highest, the lower one first")
        return self


class Limit(Section):
    """The limit of a rule of the gate; fixed before any training, never fitted to a result."""

    limit: float = Field(description="what it bounds, the rule says")
    reason: Annotated[str, Field(min_length=10)] = Field(description="why this limit; gate.json repeats it")


class Gate(Section):
    """Limits of the gate's rules, by the names that the rules have in gate.json; group_difference is one of two."""

    clean_uar: Limit = Field(description="lowest UAR on clean test speech")
    worst_cell_uar: Limit = Field(description="lowest UAR in the worst cell of the grid")
    largest_drop: Limit = Field(description="most UAR lost from clean speech to the worst cell")
    transmission_uar: Limit = Field(description="lowest mean UAR over the telephone lines and rooms evaluated")
    beats_shuffled: Limit = Field(description="least UAR above the label-shuffled models, lower to upper bound")
    coverage_missed: Limit = Field(description="most that sets hold the truth less often than promised, beyond chance")
    unchanged_labels: Limit = Field(description="lowest share of labels that small changes leave")
    alike_by_sex: Limit = Field(description="share of exchanges of speakers up to which women and men are not alike")
    alike_by_pitch: Limit = Field(description="the same of high and low voices")
    group_difference: Limit = Field(description="largest difference in UAR of two groups that never blocks")
    calibration_error: Limit = Field(description="largest expected calibration error")
    not_worse_than_staging: Limit = Field(description="confidence at which a better staging model blocks promotion")
    same_answers: Limit = Field(description="most that the package's probabilities differ from those evaluated")
    registered_answers: Limit = Field(description="most that the registered model's probabilities differ from them")


class Report(Section):
    """The page of reports/."""

    seed: Seed = Field(description="of the clips that are drawn")
    clips: CountOr0 = Field(description="test utterances that can be played clean and noisy")
    clip_intensity: Share = Field(description="of their noise")
