"""All that explanations.json holds of a model: clips, noise, faithfulness, a planted cue, paper 1's figures.

The work is cut into tasks, which any process can do: one utterance and all that is asked of it, or the planted cue.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops.config.explaining import Explain
from ser_ops.dataset.examples import Examples
from ser_ops.device import device_of
from ser_ops.emotions import EMOTIONS
from ser_ops.explain import faithfulness, planted
from ser_ops.explain.across_noise import across_noise
from ser_ops.explain.background import Background
from ser_ops.explain.clip import CLEAN, Clip, make_clips
from ser_ops.explain.clip_figures import draw_paper_figures
from ser_ops.explain.faithfulness import ClipFaithfulness
from ser_ops.explain.methods.shap import Attribution
from ser_ops.explain.overall_figures import ShapRow, draw_global_figures, feature_importance
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.explain.utterance import OutputFolders, clip_entry, clip_title, explain_utterance
from ser_ops.manifest import VariantRow, validated_noise
from ser_ops.model_table import MODELS
from ser_ops.models.model_folder import load
from ser_ops.noise.mixing import Level, Mixer
from ser_ops.progress.spreading import parallel_map, progress_bar
from ser_ops.seeds import derive_seed
from ser_ops.shards import Shards
from ser_ops.terminal import print_line


@dataclass(frozen=True)
class ExplainJob:
    """What a process needs: a model folder, the pipeline's work folder, and where files and figures go.

    level, silent_dbfs: how mixtures are made (section augment).
    """

    model: Path
    work: Path
    settings: Explain
    device: str
    level: Level
    silent_dbfs: float
    output: OutputFolders


def explain_all(job: ExplainJob, rows: Sequence[VariantRow], workers: int) -> dict[str, Any]:
    """Explain, measure and draw, over `workers` processes (0: one a core). A GPU is one worker.

    rows: of the test partition. Returns methods, not_admitted (method to reason), clips (an entry a method that draws a
    picture of its own, with its `figure`; the first one's is the clip's), heard (every clip under every condition),
    shap (None where the model has no features with names), across_noise, faithfulness and planted. Each clip is
    explained once, for the class that the model answers without noise, right or wrong. Choices are keyed by
    settings.seed.
    """
    if device_of(job.device).type != "cpu":
        workers = 1
    tasks = [None, *utterance_tasks(rows, job.settings)]     # the planted cue takes longest: it begins first
    cue, *results = parallel_map(partial(run_task, job), tasks, "explain", workers)
    assert isinstance(cue, PlantedCue)
    if cue.why:
        print_line(f"explain: no cue was planted: {cue.why}")
    utterances = [result for result in results if isinstance(result, ExplainedUtterance)]
    answered = [(utterance.entries, utterance.answers) for utterance in utterances if utterance.answers is not None]
    subject = load_job(job).subject
    faithful = faithfulness.combine_clips([answers.faithfulness for _, answers in answered], job.settings)
    reliability = faithfulness.method_sentences(faithful)
    count = Counter[str]()
    for entries, answers in progress_bar(answered, "figures", len(answered)):
        count[entries[0]["emotion"]] += 1
        if count[entries[0]["emotion"]] <= job.settings.figures_per_class:
            entries[0]["figures"] = draw_paper_figures(
                subject, answers.clip, entries[0], answers.traces, answers.attribution, answers.faithfulness.course,
                job.settings, job.output.figures, job.output.figures_prefix, reliability)
    return {
        "methods": list(subject.admitted), "not_admitted": subject.not_admitted,
        "clips": [answers.entry for _, answers in answered],
        "shap": _shap_report(job, subject, answered, reliability.get("shap", "")),
        "heard": [entry for entries, _ in answered for entry in entries],
        "across_noise": across_noise([record for utterance in utterances for record in _records(utterance)],
                                     job.settings.conditions, job.settings.seed),
        "faithfulness": faithful, "planted": cue.report}


@dataclass(frozen=True)
class UtteranceTask:
    """An utterance: its row, the name of its files, and what is asked of it beside its streams.

    traced, noisy: whether methods are asked without noise, and in every noise. reseeded, randomised: whether they are
    asked a second time with other sampling seeds, and on random weights.
    """

    row: VariantRow
    name: str
    traced: bool
    noisy: bool
    reseeded: bool = False
    randomised: bool = False


def utterance_tasks(rows: Sequence[VariantRow], settings: Explain) -> list[UtteranceTask]:
    """`per_class` utterances of each class for the methods, conditions.per_class for the streams, the first in both.

    In noise methods are asked of the first conditions.traced_per_class.
    """
    number, chosen, noises = Counter[str](), settings.faithfulness, settings.conditions
    traced = [rows[i].row for i in choose_per_class(rows, settings.per_class, settings.seed)]
    reseeded, randomised = ({traced[i] for i in spread_evenly(len(traced), count)}
                            for count in (chosen.seed_clips, chosen.randomised_clips))
    tasks = []
    for position in choose_per_class(rows, max(settings.per_class, noises.per_class), settings.seed):
        row = rows[position]
        number[row.emotion] += 1
        noisy = row.row in traced and number[row.emotion] <= noises.traced_per_class
        tasks.append(UtteranceTask(row, f"{row.emotion}_{number[row.emotion]}", row.row in traced, noisy,
                                   row.row in reseeded, row.row in randomised))
    return tasks


def choose_per_class(rows: Sequence[VariantRow], number: int, seed: int) -> list[int]:
    """Positions of `number` original utterances of each class (all, when there are fewer), class by class.

    The choice is keyed: the same on every machine and in any order of the rows.
    """
    return [position for emotion in EMOTIONS
            for position in _choose(rows, number, seed, [i for i, row in enumerate(rows) if row.emotion == emotion])]


def _choose(rows: Sequence[VariantRow], number: int, seed: int, among: Sequence[int]) -> list[int]:
    originals = [position for position in among if rows[position].variant == "original"]
    return sorted(originals, key=lambda position: derive_seed(seed, "explain", rows[position].utterance))[:number]


def spread_evenly(total: int, number: int) -> list[int]:
    """At most `number` positions of `total`, spread evenly: utterances come class by class.

    >>> spread_evenly(14, 4), spread_evenly(2, 9)
    ([0, 4, 9, 13], [0, 1])
    """
    return sorted({round(position) for position in np.linspace(0, total - 1, min(number, total))})


@dataclass(frozen=True)
class LoadedJob:
    """A job's model and stores, loaded once in each process."""

    subject: Subject
    settings: Explain
    waveforms: Mapping[str, np.ndarray]
    mixer: Mixer
    background: Background | None

    @cached_property
    def randomised(self) -> dict[str, Subject]:
        """The model with weights that have learned nothing."""
        return faithfulness.randomise(self.subject, self.settings.seed)

    def clips(self, row: VariantRow) -> list[Clip]:
        """The utterance without noise, then under every noise and intensity."""
        conditions = self.settings.conditions
        noisy = [(noise, intensity) for noise in (*self.mixer.categories("test"), *conditions.stationary)
                 for intensity in conditions.intensities]
        return make_clips(self.subject, row, self.waveforms[row.utterance], [(CLEAN, 0.0), *noisy], self.mixer,
                          conditions.seed)


@lru_cache(maxsize=1)
def load_job(job: ExplainJob) -> LoadedJob:
    """The job's model and stores. Raises UserError where a folder is no model or a store is missing."""
    model, card = load(job.model)
    subject = Subject.of(model, card, device_of(job.device))
    mixer = Mixer(Shards(job.work / "ingest" / "noise"), validated_noise(job.work),
                  subject.sample_rate, job.level, job.silent_dbfs)
    return LoadedJob(subject, job.settings, Shards(job.work / "ingest" / "waveforms"), mixer,
                     load_background(subject, job.work, card["model"], job.settings))


def load_background(subject: Subject, work: Path, model: str, settings: Explain) -> Background | None:
    """`settings.background` training utterances of any class; None for a model whose methods need no background."""
    if not subject.needs_background:
        return None
    train = Examples.open(work, "train", MODELS[model].reads, subject.features.seconds, subject.sample_rate)
    positions = _choose(train.rows, settings.background, settings.seed, range(len(train.rows)))
    return Background.of(subject, train.batch(positions), settings.batch_size, f"{len(positions)} training utterances")


@dataclass(frozen=True)
class MethodAnswers:
    """What the methods gave to an utterance without noise.

    entry: of "clips". attribution: SHAP of every class, None where it does not apply.
    """

    entry: dict[str, Any]
    clip: Clip
    traces: dict[str, Trace]
    attribution: Attribution | None
    faithfulness: ClipFaithfulness


@dataclass(frozen=True)
class ExplainedUtterance:
    """What came of an utterance. entries: of "heard"; records: for `across_noise` alone, with streams and no methods.

    answers: None where no method was asked.
    """

    entries: list[dict[str, Any]]
    records: list[dict[str, Any]]
    answers: MethodAnswers | None = None


@dataclass(frozen=True)
class PlantedCue:
    """What came of the planted cue: the entry "planted", or why there is none."""

    report: dict[str, Any] | None
    why: str = ""


def run_task(job: ExplainJob, task: UtteranceTask | None) -> ExplainedUtterance | PlantedCue:
    """Do one task; None is the planted cue."""
    loaded = load_job(job)
    if task is None:
        try:
            return PlantedCue(planted.measure_planted_cue(loaded.subject, job.settings))
        except planted.WindowTooShort as error:
            return PlantedCue(None, str(error))
    clips = loaded.clips(task.row)
    explained = explain_utterance(loaded.subject, clips, loaded.background, job.settings, job.output, task.name,
                                  len(clips) if task.noisy else int(task.traced))
    if not task.traced:
        return ExplainedUtterance(explained.entries, explained.records)
    faithful = faithfulness.measure_clip(explained.question, explained.explanations, None,
                                         loaded.randomised if task.randomised else None, task.reseeded)
    return ExplainedUtterance(explained.entries, explained.records, MethodAnswers(
        clip_entry(explained, job.output, task.name), clips[0], explained.traces, explained.attribution, faithful))


def _records(utterance: ExplainedUtterance) -> list[dict[str, Any]]:
    """An utterance under every condition. Its methods count where they were asked in noise too: clean and noisy figures
    are then of the same utterances.
    """
    if len(utterance.entries) > 1:
        return utterance.entries
    return [{key: value for key, value in entry.items() if key != "traces"}
            for entry in (*utterance.entries, *utterance.records)]


def _shap_report(job: ExplainJob, subject: Subject, answered: Sequence[tuple[list[dict[str, Any]], MethodAnswers]],
                 reliability: str) -> dict[str, Any] | None:
    """All utterances together: which features the scores follow, with paper 1's figure 4."""
    attributions, rows = list[Attribution](), list[ShapRow]()
    for entries, answers in answered:
        if answers.attribution is not None:
            attributions.append(answers.attribution)
            rows.append(ShapRow(answers.clip.batch.features[0].cpu().numpy(), entries[0]["explained"],
                                clip_title(entries[0])))
    if not attributions:
        return None
    output, background = job.output, load_job(job).background
    file = output.figures / "shap_global.png"
    importance = feature_importance(subject, attributions, [row.explained for row in rows], job.settings,
                                    0 if background is None else len(background.features), file)
    return {"figure": f"{output.figures_prefix}{file.name}"} | importance | {"figures": draw_global_figures(
        subject, attributions, rows, job.settings, output.figures, output.figures_prefix, reliability)}
