"""Chosen test utterances clean and under every noise and intensity, spread over one process a core."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops import config
from ser_ops.config import READS
from ser_ops.corpora.table import read_csv
from ser_ops.dataset.examples import Examples
from ser_ops.dataset.rows import Row
from ser_ops.explain import choice
from ser_ops.explain.background import Background
from ser_ops.explain.dossier import Dossier, answer_of, dossier, leaning, spoken
from ser_ops.explain.heard import Heard, hear
from ser_ops.explain.streams import parts, shapley
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.inference.recogniser import choose_device
from ser_ops.models.model_folder import load
from ser_ops.noise.mixing import Level, Mixer
from ser_ops.progress.spreading import spread
from ser_ops.shards import Shards


@dataclass(frozen=True)
class Job:
    """What a process needs: a model folder, the pipeline's work folder, and where sounds and spectrograms go.

    level, silent_dbfs: how mixtures are made (section augment). prefix: stands before a file's name in the entries.
    """

    model: Path
    work: Path
    settings: config.Explain
    device: str
    level: Level
    silent_dbfs: float
    files: Path
    prefix: str


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
        subject = Subject.of(model, card, choose_device(job.device))
        mixer = Mixer(Shards(job.work / "ingest" / "noise"), read_csv(job.work / "validated" / "noise.csv"),
                      subject.sample_rate, job.level, job.silent_dbfs)
        return cls(subject, job.settings, Shards(job.work / "ingest" / "waveforms"), mixer,
                   background_of(subject, job.work, card["model"], job.settings))

    def clips(self, row: Row, conditions: config.Conditions) -> list[Heard]:
        """The utterance without noise, then under every noise and intensity."""
        speech = self.waveforms[row.utterance]
        return [hear(self.subject, row, speech)] + [
            hear(self.subject, row, speech, self.mixer, noise, intensity, conditions.seed)
            for noise in (*self.mixer.categories("test"), *conditions.stationary)
            for intensity in conditions.intensities]


def background_of(subject: Subject, work: Path, model: str, settings: config.Explain) -> Background | None:
    """`settings.background` training utterances; None for a model that neither SHAP nor Shapley values can explain."""
    if "shap" not in subject.admitted[0] and parts(subject) is None:
        return None
    train = Examples.open(work, "train", READS[model], subject.features.seconds, subject.sample_rate)
    rows = choice.background(train.rows, settings.background, settings.seed)
    return Background.of(subject, train.batch(rows), settings.batch_size, f"{len(rows)} training utterances")


@dataclass(frozen=True)
class Item:
    """An utterance: its row, the name of its files, and whether methods are asked or its streams alone."""

    row: Row
    name: str
    traced: bool


def items(rows: Sequence[Row], settings: config.Explain) -> list[Item]:
    """`per_class` utterances of each class for the methods, conditions.per_class for the streams, the first in both."""
    number, found = Counter[str](), []
    traced = {rows[i].row for i in choice.per_class(rows, settings.per_class, settings.seed)}
    for position in choice.per_class(rows, max(settings.per_class, settings.conditions.per_class), settings.seed):
        row = rows[position]
        number[row.emotion] += 1
        found.append(Item(row, f"{row.emotion}_{number[row.emotion]}", row.row in traced))
    return found


@dataclass(frozen=True)
class Answered:
    """heard: entries of explanations.json; records: these and those of utterances whose streams alone were asked.

    clean: the utterances that methods were asked about, without noise, and `traces` of each.
    """

    heard: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    clean: list[Row] = field(default_factory=list)
    traces: list[dict[str, Trace]] = field(default_factory=list)


@lru_cache(maxsize=1)
def _opened(job: Job) -> Opened:
    return Opened.of(job)


def _one(job: Job, item: Item) -> Dossier:
    opened = _opened(job)
    clips = opened.clips(item.row, job.settings.conditions)
    if item.traced:
        return dossier(opened.subject, clips, opened.background, job.settings, job.files, job.prefix, item.name)
    return Dossier(_streams_alone(opened, clips), {})


def _streams_alone(opened: Opened, clips: Sequence[Heard]) -> list[dict[str, Any]]:
    answers = [answer_of(opened.subject, one) for one in clips]
    target = int(answers[0].argmax())
    return [spoken(opened.subject, one, probabilities, target) | {
        "streams": None if opened.background is None else
        leaning(shapley(opened.subject, one, target, opened.background))}
        for one, probabilities in zip(clips, answers, strict=True)]


def ask(job: Job, rows: Sequence[Row], workers: int) -> Answered:
    """Every condition of the chosen of `rows`, over `workers` processes (0: one a core). A GPU is one worker."""
    if choose_device(job.device).type != "cpu":
        workers = 1
    found, asked = Answered(), items(rows, job.settings)
    for item, told in zip(asked, spread(partial(_one, job), asked, "explain in noise", workers), strict=True):
        found.records.extend(told.entries)
        if item.traced:
            found.heard.extend(told.entries)
            found.clean.append(item.row)
            found.traces.append(told.traces)
    _opened.cache_clear()
    return found
