"""All that explanations.json holds of a model: clips, noise, faithfulness, a planted cue, paper 1's figures.

Which utterances are looked at: a keyed choice, the same on every machine and in any order of the rows.

The stage's work in pieces that any process can do: one utterance and all that is asked of it, or the planted cue.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops import config
from ser_ops.dataset.examples import Examples
from ser_ops.dataset.rows import Row
from ser_ops.device import device_of
from ser_ops.emotions import EMOTIONS
from ser_ops.explain import faithfulness, planted
from ser_ops.explain.across_noise import across_noise
from ser_ops.explain.background import Background
from ser_ops.explain.clip_figures import paper_figures
from ser_ops.explain.condition import CLEAN, Heard, hear_all
from ser_ops.explain.dossier import Output, clip_of, dossier, title
from ser_ops.explain.faithfulness import Measured
from ser_ops.explain.methods.shap import Attribution
from ser_ops.explain.overall_figures import ShapRow, global_figures, overall
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.model_table import MODELS
from ser_ops.models.model_folder import load
from ser_ops.noise.mixing import Level, Mixer
from ser_ops.progress.spreading import parallel_map, progress_bar
from ser_ops.seeds import derive
from ser_ops.shards import Shards
from ser_ops.tables import read_csv
from ser_ops.terminal import tell


def per_class(rows: Sequence[Row], number: int, seed: int) -> list[int]:
    """Positions of `number` original utterances of each class (all, when there are fewer), class by class."""
    return [position for emotion in EMOTIONS
            for position in _drawn(rows, number, seed, [i for i, row in enumerate(rows) if row.emotion == emotion])]


def background(rows: Sequence[Row], number: int, seed: int) -> list[int]:
    """Positions of `number` original utterances, whatever their class."""
    return _drawn(rows, number, seed, range(len(rows)))


def _drawn(rows: Sequence[Row], number: int, seed: int, among: Sequence[int]) -> list[int]:
    originals = [position for position in among if rows[position].variant == "original"]
    return sorted(originals, key=lambda position: derive(seed, "explain", rows[position].utterance))[:number]


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
        return faithfulness.randomised(self.subject, self.settings.seed)

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
    rows = background(train.rows, settings.background, settings.seed)
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
    traced = [rows[i].row for i in per_class(rows, settings.per_class, settings.seed)]
    again, randomised = ({traced[i] for i in evenly(len(traced), some)}
                         for some in (chosen.seed_clips, chosen.randomised_clips))
    found = []
    for position in per_class(rows, max(settings.per_class, noises.per_class), settings.seed):
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


def everything(job: Job, rows: Sequence[Row], workers: int) -> dict[str, Any]:
    """Explain, measure and draw, over `workers` processes (0: one a core). A GPU is one worker.

    rows: of the test partition. Returns methods, not_admitted (method to reason), clips (an entry a method that draws a
    picture of its own, with its `figure`; the first one's is the clip's), heard (every clip under every condition),
    shap (None where the model has no features with names), across_noise, faithfulness and planted. Each clip is
    explained once, for the class that the model answers without noise, right or wrong. Choices are keyed by
    settings.seed.
    """
    if device_of(job.device).type != "cpu":
        workers = 1
    pieces = [None, *items(rows, job.settings)]     # the planted cue takes longest: it begins first
    planted, *found = parallel_map(partial(done, job), pieces, "explain", workers)
    assert isinstance(planted, Planted)
    if planted.why:
        tell(f"explain: no cue was planted: {planted.why}")
    told = [one for one in found if isinstance(one, Explained)]
    explained = [one for one in told if one.clip is not None]
    subject = opened(job).subject
    faithful = faithfulness.together([one.measured for one in explained if one.measured], job.settings)
    believe = faithfulness.sentences(faithful)
    for number, one in progress_bar(_numbered(explained), "figures", len(explained)):
        if number <= job.settings.figures_per_class and one.heard and one.traces and one.measured:
            one.entries[0]["figures"] = paper_figures(
                subject, one.heard, one.entries[0], one.traces, one.attribution, one.measured.course, job.settings,
                job.output.figures, job.output.figures_prefix, believe)
    return {
        "methods": list(subject.admitted), "not_admitted": subject.not_admitted,
        "clips": [one.clip for one in explained], "shap": _shap(job, subject, explained, believe),
        "heard": [entry for one in explained for entry in one.entries],
        "across_noise": across_noise([record for one in told for record in _records(one)], job.settings.conditions,
                                     job.settings.seed),
        "faithfulness": faithful, "planted": planted.report}


def _records(one: Explained) -> list[dict[str, Any]]:
    """An utterance under every condition. Its methods count where they were asked in noise too: clean and noisy figures
    are then of the same utterances.
    """
    if len(one.entries) > 1:
        return one.entries
    return [{key: value for key, value in entry.items() if key != "traces"} for entry in (*one.entries, *one.records)]


def _numbered(explained: Sequence[Explained]) -> list[tuple[int, Explained]]:
    """Each with its place among those of its class, from 1."""
    number, found = Counter[str](), []
    for one in explained:
        emotion = one.entries[0]["emotion"]
        number[emotion] += 1
        found.append((number[emotion], one))
    return found


def _shap(job: Job, subject: Subject, explained: Sequence[Explained],
          believe: Mapping[str, str]) -> dict[str, Any] | None:
    """All utterances together: which features the scores follow, with paper 1's figure 4."""
    pairs = [(one, one.attribution) for one in explained if one.attribution is not None and one.heard is not None]
    if not pairs:
        return None
    output, attributions = job.output, [attribution for _, attribution in pairs]
    background = opened(job).background
    rows = [ShapRow(one.heard.batch.features[0].cpu().numpy(), one.entries[0]["explained"], title(one.entries[0]))
            for one, _ in pairs if one.heard is not None]
    file = output.figures / "shap_global.png"
    found = overall(subject, attributions, [row.explained for row in rows], job.settings,
                    0 if background is None else len(background.features), file)
    return {"figure": f"{output.figures_prefix}{file.name}"} | found | {"figures": global_figures(
        subject, attributions, rows, job.settings, output.figures, output.figures_prefix,
        believe.get("shap", ""))}
