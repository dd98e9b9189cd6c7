"""The reference of a model: labelled records of validation and test clips, clean and in noise, that travel with it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops.config.model_json import fingerprint, recorded_as
from ser_ops.config.services import Predict, Watch
from ser_ops.emotions import class_index
from ser_ops.errors import UserError
from ser_ops.evaluation.predictions import CLEAN, Condition
from ser_ops.evaluation.robustness import EvaluationJob, open_stores
from ser_ops.files import replacing
from ser_ops.inference.recogniser import Recogniser
from ser_ops.manifest import VariantRow
from ser_ops.noise.mixing import NOISE_COLOURS, Mixer
from ser_ops.progress.spreading import parallel_map
from ser_ops.seeds import generator
from ser_ops.watch.records import Records, record_of, records_of, table_of

_LABELS = ("emotion", "clip", "speaker", "condition", "true_snr_db")


@dataclass(frozen=True)
class Reference:
    """Labelled records.

    true: class indices (n,); clips, speakers: a number for each, int64 (n,), no name; conditions: cells of the noise
    grid, str (n,); snr_db: of the mixtures as they were made, (n,), NaN where clean.
    """

    records: Records
    true: np.ndarray
    clips: np.ndarray
    speakers: np.ndarray
    conditions: np.ndarray
    snr_db: np.ndarray

    def __len__(self) -> int:
        return len(self.records)

    def of(self, chosen: np.ndarray) -> "Reference":
        """Those of a mask or of indices."""
        return Reference(self.records.of(chosen), self.true[chosen], self.clips[chosen], self.speakers[chosen],
                         self.conditions[chosen], self.snr_db[chosen])

    def one_of_each_clip(self, seed: int) -> Records:
        """Of each clip the record of one condition, drawn: a clip in three conditions is no evidence of three clips."""
        order = generator(seed, "one of each clip").permutation(len(self))
        return self.records.of(np.sort(order[np.unique(self.clips[order], return_index=True)[1]]))


def heard_clips(job: EvaluationJob, rows: Sequence[VariantRow], grid: Sequence[Condition], predict: Predict,
                settings: Watch, workers: int) -> list[dict[str, Any]]:
    """Labelled records of clips: each clean, and in `settings.mixtures` conditions of the noise grid.

    Conditions are drawn by a clip's name. Ids and times of records only count them.

    Args:
        job: The stores, the device, and the model, which comes first of its models.
        rows: Utterances of partitions that did not train it, as they were recorded.
        grid: Conditions to draw from; each clip gets noise recordings of its own partition.
        predict: How the model is served.
        settings: Section watch.
        workers: Processes, 0 for one per core. A GPU is one worker.
    """
    from ser_ops.device import device_of
    if device_of(job.device).type != "cpu":
        workers = 1
    numbers = {speaker: number for number, speaker in enumerate(sorted({row.speaker for row in rows}))}
    hear = partial(_heard_clip, replace(job, utterances=()), tuple(grid), predict, settings)
    records = [record | {"clip": clip, "speaker": numbers[row.speaker]}
               for clip, (row, heard) in enumerate(zip(rows, parallel_map(hear, rows, "reference", workers, "clip"),
                                                       strict=True)) for record in heard]
    _open.cache_clear()
    return [record | {"id": str(number), "time": number} for number, record in enumerate(records)]


def _heard_clip(job: EvaluationJob, grid: Sequence[Condition], predict: Predict, settings: Watch,
                row: VariantRow) -> list[dict[str, Any]]:
    """The records of one clip, under each of its conditions."""
    recogniser, model, waveforms, mixer = _open(job, predict)
    speech, records = waveforms[row.utterance], list[dict[str, Any]]()
    own = [condition for condition in grid if condition.noise in (*NOISE_COLOURS, *mixer.categories(row.partition))]
    drawn = generator(settings.seed, "reference", row.utterance).permutation(len(own))[:settings.mixtures]
    for condition in (CLEAN, *(own[index] for index in drawn)):
        samples, snr = speech, float("nan")
        if not condition.clean:
            mixture = mixer(row.utterance, speech, condition.noise, condition.intensity, condition.seed or 0,
                            row.partition)
            samples, snr = mixture.samples, mixture.snr_db
        answer = recogniser.answer(samples, recogniser.sample_rate, row.utterance, cleaned=True)
        records.append(record_of(answer, model) | {
            "emotion": row.emotion, "true_snr_db": snr, "condition": condition.cell})
    return records


@lru_cache(maxsize=1)
def _open(job: EvaluationJob, predict: Predict) -> tuple[Recogniser, str, Mapping[str, np.ndarray], Mixer]:
    """The first model of a job as it is served, its name in records, waveforms and mixer; loaded once a process."""
    folder = job.models[0][1]
    recogniser = Recogniser(folder, job.device, predict=predict, embeddings=True)
    return recogniser, recorded_as(recogniser.card, fingerprint(folder)), *open_stores(job)


def write_reference(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write labelled records, whole or not at all."""
    import pyarrow
    import pyarrow.parquet
    rows = list(records)
    table = table_of(rows)
    for name, kind in zip(_LABELS, (pyarrow.string(), pyarrow.int32(), pyarrow.int32(), pyarrow.string(),
                                      pyarrow.float32()), strict=True):
        table = table.append_column(name, pyarrow.array([row[name] for row in rows], kind))
    with replacing(path) as temporary:
        pyarrow.parquet.write_table(table, temporary, compression="zstd")


def read_reference(path: Path) -> Reference:
    """Labelled records. Raises UserError where the file is missing or holds none."""
    import pyarrow
    import pyarrow.parquet
    try:
        table = pyarrow.parquet.read_table(path).sort_by([("time", "ascending"), ("id", "ascending")])
        records = records_of(table)
        true = np.array([class_index(emotion) for emotion in table["emotion"].to_pylist()])
    except FileNotFoundError:
        raise UserError(f"{path}: is missing: name labelled records of the model with --reference, or evaluate it (dvc "
                        "repro evaluate) and register it again, which packs them") from None
    except (pyarrow.ArrowException, KeyError, ValueError, OSError) as error:
        raise UserError(f"{path}: holds no labelled records ({str(error).splitlines()[0]}): evaluate the model "
                        "again") from error
    clips, speakers = (table[name].to_numpy().astype(np.int64) for name in ("clip", "speaker"))
    return Reference(records, true, clips, speakers, np.asarray(table["condition"].to_pylist(), str),
                     table["true_snr_db"].to_numpy())
