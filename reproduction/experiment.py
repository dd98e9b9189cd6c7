"""Trainings of the reproductions: each with its own partitions, MLflow run and test answers, side by side, each once.

A stage lists its experiments and hands them to `train_all`. A killed stage that is started again goes on with those
that are missing. `provenance` and `scores_with_intervals` are what every stage's report says of its figures.
"""

import json
import shutil
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from reproduction.settings import Comparison, TrainedOn
from ser_ops.config.params import Params
from ser_ops.config.section import Variant
from ser_ops.config.training import Training
from ser_ops.corpora import leaks, partitions
from ser_ops.corpora.partitions import assign_fold
from ser_ops.dataset.examples import Examples, Stores, ordered_batches
from ser_ops.device import device_of
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.evaluation import bootstrap, metrics
from ser_ops.evaluation.predictions import DIGITS
from ser_ops.features.standardise import Moments, sum_moments
from ser_ops.files import replacing, write_json
from ser_ops.manifest import UtteranceRow, VariantRow, read_rows, validated_noise, validated_utterances
from ser_ops.model_table import MODELS
from ser_ops.models import architectures
from ser_ops.seeds import derive_seed
from ser_ops.shards import Shards
from ser_ops.stages.training_run import (
    TrainingJob,
    data_record,
    lacking_checkpoints,
    remove_state,
    resumable_run,
    run_tags,
    settings_record,
    write_model_folder,
)
from ser_ops.tables import write_csv
from ser_ops.terminal import print_line
from ser_ops.tracking.runs import Run, data_md5, git_commit, git_dirty
from ser_ops.training.checkpoint import fingerprint
from ser_ops.training.loop import fit, probabilities
from ser_ops.training.states import backbone_states
from ser_ops.training.tuning import training_with
from ser_ops.training.world import process_map, trainings_at_once

ANSWER_COLUMNS = ("row", "utterance", "variant", "corpus", "speaker", "emotion", "predicted",
                  *(f"p_{emotion}" for emotion in EMOTIONS))
PAPER_CORPORA = ("ravdess", "crema_d", "tess", "savee")     # layouts of the corpora that the papers use


@dataclass(frozen=True)
class Experiment:
    """A model, what trains it, and how its utterances are divided.

    Args:
        group: experiments of one group are children of one MLflow run of this name.
        name: of its own run.
        model: name of the model, as in MODELS.
        settings: how it is trained.
        corpora: names of the corpora whose utterances are used.
        protocol: partition protocol: speaker, random or paper; of a fold speaker, word or random.
        variants: of each utterance, original or all; names the folder of its rows.
        fold: number of the fold that is tested, from 1; None for one split.
        folds: number of folds; None for one split.
        apart: divide each corpus as if it were alone: its test part is the same whatever trains beside it.
    """

    group: str
    name: str
    model: str
    settings: Training
    corpora: tuple[str, ...]
    protocol: str
    variants: TrainedOn
    fold: int | None = None
    folds: int | None = None
    apart: bool = False


@dataclass(frozen=True)
class Stage:
    """The stage that experiments belong to: its name, and the state folder of each.

    frozen: of each model with a frozen checkpoint, where that checkpoint's states of every row lie.
    """

    name: str
    states: tuple[Path, ...]
    frozen: Mapping[str, Path]


def work_folder(params: Params) -> Path:
    """Where the stages of reproduction/dvc.yaml keep what they make."""
    return params.paths.work / "papers"


def rows_folder(params: Params, variants: str) -> Path:
    """Where augmented/ and features/ of every utterance lie: of the originals alone, or of all variants."""
    return work_folder(params) / variants


def variant_names(params: Params, variants: str) -> tuple[Variant, ...]:
    """What `original` or `all` stands for."""
    return ("original",) if variants == "original" else params.augment.variants


def comparison_settings(params: Params, seed: int, comparison: Comparison, *key: object) -> Training:
    """`training_settings` of models that stand beside the main one.

    Raises UserError for fewer epochs than the main model's: a comparison of models that were cut short says nothing.
    """
    training = training_settings(params, seed, comparison.train, *key)
    if training.epochs < params.train.epochs:
        raise UserError(f"reproduction/params.yaml: {key[0]}.train.epochs is {training.epochs}, fewer than the "
                        f"{params.train.epochs} of preset {params.preset}: leave it out")
    return training


def training_settings(params: Params, seed: int, overrides: Mapping[str, Any], *key: object) -> Training:
    """Settings of a training: section train with `overrides` over it, and a seed that `seed` and the key decide."""
    training = training_with(params.train.training(), dict(overrides))
    return training.model_copy(update={"seed": derive_seed(seed, "training", *key) % 2**31})


def trainable(params: Params, experiments: Sequence[Experiment]) -> tuple[list[Experiment], dict[str, str]]:
    """The experiments that can be trained here, and why not for each model whose checkpoint cannot be had."""
    lacking = lacking_checkpoints(params, dict.fromkeys(experiment.model for experiment in experiments))
    for model, reason in lacking.items():
        print_line(f"{model} is left out: {reason}")
    return [experiment for experiment in experiments if experiment.model not in lacking], lacking


@contextmanager
def train_all(params: Params, name: str, experiments: Sequence[Experiment],
              tags: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[list[Path], dict[str, Run]]]:
    """Train all experiments, as many side by side as there are cores or GPUs; those that are done are not done again.

    When the block ends without an error, what would let a killed stage go on is removed.

    Args:
        params: of the main pipeline.
        name: of the stage.
        experiments: what to train.
        tags: of the MLflow run of each group.

    Yields:
        Each experiment's folder, in their order, a model folder with test.csv and result.json; and the open run of
        each group.

    Raises:
        UserError: a partition of an experiment would be empty, said before anything trains; the disk is full; states
            of a frozen checkpoint are beyond the range of float16.
    """
    _check_partitions(params, experiments)
    states = tuple(_state(params, name, experiment) for experiment in experiments)
    state = params.paths.state / name
    stage = Stage(name, states, _frozen_states(params, experiments, states, state / "states"))
    groups = list(dict.fromkeys(experiment.group for experiment in experiments))
    mark = fingerprint([folder.name for folder in states])
    with ExitStack() as stack:
        runs = {group: stack.enter_context(resumable_run(
            params, group, tags[group], state / mark / f"{fingerprint([group])}.json")) for group in groups}
        workers = max(1, min(trainings_at_once(params.compute.workers, device_of(params.compute.device)),
                            len(experiments)))
        with process_map(workers) as spread:
            folders = spread(partial(_result_folder, params, stage, time.time()),
                             [(experiment, runs[experiment.group].id) for experiment in experiments])
        yield folders, runs
    for finished in (*states, state / mark, state / "states"):
        remove_state(finished)


def _check_partitions(params: Params, experiments: Sequence[Experiment]) -> None:
    """Raise UserError for an experiment with an empty partition; those that are divided alike are looked at once."""
    for experiment in _distinct_divisions(experiments):
        rows = partitioned_rows(params, experiment).rows
        for partition in ("train", "validation", "test"):
            if all(row.partition != partition for row in rows):
                raise UserError(f"{experiment.name}: no utterance is in the {partition} partition: bring in more "
                                "speakers, or change the shares of section partitions in params.yaml")


def _distinct_divisions(experiments: Sequence[Experiment]) -> Collection[Experiment]:
    """One experiment of each way of dividing rows."""
    return {(each.corpora, each.protocol, each.fold, each.apart, each.variants): each for each in experiments}.values()


def _frozen_states(params: Params, experiments: Sequence[Experiment], states: Sequence[Path],
                   folder: Path) -> dict[str, Path]:
    """Compute the states of frozen checkpoints for the rows of all experiments, in float16; where each model's lie.

    Each training would otherwise compute the same ones, in each of its epochs. states: of the experiments, which say
    what is done already.
    """
    reading = [each for each in experiments if MODELS[each.model].backbone == "wav2vec"]
    missing = {each.model for each, state in zip(experiments, states, strict=True) if not (state / "done").exists()}
    if not params.chosen.wav2vec.keeps_states or not missing & {each.model for each in reading}:
        return {}
    used = {row.row: row for each in _distinct_divisions(reading) for row in partitioned_rows(params, each).rows}
    rows, device = [used[name] for name in sorted(used)], device_of(params.compute.device)
    kept = {}
    for each in {each.model: each for each in reading}.values():
        features = rows_folder(params, each.variants) / "features" / MODELS[each.model].reads
        model = architectures.build(each.model, params.chosen, read_json(features / "standardisation.json"), 0)
        shards = backbone_states(model, [_examples(params, each, rows)], folder, device, params.compute)
        if shards is not None:
            kept[each.model] = shards.folder
    return kept


def _result_folder(params: Params, stage: Stage, began: float, job: tuple[Experiment, str]) -> Path:
    """Train, test and record one experiment unless that is done already; the folder of its results."""
    experiment, parent = job
    state = _state(params, stage.name, experiment)
    done = state / "done"
    if not done.exists():
        _train_and_test(params, stage, experiment, parent, state)
        _report_progress(stage, experiment, began, read_json(done / "result.json"))
    return done


def _train_and_test(params: Params, stage: Stage, experiment: Experiment, parent: str, state: Path) -> None:
    device = device_of(params.compute.device)
    divided = partitioned_rows(params, experiment)
    parts = {name: partition_examples(params, experiment, divided.rows, name)
             for name in ("train", "validation", "test")}
    if experiment.model in stage.frozen:
        states = Shards(stage.frozen[experiment.model])
        parts = {name: part.with_states(states) for name, part in parts.items()}
    model = architectures.build(
        experiment.model, params.chosen, standardisation(parts["train"], params, experiment.model),
        derive_seed(experiment.settings.seed, "model"))
    job = TrainingJob(experiment.name, experiment.model, experiment.settings)
    tags = run_tags(params, job, stage.name) | {
        "corpus": "+".join(experiment.corpora), "partition": divided.protocol,
        "fold": "" if experiment.fold is None else str(experiment.fold)}
    began = time.monotonic()
    with resumable_run(params, experiment.name, tags, state / "run.json", parent) as run:
        run.params(settings_record(params, job) | {"variants": list(variant_names(params, experiment.variants))})
        result = fit(model, parts["train"], parts["validation"], experiment.settings, device, state / "checkpoint", run,
                     what=experiment.name, quiet=True)
        seconds = time.monotonic() - began
        chances = probabilities(model, parts["test"], params.evaluate.batch_size, device).round(DIGITS)
        tests = list(_answer_rows(parts["test"], chances))
        clean = answer_scores([row for row in tests if row["variant"] == "original"])
        data = data_record(params, experiment.corpora, divided.protocol, parts["train"].rows)
        figures = {"best_epoch": result.best_epoch, "validation_uar": result.validation_uar,
                   "epochs": len(result.history), "tested": {
                       "utterances": len(tests), "speakers": len({row["speaker"] for row in tests})},
                   "seconds": round(seconds, 1), "train_rows": len(parts["train"]),
                   "validation_rows": len(parts["validation"]), "parameters": architectures.count(model)}
        with replacing(state / "written") as made:
            write_model_folder(made, params, job, model, result, run, data)
            write_csv(made / "test.csv", tests, ANSWER_COLUMNS)
            write_json(made / "result.json", {"run_id": run.id, "protocol": divided.protocol,
                                              "declared": divided.declared, **figures, "clean": clean})
        run.metrics({f"clean/{name}": value for name, value in clean.items()} | result.kept.kept_metrics() | {
            "parameters_millions": round(architectures.count(model) / 1e6, 4)})
        run.artifact(state / "written" / "test.csv", "evaluation")
    (state / "written").rename(state / "done")      # once its run has ended too


def _answer_rows(tests: Examples, chances: np.ndarray) -> Iterator[dict[str, str]]:
    for row, own in zip(tests.rows, chances, strict=True):
        yield {"row": row.row, "utterance": row.utterance, "variant": row.variant, "corpus": row.corpus,
               "speaker": row.speaker, "emotion": row.emotion, "predicted": EMOTIONS[int(own.argmax())],
               **{f"p_{emotion}": f"{chance:.{DIGITS}f}" for emotion, chance in zip(EMOTIONS, own, strict=True)}}


def _report_progress(stage: Stage, experiment: Experiment, began: float, result: Mapping[str, Any]) -> None:
    finished = [file.stat().st_mtime for state in stage.states if (file := state / "done" / "result.json").exists()]
    new = sum(seconds >= began for seconds in finished) or 1
    left = (time.time() - began) / new * (len(stage.states) - len(finished))
    print(f"{stage.name}: {len(finished)} of {len(stage.states)}: {experiment.name}: test UAR "
          f"{result['clean']['uar']:.3f}, validation {result['validation_uar']:.3f} at epoch {result['best_epoch']} of "
          f"{result['epochs']}, {result['seconds']:.0f} s; about {left / 60:.0f} min left", file=sys.stderr, flush=True)


def _state(params: Params, stage: str, experiment: Experiment) -> Path:
    made = rows_folder(params, experiment.variants)
    files = [made / "augmented" / "variants.csv", made / "augmented" / "waveforms" / "index.csv",
             made / "features" / MODELS[experiment.model].reads / "index.csv",
             made / "features" / MODELS[experiment.model].reads / "standardisation.json",
             params.paths.work / "validated" / "manifest.csv"]
    settings = [asdict(experiment) | {"settings": experiment.settings.model_dump()}, params.partitions.model_dump(),
                params.preset, params.chosen.model_dump(mode="json")]
    return params.paths.state / stage / fingerprint(json.loads(json.dumps(settings, default=str)), files)


class Divided(NamedTuple):
    """Rows in their partitions, what their protocol is, and the leaks that it declares, as sentences."""

    rows: list[VariantRow]
    protocol: str
    declared: list[str]


def partitioned_rows(params: Params, experiment: Experiment) -> Divided:
    """The rows that an experiment uses, in its partitions.

    Validation and test hold unaltered utterances alone, except under the protocol paper, which divides augmented rows.

    Raises:
        UserError: a leak that the protocol does not declare.
    """
    utterances = _partitioned_utterances(params, experiment)
    partition_of = {row.utterance: row.partition for row in utterances}
    table = rows_folder(params, experiment.variants) / "augmented" / "variants.csv"
    rows = [row for row in read_rows(table, VariantRow) if row.corpus in experiment.corpora]
    if experiment.protocol == "paper":
        by_row = partitions.assign_variant_partitions(rows, params.partitions)
        rows = [replace(row, partition=partition) for row, partition in zip(rows, by_row, strict=True)]
    else:
        rows = [replace(row, partition=partition_of[row.utterance]) for row in rows
                if row.variant == "original" or partition_of[row.utterance] == "train"]
    noise, reports = validated_noise(params.paths.work), []
    for corpora in ((corpus,) for corpus in experiment.corpora) if experiment.apart else (experiment.corpora,):
        report = leaks.audit_leaks([row for row in utterances if row.corpus in corpora], noise, experiment.protocol,
                                   [row for row in rows if row.corpus in corpora], experiment.fold is not None)
        if stopping := leaks.undeclared_leaks(report):
            raise UserError(f"{experiment.name}: leak: {stopping[0]}: take the recording out or mend its labels, and "
                            "run again")
        reports.append(report)
    return Divided(rows, " and ".join(dict.fromkeys(str(report["protocol"]) for report in reports)),
                   [words for report in reports for words in report["declared"]])


def _partitioned_utterances(params: Params, experiment: Experiment) -> list[UtteranceRow]:
    utterances = [row for row in validated_utterances(params.paths.work) if row.corpus in experiment.corpora]
    if experiment.fold is not None and experiment.folds is not None:
        assigned = assign_fold(utterances, params.partitions, experiment.protocol, experiment.folds, experiment.fold)
    else:
        settings = params.partitions.model_copy(update={"protocol": experiment.protocol})
        groups = partitions.group_rows(utterances, "corpus") if experiment.apart else {"all": utterances}
        utterances = [row for group in groups.values() for row in group]
        assigned = [partition for group in groups.values()
                    for partition in partitions.assign_partitions(group, settings)]
    return [replace(row, partition=partition) for row, partition in zip(utterances, assigned, strict=True)]


def partition_examples(params: Params, experiment: Experiment, rows: Sequence[VariantRow], partition: str) -> Examples:
    """The rows of one partition as the experiment's model reads them. Raises UserError when there are none."""
    chosen = [row for row in rows if row.partition == partition]
    if not chosen:
        raise UserError(f"{experiment.name}: no utterance is in the {partition} partition: bring in more speakers, or "
                        "change the shares of section partitions in params.yaml")
    return _examples(params, experiment, chosen)


def _examples(params: Params, experiment: Experiment, rows: Sequence[VariantRow]) -> Examples:
    model = experiment.model
    stores = Stores.open(params.paths.work / "ingest" / "waveforms", rows_folder(params, experiment.variants),
                         MODELS[model].reads)
    return Examples(rows, stores, round(params.chosen.input_of(model).seconds * params.data.sample_rate))


def standardisation(train: Examples, params: Params, model: str) -> Mapping[str, Sequence[float]]:
    """Mean and deviation of each channel over the training rows of an experiment."""
    settings = params.chosen.input_of(model)
    parts = [Moments.of(np.stack([train.stores.features[train.rows[index].row] for index in indices]), settings)
             for indices in ordered_batches(len(train), 64)]
    return sum_moments(parts, settings).standardisation()


def copy_model_folder(source: Path, target: Path) -> None:
    """Copy a model folder with its answers."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target)


def answer_scores(tests: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """Accuracy, precision, recall, F1 and UAR of rows of test.csv."""
    true, predicted = (np.array([EMOTIONS.index(row[name]) for row in tests]) for name in ("emotion", "predicted"))
    return metrics.scores(true, predicted)


def scores_with_intervals(params: Params, tests: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Scores of rows of test.csv with bootstrap intervals, over utterances and over speakers.

    Returns:
        Each score; uar_low, uar_high, accuracy_low and accuracy_high over utterances; the same names with _speakers
        over speakers, None where there is no such interval; no_speakers, why there is none, "" where there is; and the
        numbers of rows (n) and speakers.
    """
    ordered = sorted(tests, key=lambda row: row["row"])
    true, predicted = (np.array([EMOTIONS.index(row[name]) for row in ordered]) for name in ("emotion", "predicted"))
    right, settings = (true == predicted).astype(float), params.evaluate
    speakers = [row["speaker"] for row in ordered]
    by_utterance = bootstrap.resample_utterances(true, settings.resamples, settings.bootstrap_seed)
    by_speaker = bootstrap.resample_unseen(true, speakers, settings.resamples, settings.bootstrap_seed)
    figures: dict[str, Any] = dict(metrics.scores(true, predicted))
    for drawn, over in ((by_utterance, ""), (by_speaker, "_speakers")):
        for score, values in (("uar", drawn.uar(right)), ("accuracy", drawn.accuracy(right))):
            bounds = bootstrap.percentile_interval(values, settings.confidence)
            for end, bound in zip(("low", "high"), bounds, strict=True):
                figures[f"{score}_{end}{over}"] = None if over and by_speaker.instead else bound
    return figures | {"no_speakers": by_speaker.instead, "n": len(ordered), "speakers": len(set(speakers))}


def heard_by(folders: Iterable[Path]) -> dict[str, Any] | None:
    """What the models of some folders heard in training, all together, as their cards say it; None of no model."""
    cards = [read_json(folder / "model.json")["data"]["heard"] for folder in folders]
    bounds = [bound for heard in cards for bound in heard["intensity"] or ()]
    return {"variants": list(dict.fromkeys(variant for heard in cards for variant in heard["variants"])),
            "noise": sorted({category for heard in cards for category in heard["noise"]}),
            "intensity": [min(bounds), max(bounds)] if bounds else None} if cards else None


def provenance(params: Params, seed: int, variants: Sequence[str],
               declared: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What a report says of the origin of its figures.

    Args:
        params: of the main pipeline.
        seed: of the reproductions.
        variants: that were trained on.
        declared: leaks of each protocol, as sentences.

    Returns:
        Corpora (which are synthetic, which partial, which of the papers' four are missing), preset, variants, seed,
        leaks, bootstrap settings, commit and data.
    """
    corpora = read_json(params.paths.work / "ingest" / "corpora.json")
    layouts = {record.get("layout") for record in corpora.values()}
    return {"corpora": list(corpora), "synthetic": [name for name, record in corpora.items() if record["synthetic"]],
            "partial": [name for name, record in corpora.items() if record.get("expected") and not record["complete"]],
            "missing": [layout for layout in PAPER_CORPORA if layout not in layouts],
            "preset": params.preset, "variants": list(variants), "seed": seed,
            "declared": {protocol: list(words) for protocol, words in declared.items()},
            "resamples": params.evaluate.resamples, "confidence": params.evaluate.confidence,
            "commit": git_commit(), "dirty": git_dirty(), "data_md5": data_md5()}
