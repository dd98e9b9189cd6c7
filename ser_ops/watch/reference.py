"""The reference of a model: labelled records of validation and test clips, clean and in noise, that travel with it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ser_ops.config.services import Watch
from ser_ops.emotions import class_index
from ser_ops.errors import UserError
from ser_ops.evaluation.predictions import CLEAN, Condition
from ser_ops.files import replacing
from ser_ops.inference.recogniser import Recogniser
from ser_ops.manifest import VariantRow
from ser_ops.noise.mixing import NOISE_COLOURS, Mixer
from ser_ops.progress.spreading import progress_bar
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


def heard_clips(recogniser: Recogniser, model: str, rows: Sequence[VariantRow], waveforms: Mapping[str, np.ndarray],
                mixer: Mixer, grid: Sequence[Condition], settings: Watch) -> list[dict[str, Any]]:
    """Labelled records of clips: each clean, and in `settings.mixtures` conditions of the noise grid.

    Conditions are drawn by a clip's name. Their ids and times only count them.

    Args:
        recogniser: The model as it is served.
        model: Its fingerprint.
        rows: Utterances of partitions that did not train it, as they were recorded.
        waveforms: By utterance, cleaned, at the model's sample rate.
        mixer: Of noise recordings; each clip gets those of its own partition.
        grid: Conditions to draw from.
        settings: Section watch.
    """
    numbers = {speaker: number for number, speaker in enumerate(sorted({row.speaker for row in rows}))}
    records = list[dict[str, Any]]()
    for clip, row in enumerate(progress_bar(rows, "reference", len(rows), "clip")):
        speech = waveforms[row.utterance]
        own = [condition for condition in grid if _is_heard(condition, mixer, row.partition)]
        drawn = generator(settings.seed, "reference", row.utterance).permutation(len(own))[:settings.mixtures]
        for condition in (CLEAN, *(own[index] for index in drawn)):
            samples, snr = speech, float("nan")
            if not condition.clean:
                mixture = mixer(row.utterance, speech, condition.noise, condition.intensity, condition.seed or 0,
                                row.partition)
                samples, snr = mixture.samples, mixture.snr_db
            answer = recogniser.answer(samples, recogniser.sample_rate, row.utterance, cleaned=True)
            records.append(record_of(answer, model) | {
                "id": str(len(records)), "time": len(records), "emotion": row.emotion, "true_snr_db": snr,
                "clip": clip, "speaker": numbers[row.speaker], "condition": condition.cell})
    return records


def _is_heard(condition: Condition, mixer: Mixer, partition: str) -> bool:
    return condition.noise in (*NOISE_COLOURS, *mixer.categories(partition))


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
        raise UserError(f"{path}: is missing: the model was registered without a reference; evaluate and register it "
                        "again, or name one with --reference") from None
    except (pyarrow.ArrowException, KeyError, ValueError, OSError) as error:
        raise UserError(f"{path}: holds no labelled records ({str(error).splitlines()[0]}): evaluate the model "
                        "again") from error
    clips, speakers = (table[name].to_numpy().astype(np.int64) for name in ("clip", "speaker"))
    return Reference(records, true, clips, speakers, np.asarray(table["condition"].to_pylist(), str),
                     table["true_snr_db"].to_numpy())
