"""One training as train, ablate and tune need it: its inputs, its run in MLflow, its state, its model folder."""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ser_ops.config.params import Params
from ser_ops.config.training import Training
from ser_ops.corpora.partitions import protocol_in_force
from ser_ops.dataset.examples import Examples
from ser_ops.device import device_of
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.files import replacing
from ser_ops.manifest import VariantRow, read_variants, validated_manifest
from ser_ops.model_table import MODELS
from ser_ops.models import architectures, base, conformal, model_folder
from ser_ops.models.checkpoint import family, origin
from ser_ops.seeds import derive_seed
from ser_ops.speech.detector import copy_weights
from ser_ops.tracking.licences import sources
from ser_ops.tracking.runs import Run, open_run
from ser_ops.training.checkpoint import fingerprint
from ser_ops.training.history import VALIDATION_UARS, draw_learning_curves, write_history
from ser_ops.training.loop import Result, calibrate, fit, learn_population, probabilities
from ser_ops.training.states import with_backbone_states
from ser_ops.training.world import process_rank


@dataclass(frozen=True)
class TrainingJob:
    """A model to train. `shuffle`: seed by which training labels are shuffled, None for true labels."""

    name: str
    model: str
    settings: Training
    shuffle: int | None = None


def inputs_fingerprint(params: Params, settings: object) -> str:
    """Fingerprint of a training's settings and of all data that it reads."""
    work = params.paths.work
    files = (work / "augmented" / "variants.csv", work / "augmented" / "waveforms" / "index.csv",
             work / "ingest" / "waveforms" / "index.csv", *sorted((work / "features").glob("*/index.csv")),
             *sorted((work / "features").glob("*/standardisation.json")))
    return fingerprint([settings, params.preset, params.chosen.model_dump(mode="json")], files)


def state_folder(params: Params, stage: str, job: TrainingJob) -> Path:
    """The folder from which this training goes on when it was killed; another for other settings or data."""
    settings = asdict(job) | {"settings": job.settings.model_dump()}
    return params.paths.state / stage / inputs_fingerprint(params, settings)


def open_examples(params: Params, model: str, partition: str) -> Examples:
    """The rows of one partition as a model reads them."""
    return Examples.open(params.paths.work, partition, MODELS[model].reads, params.chosen.input_of(model).seconds,
                         params.data.sample_rate)


def fresh_model(params: Params, name: str, seed: int) -> base.EmotionModel:
    """A fresh model of the preset, standardised by the training partition."""
    kept = params.paths.work / "features" / MODELS[name].reads / "standardisation.json"
    return architectures.build(name, params.chosen, read_json(kept), derive_seed(seed, "model"))


def prepare_training(params: Params, name: str, seed: int,
                     device: torch.device) -> tuple[base.EmotionModel, Examples, Examples]:
    """A fresh model, and the rows that train it and that choose among its epochs, as it reads them.

    What a frozen checkpoint makes of them is computed here, once for all trainings of this workspace, and kept.
    """
    model = fresh_model(params, name, seed)
    parts = [open_examples(params, name, partition) for partition in ("train", "validation")]
    train, validation = with_backbone_states(model, parts, params.paths.state / "states", device, params.compute)
    return model, train, validation


def cache_backbone_states(params: Params, names: Iterable[str]) -> None:
    """Compute a frozen checkpoint's states before trainings run side by side, each of which would compute them."""
    for name in sorted(set(names)):
        if MODELS[name].backbone == "wav2vec" and params.chosen.wav2vec.keeps_states:
            prepare_training(params, name, params.train.seed, device_of(params.compute.device))


def settings_record(params: Params, job: TrainingJob) -> dict[str, Any]:
    """What MLflow records of a training's settings: of the preset, the sections that the model is built from."""
    used = {MODELS[job.model].reads, MODELS[job.model].backbone} | (
        {"spectral", "head"} if MODELS[job.model].reads == "features" else set())
    preset = params.chosen.model_dump(mode="json")
    return {"model": job.model, "train": job.settings.model_dump(),
            "preset": {name: values for name, values in preset.items() if name in used},
            "shuffled_labels": job.shuffle is not None}


@contextmanager
def resumable_run(params: Params, name: str, tags: Mapping[str, str], kept: Path,
             parent: str | None = None) -> Iterator[Run]:
    """A run whose id is kept in the file `kept`, so that a killed stage goes on with the same run."""
    resume = read_json(kept)["run_id"] if kept.exists() else None
    with open_run(params, name, tags, parent=parent, resume=resume) as run:
        run.write(kept)
        yield run


def overview_tags(params: Params, stage: str) -> dict[str, str]:
    """Tags of a run that holds others, of several models or trials."""
    return {"stage": stage, "corpus": "+".join(params.data.names), "preset": params.preset,
            "partition": protocol_in_force(params.paths.work, params.partitions.protocol)}


def run_tags(params: Params, job: TrainingJob, stage: str) -> dict[str, str]:
    """Tags by which runs are told apart on MLflow's pages."""
    return overview_tags(params, stage) | {"family": job.model, "backbone": backbone_origin(params, job.model),
                                           "shuffled_labels": str(job.shuffle is not None).lower()}


def backbone_origin(params: Params, model: str) -> str:
    """Where a model's pretrained part comes from: a checkpoint, random weights, or none for a model without."""
    section = MODELS[model].backbone
    return getattr(params.chosen, section).checkpoint or "random weights" if section else "none"


def lacking_checkpoints(params: Params, names: Iterable[str]) -> dict[str, str]:
    """Models whose checkpoint cannot be had here, each with why and what to do; no weights are read."""
    reasons: dict[str, str] = {}
    for section in sorted({MODELS[name].backbone for name in names} - {""}):
        settings = getattr(params.chosen, section)
        if settings.checkpoint is None:
            continue
        try:
            source = origin(settings.checkpoint, settings.revision, section)
        except UserError as error:
            reasons[section] = str(error)
            continue
        if source.absent and not family(settings.checkpoint, source):
            reasons[section] = (
                f"its checkpoint {settings.checkpoint} cannot be had, since {source.absent}: get it where there is a "
                f"network (hf download {settings.checkpoint} --local-dir FOLDER) and set {section}.checkpoint in "
                f"presets/{params.preset}.yaml to that folder, or to null for random weights")
    return {name: reasons[MODELS[name].backbone] for name in names if MODELS[name].backbone in reasons}


def train_model(params: Params, job: TrainingJob, device: torch.device, stage: str, target: Path,
                parent: str | None = None) -> Result:
    """Train a model, record it, and write its folder to `target`, whole or not at all.

    Under torchrun every process calls this; process 0 records and writes.
    """
    state = state_folder(params, stage, job)
    model, train, validation = prepare_training(params, job.model, job.settings.seed, device)
    if job.shuffle is not None:
        train = train.with_shuffled_labels(job.shuffle)
    if process_rank() > 0:
        return fit(model, train, validation, job.settings, device, state / "checkpoint", what=job.name)
    with resumable_run(params, job.name, run_tags(params, job, stage), state / "run.json", parent) as run:
        run.params(settings_record(params, job))
        run.dataset(validated_manifest(params.paths.work), "+".join(params.data.names))
        result = fit(model, train, validation, job.settings, device, state / "checkpoint", run, what=job.name)
        learn_population(model, train, job.settings.batch_size, device)
        temperature = calibrate(model, validation, job.settings.batch_size, device)
        answers = probabilities(model, validation, job.settings.batch_size, device)
        rows = read_variants(params.paths.work / "augmented" / "variants.csv", "train")
        data = data_record(params, params.data.names,
                           protocol_in_force(params.paths.work, params.partitions.protocol), rows)
        write_model_folder(target, params, job, model, result, run, data, {
            "temperature": temperature, "conformal_scores": conformal.scores(validation.labels, answers)})
        run.metrics(result.kept.kept_metrics() | {"temperature": temperature})
        run.artifact(target / "curves.png", "figures")
        run.artifact(target / "history.csv")
    return result


def write_model_folder(target: Path, params: Params, job: TrainingJob, model: base.EmotionModel, result: Result,
                 run: Run, data: Mapping[str, Any], calibration: Mapping[str, Any] | None = None) -> None:
    """Write the model folder: weights.safetensors, speech.safetensors, model.json, history.csv, curves.png, run.json.

    calibration: what model.json says of it: the temperature by which the logits were divided after training, and the
    scores of validation's answers, clean and noisy, by which sets are promised (`ser_ops.models.conformal`).
    """
    card = {"preset": params.preset, "training": job.settings.model_dump(),
            "shuffled_labels": job.shuffle is not None, "best_epoch": result.best_epoch,
            **{name: getattr(result.kept, name) for name in VALIDATION_UARS}, **(calibration or {}),
            "predict": params.predict.model_dump(exclude={"batch_size"}), "data": dict(data)}
    with replacing(target) as folder:
        folder.mkdir()
        card["speech_sha256"] = copy_weights(folder)
        model_folder.save(folder, model, card)
        write_history(folder / "history.csv", result.history)
        draw_learning_curves(result.history, folder / "curves.png", f"{job.name}, preset {params.preset}",
                             result.best_epoch)
        run.write(folder / "run.json")


def data_record(params: Params, corpora: Sequence[str], protocol: str, rows: Sequence[VariantRow]) -> dict[str, Any]:
    """The model card's record of its training data.

    Corpora, synthetic and partial ones, licences, what training heard, protocol, size.
    """
    summaries = {name: summary for name, summary in read_json(params.paths.work / "ingest" / "corpora.json").items()
                 if name in corpora}
    return {"corpora": list(summaries),
            "synthetic": [name for name, summary in summaries.items() if summary["synthetic"]],
            "partial": [name for name, summary in summaries.items()
                        if summary.get("expected") and not summary["complete"]],
            "licences": {source.name: source.licence for source in sources(params, list(summaries))},
            "heard": _heard(rows), "protocol": protocol, "train_rows": len(rows),
            "train_speakers": len({row.speaker for row in rows})}


def _heard(rows: Sequence[VariantRow]) -> dict[str, Any]:
    """What training heard: kinds of variants, categories of noise, and the least and the greatest intensity."""
    intensities = [row.intensity for row in rows if row.in_noise and row.intensity is not None]
    return {"variants": list(dict.fromkeys(row.variant for row in rows)),
            "noise": sorted({row.noise_category for row in rows if row.in_noise}),
            "intensity": [min(intensities), max(intensities)] if intensities else None}


def remove_state(state: Path) -> None:
    """Remove the state of a training that is finished."""
    shutil.rmtree(state, ignore_errors=True)
