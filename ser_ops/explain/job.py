"""The stage's work in pieces that any process can do: one utterance and all that is asked of it, or the planted cue."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops import config
from ser_ops.corpora.table import read_csv
from ser_ops.dataset.examples import Examples
from ser_ops.dataset.rows import Row
from ser_ops.device import device_of
from ser_ops.explain import choice, faithfulness, planted, sanity
from ser_ops.explain.background import Background
from ser_ops.explain.dossier import Output, clip_of, dossier
from ser_ops.explain.faithfulness import Measured
from ser_ops.explain.heard import CLEAN, Heard, hear_all
from ser_ops.explain.methods.shap import Attribution
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.model_table import MODELS
from ser_ops.models.model_folder import load
from ser_ops.noise.mixing import Level, Mixer
from ser_ops.shards import Shards


@dataclass(frozen=True)
class Job:
    """What a process needs: a model folder, the pipeline's work folder, and where files and figures go.

    level, silent_dbfs: how mixtures are made (section augment).
    """

    model: Path
    work: Path
    settings: config.Explain
    device: str
    level: Level
    silent_dbfs: float
    output: Output


@dataclass(frozen=True)
class Opened:
    """A job's model and stores, loaded once in each process."""

    subject: Subject
    settings: config.Explain
    waveforms: Mapping[str, np.ndarray]
    mixer: Mixer
    background: Background | None

    @classmethod
    def of(cls, job: Job) -> "Opened":
        """Raises UserError where a folder is no model or a store is missing."""
        model, card = load(job.model)
        subject = Subject.of(model, card, device_of(job.device))
        mixer = Mixer(Shards(job.work / "ingest" / "noise"), read_csv(job.work / "validated" / "noise.csv"),
                      subject.sample_rate, job.level, job.silent_dbfs)
        return cls(subject, job.settings, Shards(job.work / "ingest" / "waveforms"), mixer,
                   background_of(subject, job.work, card["model"], job.settings))

    @cached_property
    def randomised(self) -> dict[str, Subject]:
        """The model with weights that have learned nothing."""
        return sanity.randomised(self.subject, self.settings.seed)

    def clips(self, row: Row) -> list[Heard]:
        """The utterance without noise, then under every noise and intensity."""
        wanted = self.settings.conditions
        loud = [(noise, intensity) for noise in (*self.mixer.categories("test"), *wanted.stationary)
                for intensity in wanted.intensities]
        return hear_all(self.subject, row, self.waveforms[row.utterance], [(CLEAN, 0.0), *loud], self.mixer,
                        wanted.seed)


def background_of(subject: Subject, work: Path, model: str, settings: config.Explain) -> Background | None:
    """`settings.background` training utterances; None for a model of which nothing is asked that compares."""
    if not subject.compares:
        return None
    train = Examples.open(work, "train", MODELS[model].reads, subject.features.seconds, subject.sample_rate)
    rows = choice.background(train.rows, settings.background, settings.seed)
    return Background.of(subject, train.batch(rows), settings.batch_size, f"{len(rows)} training utterances")


@dataclass(frozen=True)
class Item:
    """An utterance: its row, the name of its files, and what is asked of it beside its streams.

    traced, noisy: whether methods are asked without noise, and in every noise. again, randomised: whether they are
    asked again with other sampling seeds, and on random weights.
    """

    row: Row
    name: str
    traced: bool
    noisy: bool
    again: bool = False
    randomised: bool = False


def items(rows: Sequence[Row], settings: config.Explain) -> list[Item]:
    """`per_class` utterances of each class for the methods, conditions.per_class for the streams, the first in both.

    In noise methods are asked of the first conditions.traced_per_class.
    """
    number, chosen, noises = Counter[str](), settings.faithfulness, settings.conditions
    traced = [rows[i].row for i in choice.per_class(rows, settings.per_class, settings.seed)]
    again, randomised = ({traced[i] for i in evenly(len(traced), some)}
                         for some in (chosen.seed_clips, chosen.randomised_clips))
    found = []
    for position in choice.per_class(rows, max(settings.per_class, noises.per_class), settings.seed):
        row = rows[position]
        number[row.emotion] += 1
        own = row.row in traced
        found.append(Item(row, f"{row.emotion}_{number[row.emotion]}", own,
                          own and number[row.emotion] <= noises.traced_per_class, row.row in again,
                          row.row in randomised))
    return found


def evenly(total: int, number: int) -> list[int]:
    """At most `number` places of `total`, spread evenly: utterances come class by class.

    >>> evenly(14, 4), evenly(2, 9)
    ([0, 4, 9, 13], [0, 1])
    """
    return sorted({round(place) for place in np.linspace(0, total - 1, min(number, total))})


@dataclass(frozen=True)
class Explained:
    """What came of an utterance. entries: of "heard"; records: for `across_noise` alone, with streams and no methods.

    clip: of "clips"; traces, attribution (SHAP of every class; None where it does not apply), heard and measured: of
    the utterance without noise. They are None where no method was asked.
    """

    entries: list[dict[str, Any]]
    records: list[dict[str, Any]]
    clip: dict[str, Any] | None = None
    heard: Heard | None = None
    traces: dict[str, Trace] | None = None
    attribution: Attribution | None = None
    measured: Measured | None = None


@dataclass(frozen=True)
class Planted:
    """What came of the planted cue: of "planted", or why there is none."""

    report: dict[str, Any] | None
    why: str = ""


@lru_cache(maxsize=1)
def opened(job: Job) -> Opened:
    """The job's model and stores, of this process."""
    return Opened.of(job)


def done(job: Job, item: Item | None) -> Explained | Planted:
    """One piece of the work; None is the planted cue."""
    ready = opened(job)
    if item is None:
        try:
            return Planted(planted.measure(ready.subject, job.settings))
        except planted.WindowTooShort as error:
            return Planted(None, str(error))
    clips = ready.clips(item.row)
    made = dossier(ready.subject, clips, ready.background, job.settings, job.output, item.name,
                   len(clips) if item.noisy else int(item.traced))
    if not item.traced:
        return Explained(made.entries, made.records)
    attribution = next((one.details for one in made.found.values() if isinstance(one.details, Attribution)), None)
    measured = faithfulness.of_clip(made.question, made.found, None, ready.randomised if item.randomised else None,
                                    item.again)
    return Explained(made.entries, made.records, clip_of(made, job.output, item.name), clips[0],
                     {name: one.trace for name, one in made.found.items()}, attribution, measured)
