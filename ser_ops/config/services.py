"""Sections of params.yaml about servers and machines: tracking, storage, prediction, serving, watching, compute."""

import math
from typing import Annotated

from pydantic import Field, model_validator

from ser_ops.config.section import (
    Confidence,
    Count,
    CountOr0,
    Name,
    NotNegative,
    Positive,
    Resamples,
    Section,
    Seed,
    Share,
)

_WATCH_TESTS = 10       # of a period at most; the smallest p value of a permutation test must pass their correction


class Tracking(Section):
    """Where runs and models are recorded."""

    uri: str = Field(description="of the MLflow server; MLFLOW_TRACKING_URI in the environment comes before it")
    experiment: Name = Field(description="of all runs")
    registered_model: Name = Field(description="its versions carry the aliases candidate, staging and production")
    timeout: Positive = Field(default=10.0, description="seconds to wait for a server before saying that it is down")
    outage: Positive = Field(
        default=300.0, description="seconds to wait, when all else is done, for a server that went away")
    lease: Positive = Field(description="seconds without a heartbeat, after which a registry's lock is taken over")
    recordings: bool = Field(
        description="whether explain attaches recordings of test utterances, where every licence is known to allow it")


class Storage(Section):
    """How corpora and noise come from a bucket; its address and keys are in the environment (AWS_*)."""

    part_megabytes: Count = Field(
        default=8, description="fetched as one; what a cut or a kill costs, for each of those at once")
    parallel: Count = Field(default=8, description="parts or small files at once")
    attempts: Count = Field(default=6, description="of a request, and of a part while nothing of it comes")
    longest_wait: Positive = Field(
        default=20.0, description="seconds between attempts; waits begin below one second and double")
    timeout: Positive = Field(default=30.0, description="seconds without a byte")


class Speech(Section):
    """Where somebody speaks, by the detector's probability of each moment of 32 ms."""

    start: Confidence = Field(default=0.4, description="probability from which on speech begins")
    stop: Confidence = Field(default=0.25, description="below it speech ends; not above start")
    least: Positive = Field(default=0.25, description="seconds; what is shorter is no speech")
    pause: NotNegative = Field(default=0.1, description="seconds; a shorter pause does not end speech")

    @model_validator(mode="after")
    def _stops_below_start(self) -> "Speech":
        if self.stop > self.start:
            raise ValueError(f"stop ({self.stop}) must not exceed start ({self.start})")
        return self


class Predict(Section):
    """How recordings are answered; a trained model carries these settings along, so that it answers so everywhere."""

    window_hop: Positive = Field(default=1.25, description="seconds between windows of a recording longer than one")
    batch_size: Count = Field(default=16, description="windows")
    speech: Speech = Field(default=Speech(), description="what is answered 'no speech'")
    coverage: Confidence | None = Field(
        default=None, description="share of answers whose set must hold the truth, else 'not sure'; null: always sure")


class Score(Section):
    """`ser-ops score`: recordings by the million."""

    part: Count = Field(default=500, description="recordings that a process answers at a time; what a kill costs")
    megabytes: Count = Field(default=256, description="of an object in a bucket at most; a larger one is refused")


class Export(Section):
    """`ser-ops export onnx`: how a graph is compared with torch before it may answer."""

    seed: Seed = Field(default=95, description="of the clips that are made where no project is")
    clips: Count = Field(default=32, description="test clips, or made ones, that both answer")
    difference: Positive = Field(default=1e-4, description="of a probability, beyond which no graph is written")
    int8_cost: Positive = Field(default=0.01, description="of UAR on validation clips, from which no int8 is written")


class Serve(Section):
    """`ser-ops serve`: batches across requests, and what one request may take."""

    batch_size: Count = Field(default=16, description="windows of all requests that are answered together")
    batch_wait: NotNegative = Field(
        default=0.03, description="seconds that the first waits for others that are being decoded")
    threads: CountOr0 = Field(default=0, description="that have the model, on a CPU; 0: one for each core")
    queue: Count = Field(default=64, description="requests at once; the next one gets status 429")
    long_queue: Count = Field(default=4, description="of them, those of more than long_megabytes")
    long_megabytes: Positive = Field(default=1.0, description="of a body, beyond which others come first")
    body_megabytes: Positive = Field(default=256.0, description="of a body at most")
    recordings: Count = Field(default=64, description="of one request at most")
    seconds: Positive = Field(default=7200.0, description="of a recording at most")
    timeout: Positive = Field(
        default=600.0, description="seconds for a request, and for those under way when the server ends")
    live_sessions: Count = Field(default=8, description="of live sound at once")
    live_wait: Positive = Field(default=10.0, description="seconds for the first message of live sound")
    watch: Positive = Field(default=5.0, description="seconds between looks at the registry for a model that moved")


class Watch(Section):
    """`ser-ops watch` and the records that it reads: what is kept, what is compared, and when something is said."""

    megabytes: Count = Field(default=256, description="of a folder of records at most; beyond it the oldest file goes")
    file_records: Count = Field(default=4096, description="of one Parquet file")
    days: Count = Field(default=7, description="of a period; the first day of a week is Monday")
    periods: Count = Field(default=12, description="that a page shows, the newest")
    least_records: Count = Field(default=50, description="of a period, or nothing is said of it")
    false_alarms: Confidence = Field(
        default=0.02, description="share of unchanged periods in which all tests together may see a change")
    least_distance: Share = Field(default=0.05, description="of two distributions, below which a change is no alarm")
    largest_drop: Share = Field(default=0.1, description="expected UAR below the reference's, beyond which it is said")
    confidence: Confidence = Field(default=0.95, description="of intervals")
    resamples: Resamples = Field(default=200, description="of the bootstrap over the reference's speakers")
    permutations: Annotated[int, Field(ge=99)] = Field(default=999, description="of a permutation test")
    sample: Annotated[int, Field(ge=50, le=5000)] = Field(
        default=500, description="most records of either side in the embedding's test")
    seed: Seed = Field(default=95, description="of resamples, permutations, samples and the reference's mixtures")
    mixtures: CountOr0 = Field(default=2, description="noisy copies of each clip in the reference, beside the clean")
    retrain: bool = Field(default=False, description="whether the flow watch-model starts train-fusion at an alarm")

    @model_validator(mode="after")
    def _permutations_can_alarm(self) -> "Watch":
        if (self.permutations + 1) * self.false_alarms < _WATCH_TESTS:
            raise ValueError(f"permutations ({self.permutations}) are too few for false_alarms ({self.false_alarms:g}) "
                             f"and up to {_WATCH_TESTS} tests: give {math.ceil(_WATCH_TESTS / self.false_alarms)}")
        return self


class Compute(Section):
    """Processes, devices and waiting."""

    workers: CountOr0 = Field(
        default=0, description="processes; 0: one a core, or all of the cluster of DASK_SCHEDULER_ADDRESS; 1: this one")
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = Field(
        default="auto", description="auto, cpu or cuda")
    shard_megabytes: Count = Field(description="size of one shard of intermediates")
    queue_seconds: Positive = Field(description="that a flow waits for another flow in this workspace")
    heartbeat_seconds: Positive = Field(description="between heartbeats of a shared search's trial, and checks")
    lost_seconds: Positive = Field(description="without a heartbeat, after which another machine takes the trial up")
    outage_seconds: Positive = Field(description="that a shared search waits for its database to come back")
