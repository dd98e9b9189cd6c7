"""What reports of the reproductions say of where their figures come from, and scores with their intervals.

One training of a reproduction: its partitions, its run, its answers; many of them side by side, each only once.
"""

import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ser_ops.config.params import Params
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
from ser_ops.manifest import VariantRow, read_rows, validated_noise, validated_utterances
from ser_ops.model_table import MODELS
from ser_ops.models import architectures, base
from ser_ops.seeds import derive_seed
from ser_ops.stages.training_run import TrainingJob, data_record, remove_state, resumable_run, settings_record, run_tags, write_model_folder
from ser_ops.tables import write_csv
from ser_ops.tracking.runs import Run, data_md5, git_commit, git_dirty
from ser_ops.training.checkpoint import fingerprint
from ser_ops.training.loop import fit, probabilities
from ser_ops.training.tuning import training_with
from ser_ops.training.world import process_map, trainings_at_once

ANSWERS = ("row", "utterance", "variant", "corpus", "speaker", "emotion", "predicted",
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
        protocol: partition protocol: speaker, random or paper.
        variants: of each utterance, as in variants.csv.
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
    variants: tuple[str, ...]
    fold: int | None = None
    folds: int | None = None
    apart: bool = False


@dataclass(frozen=True)
class Stage:
    """The stage that experiments belong to: its name, and the state of all of them."""

    name: str
    states: tuple[Path, ...]


def folder(params: Params) -> Path:
    """Where the stages of reproduction/dvc.yaml keep what they make."""
    return params.paths.work / "papers"


def settings_of(params: Params, seed: int, overrides: Mapping[str, Any], *key: object) -> Training:
    """Section train with settings laid over it, and a seed that the reproductions' seed and the key decide."""
    own = training_with(params.train.training(), dict(overrides))
    return own.model_copy(update={"seed": derive_seed(seed, "training", *key) % 2**31})


def divided(params: Params, experiment: Experiment) -> tuple[list[VariantRow], list[str]]:
    """The rows of work/papers/augmented that an experiment uses, with its partitions, and the leaks that it declares.

    Validation and test hold unaltered utterances alone, except under the protocol paper, which divides augmented rows.
    Raises UserError for a leak that the protocol does not declare.
    """
    work = params.paths.work
    settings = params.partitions.model_copy(update={"protocol": experiment.protocol})
    spoken = [row for row in validated_utterances(work) if row.corpus in experiment.corpora]
    rows = [row for row in read_rows(folder(params) / "augmented" / "variants.csv", VariantRow)
            if row.corpus in experiment.corpora and row.variant in experiment.variants]
    alone = partitions.group_rows(spoken, "corpus") if experiment.apart else {"all": spoken}
    spoken = [row for own in alone.values() for row in own]
    if experiment.fold is None or experiment.folds is None:
        places = [place for own in alone.values() for place in partitions.assign_partitions(own, settings)]
    else:
        places = assign_fold(spoken, settings, experiment.folds, experiment.fold)
    place_of = {row.utterance: place for row, place in zip(spoken, places, strict=True)}
    spoken = [replace(row, partition=place_of[row.utterance]) for row in spoken]
    if experiment.protocol == "paper":
        by_row = partitions.assign_variant_partitions(rows, settings)
        rows = [replace(row, partition=partition) for row, partition in zip(rows, by_row, strict=True)]
    else:
        rows = [replace(row, partition=place_of[row.utterance]) for row in rows
                if row.variant == "original" or place_of[row.utterance] == "train"]
    noise, declared = validated_noise(work), []
    for corpora in (experiment.corpora,) if not experiment.apart else ((one,) for one in experiment.corpora):
        report = leaks.audit_leaks([row for row in spoken if row.corpus in corpora], noise, experiment.protocol,
                                   [row for row in rows if row.corpus in corpora])
        if stopping := leaks.undeclared_leaks(report):
            raise UserError(f"{experiment.name}: leak: {stopping[0]}: take the recording out or mend its labels, and "
                            "run again")
        declared += report["declared"]
    return rows, declared


def examples(params: Params, experiment: Experiment, rows: Sequence[VariantRow], partition: str) -> Examples:
    """The rows of one partition as the experiment's model reads them. Raises UserError when there are none."""
    chosen = [row for row in rows if row.partition == partition]
    if not chosen:
        raise UserError(f"{experiment.name}: no utterance is in the {partition} partition: bring in more speakers, or "
                        "change the shares of section partitions in params.yaml")
    stores = Stores.open(params.paths.work / "ingest" / "waveforms", folder(params), MODELS[experiment.model].reads)
    seconds = params.chosen.input_of(experiment.model).seconds
    return Examples(chosen, stores, round(seconds * params.data.sample_rate))


def standardisation(train: Examples, params: Params, model: str) -> dict[str, list[float]]:
    """Mean and deviation of each channel over the training rows of this experiment."""
    settings = params.chosen.input_of(model)
    parts = [Moments.of(np.stack([train.stores.features[train.rows[place].row] for place in places]), settings)
             for places in ordered_batches(len(train), 64)]
    return sum_moments(parts, settings).standardisation()


def answers(model: base.EmotionModel, tests: Examples, device: torch.device, batch_size: int) -> np.ndarray:
    """Probabilities, float64 (rows, 7), of unbatched test rows in their order."""
    return probabilities(model, tests, batch_size, device).round(DIGITS)


def scores(tests: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """Accuracy, precision, recall, F1 and UAR of rows of test.csv."""
    true, predicted = (np.array([EMOTIONS.index(row[name]) for row in tests]) for name in ("emotion", "predicted"))
    return metrics.scores(true, predicted)


def _state(params: Params, stage: str, experiment: Experiment) -> Path:
    made = folder(params)
    files = [made / "augmented" / "variants.csv", made / "augmented" / "waveforms" / "index.csv",
             made / "features" / MODELS[experiment.model].reads / "index.csv",
             made / "features" / MODELS[experiment.model].reads / "standardisation.json",
             params.paths.work / "validated" / "manifest.csv"]
    settings = [asdict(experiment) | {"settings": experiment.settings.model_dump()}, params.partitions.model_dump(),
                params.preset, params.chosen.model_dump(mode="json")]
    return params.paths.state / stage / fingerprint(json.loads(json.dumps(settings, default=str)), files)


def _train(params: Params, stage: Stage, began: float, job: tuple[Experiment, str]) -> Path:
    """Train, test and record one experiment unless that is done already; the folder of its results."""
    experiment, parent = job
    state = _state(params, stage.name, experiment)
    done = state / "done"
    if not done.exists():
        rows, declared = divided(params, experiment)
        _measure(params, stage, experiment, parent, rows, declared, state)
        _say(stage, experiment, began, read_json(done / "result.json"))
    return done


def _measure(params: Params, stage: Stage, experiment: Experiment, parent: str, rows: Sequence[VariantRow],
             declared: Sequence[str], state: Path) -> None:
    device = device_of(params.compute.device)
    parts = {name: examples(params, experiment, rows, name) for name in ("train", "validation", "test")}
    model = architectures.build(
        experiment.model, params.chosen, standardisation(parts["train"], params, experiment.model),
        derive_seed(experiment.settings.seed, "model"))
    job = TrainingJob(experiment.name, experiment.model, experiment.settings)
    tags = run_tags(params, job, stage.name) | {
        "corpus": "+".join(experiment.corpora), "partition": experiment.protocol,
        "fold": "" if experiment.fold is None else str(experiment.fold)}
    began = time.monotonic()
    with resumable_run(params, experiment.name, tags, state / "run.json", parent) as run:
        run.params(settings_record(params, job) | {"variants": list(experiment.variants)})
        result = fit(model, parts["train"], parts["validation"], experiment.settings, device, state / "checkpoint", run,
                     what=experiment.name, quiet=True)
        seconds = time.monotonic() - began
        tests = list(_answered(parts["test"], answers(model, parts["test"], device, params.evaluate.batch_size)))
        clean = scores([row for row in tests if row["variant"] == "original"])
        data = data_record(params, experiment.corpora, experiment.protocol, parts["train"].rows)
        figures = {"best_epoch": result.best_epoch, "validation_uar": result.validation_uar,
                   "epochs": len(result.history), "tested": {
                       "utterances": len(tests), "speakers": len({row["speaker"] for row in tests})},
                   "seconds": round(seconds, 1), "train_rows": len(parts["train"]),
                   "validation_rows": len(parts["validation"]), "parameters": architectures.count(model)}
        with replacing(state / "written") as made:
            write_model_folder(made, params, job, model, result, run, data)
            write_csv(made / "test.csv", tests, ANSWERS)
            write_json(made / "result.json", {"run_id": run.id, "declared": list(declared), **figures, "clean": clean})
        run.metrics({f"clean/{name}": value for name, value in clean.items()} | {
            "best/epoch": result.best_epoch, "best/validation_uar": result.validation_uar,
            "parameters_millions": round(architectures.count(model) / 1e6, 4)})
        run.artifact(state / "written" / "test.csv", "evaluation")
    (state / "written").rename(state / "done")      # once its run has ended too


def _answered(tests: Examples, probabilities: np.ndarray) -> Iterator[dict[str, str]]:
    for row, chances in zip(tests.rows, probabilities, strict=True):
        yield {"row": row.row, "utterance": row.utterance, "variant": row.variant, "corpus": row.corpus,
               "speaker": row.speaker, "emotion": row.emotion, "predicted": EMOTIONS[int(chances.argmax())],
               **{f"p_{emotion}": f"{chance:.{DIGITS}f}" for emotion, chance in zip(EMOTIONS, chances, strict=True)}}


def _say(stage: Stage, experiment: Experiment, began: float, result: Mapping[str, Any]) -> None:
    finished = [file.stat().st_mtime for one in stage.states if (file := one / "done" / "result.json").exists()]
    new = sum(at >= began for at in finished) or 1
    left = (time.time() - began) / new * (len(stage.states) - len(finished))
    print(f"{stage.name}: {len(finished)} of {len(stage.states)}: {experiment.name}: test UAR "
          f"{result['clean']['uar']:.3f}, validation {result['validation_uar']:.3f} at epoch {result['best_epoch']} of "
          f"{result['epochs']}, {result['seconds']:.0f} s; about {left / 60:.0f} min left", file=sys.stderr, flush=True)


@contextmanager
def results(params: Params, name: str, experiments: Sequence[Experiment],
            tags: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[list[Path], dict[str, Run]]]:
    """Train all experiments, as many side by side as there are cores or GPUs; those that are done are not done again.

    tags: of each group's run. Yields the folder of each one's results (a model folder with test.csv and result.json),
    in their order, and the open run of each group. When the block ends well, what let a killed stage go on is removed.
    """
    _check(params, experiments)
    states = tuple(_state(params, name, one) for one in experiments)
    stage, state = Stage(name, states), params.paths.state / name
    groups = list(dict.fromkeys(one.group for one in experiments))
    mark = fingerprint([one.name for one in states])
    with ExitStack() as stack:
        runs = {group: stack.enter_context(resumable_run(
            params, group, tags[group], state / mark / f"{fingerprint([group])}.json")) for group in groups}
        workers = min(trainings_at_once(params.compute.workers, device_of(params.compute.device)), len(experiments))
        with process_map(workers) as spread:
            folders = spread(partial(_train, params, stage, time.time()),
                             [(one, runs[one.group].id) for one in experiments])
        yield folders, runs
    for finished in (*states, state / mark):
        remove_state(finished)


def _check(params: Params, experiments: Sequence[Experiment]) -> None:
    """Before any of them trains: that each one's partitions hold something. Raises UserError for one that does not."""
    for one in {(each.corpora, each.protocol, each.fold, each.apart, each.variants): each
                for each in experiments}.values():
        rows, _ = divided(params, one)
        for partition in ("train", "validation", "test"):
            if all(row.partition != partition for row in rows):
                raise UserError(f"{one.name}: no utterance is in the {partition} partition: " + (
                    "bring in more speakers, or change the shares of section partitions in params.yaml"
                    if one.fold is None else f"lower folds.count of reproduction/params.yaml, now {one.folds}, to the "
                    "number of speakers"))


def keep(source: Path, target: Path) -> None:
    """Copy a model folder with its answers."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target)


def provenance(params: Params, seed: int, variants: Sequence[str],
               declared: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Corpora (synthetic, partial, missing of the papers' four), preset, seed, variants, commit and declared leaks."""
    found = read_json(params.paths.work / "ingest" / "corpora.json")
    there = {one.get("layout") for one in found.values()}
    return {"corpora": list(found), "synthetic": [name for name, one in found.items() if one["synthetic"]],
            "partial": [name for name, one in found.items() if one.get("expected") and not one["complete"]],
            "missing": [layout for layout in PAPER_CORPORA if layout not in there],
            "preset": params.preset, "variants": list(variants), "seed": seed,
            "declared": {protocol: list(words) for protocol, words in declared.items()},
            "resamples": params.evaluate.resamples, "confidence": params.evaluate.confidence,
            "commit": git_commit(), "dirty": git_dirty(), "data_md5": data_md5()}


def with_intervals(params: Params, tests: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Scores of answered rows: with intervals over utterances, of UAR over speakers too, and how many there are."""
    ordered = sorted(tests, key=lambda row: row["row"])
    true, predicted = (np.array([EMOTIONS.index(row[name]) for row in ordered]) for name in ("emotion", "predicted"))
    right, settings = (true == predicted).astype(float), params.evaluate
    speakers = [row["speaker"] for row in ordered]
    by_utterance = bootstrap.resample_utterances(true, settings.resamples, settings.bootstrap_seed)
    by_speaker = bootstrap.resample_speakers(true, speakers, settings.resamples, settings.bootstrap_seed)
    found: dict[str, Any] = dict(metrics.scores(true, predicted))
    for name, values in (("uar", by_utterance.uar(right)), ("accuracy", by_utterance.accuracy(right)),
                         ("uar_speakers", by_speaker.uar(right))):
        score, _, over = name.partition("_")
        for end, bound in zip(("low", "high"), bootstrap.interval(values, settings.confidence), strict=True):
            found["_".join(filter(None, (score, end, over)))] = bound
    return found | {"n": len(ordered), "speakers": len(set(speakers))}
