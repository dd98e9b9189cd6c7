"""features: waveforms of every row in; work/features/<section> with standardisation.json out."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from ser_ops.audio.signal import fit_window
from ser_ops.config.models import Window
from ser_ops.config.params import Params, load_params
from ser_ops.config.services import Compute
from ser_ops.errors import UserError
from ser_ops.features.extractor import Extractor
from ser_ops.features.index_map import shape_of
from ser_ops.features.standardise import Moments, sum_moments
from ser_ops.files import replacing, write_json
from ser_ops.manifest import VariantRow, stream_rows
from ser_ops.model_table import MODELS
from ser_ops.progress.spreading import parallel_map
from ser_ops.shards import ShardEntry, Shards, write_index, write_shard
from ser_ops.stages import run

_BATCH = 16         # rows that fit the cache; a constant, so that bytes do not depend on a setting
_SHARDS = 32        # at least, where there are rows enough: what the processes share out among them


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row to extract: its id, whether it is of the training partition, the store and key of its waveform."""

    row: str
    train: bool
    store: Path
    key: str


@dataclass(frozen=True)
class FeatureShard:
    """What one process does at a time."""

    number: int
    rows: tuple[SourceRow, ...]
    folder: Path
    settings: Window
    sample_rate: int


_store = lru_cache(maxsize=4)(Shards)


def source_rows(ingest: Path, augmented: Path) -> list[SourceRow]:
    """Every row of the training table with the store of its waveform: originals lie where they were ingested.

    Raises UserError when the table is empty or lists a waveform that is not there.
    """
    stores = {True: ingest / "waveforms", False: augmented / "waveforms"}
    rows = []
    for row in stream_rows(augmented / "variants.csv", VariantRow):
        original = row.variant == "original"
        rows.append(SourceRow(row.row, row.partition == "train", stores[original],
                              row.utterance if original else row.row))
    _check_waveforms(rows, augmented / "variants.csv")
    _store.cache_clear()
    return rows


def _check_waveforms(rows: Sequence[SourceRow], table: Path) -> None:
    """Raise UserError when there are no rows, or a row's waveform is missing."""
    if not rows:
        raise UserError(f"{table}: lists no utterance: see what reports/data_validation.json quarantined")
    for store in sorted({row.store for row in rows}):
        keys = Shards(store)
        absent = [row.key for row in rows if row.store == store and row.key not in keys]
        if absent:
            raise UserError(f"{store}: lacks {len(absent)} waveforms that {table} lists ({absent[0]}, ...): run the "
                            "stages ingest and augment again")


def _extract(shard: FeatureShard) -> tuple[list[ShardEntry], Moments]:
    """Write one shard; the entries of its index and the moments of its training rows."""
    torch.set_num_threads(1)
    extractor = Extractor(shard.settings, shard.sample_rate)
    windows, parts = np.empty((_BATCH, extractor.length), np.float32), []

    def arrays() -> Iterator[tuple[str, np.ndarray]]:
        for start in range(0, len(shard.rows), _BATCH):
            rows = shard.rows[start:start + _BATCH]
            for index, row in enumerate(rows):
                windows[index] = fit_window(_store(row.store)[row.key], extractor.length)[0]
            with torch.inference_mode():
                features = extractor(torch.from_numpy(windows[:len(rows)])).numpy()
            if any(row.train for row in rows):
                trained = features if all(row.train for row in rows) else features[[row.train for row in rows]]
                parts.append(Moments.of(trained, shard.settings))
            yield from zip((row.row for row in rows), features, strict=True)

    entries = write_shard(shard.folder, shard.number, arrays())
    return entries, sum_moments(parts, shard.settings)


def extract_features(rows: Sequence[SourceRow], folder: Path, settings: Window, sample_rate: int, compute: Compute,
            ) -> None:
    """Features of all rows as a store in `folder`, with standardisation.json; the same bytes for any worker count."""
    size = 4 * math.prod(shape_of(settings))
    per_shard = max(1, min(compute.shard_megabytes * 2**20 // size, math.ceil(len(rows) / _SHARDS)))
    with replacing(folder) as new:
        new.mkdir()
        shards = [FeatureShard(number, tuple(rows[start:start + per_shard]), new, settings, sample_rate)
                  for number, start in enumerate(range(0, len(rows), per_shard))]
        entries, parts = [], []
        for written, moments in parallel_map(_extract, shards, "features", compute.workers, unit="shard"):
            entries.extend(written)
            parts.append(moments)
        write_json(new / "standardisation.json", sum_moments(parts, settings).standardisation())
        write_index(new, entries)


def extract_all(params: Params, rows: Sequence[SourceRow], models: Sequence[str], target: Path) -> None:
    """What each of the models reads, into a folder of `target` named like its section of the preset."""
    with replacing(target) as new:
        new.mkdir()
        for section in sorted({MODELS[model].reads for model in models}):
            settings = getattr(params.chosen, section)
            extract_features(rows, new / section, settings, params.data.sample_rate, params.compute)
            print(f"extracted {section} of {len(rows)} rows, each {' x '.join(map(str, shape_of(settings)))}")


def main() -> None:
    """Extract what the models that params.yaml names read."""
    params = load_params()
    work = params.paths.work
    rows = source_rows(work / "ingest", work / "augmented")
    extract_all(params, rows, [params.train.model, *params.ablations.models], work / "features")


if __name__ == "__main__":
    run(main)
