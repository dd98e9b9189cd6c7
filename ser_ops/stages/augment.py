"""augment: the training table, and the waveforms of its variants."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np

from ser_ops.augment import quadruplets
from ser_ops.augment.quadruplets import Surroundings
from ser_ops.config.data import Augment
from ser_ops.config.params import Params, load_params
from ser_ops.corpora import partitions
from ser_ops.errors import UserError
from ser_ops.files import replacing
from ser_ops.manifest import UtteranceRow, VariantRow, validated_noise, validated_utterances, write_rows
from ser_ops.noise.mixing import Mixer
from ser_ops.progress.spreading import parallel_map
from ser_ops.shards import ShardEntry, Shards, write_index, write_shard
from ser_ops.stages import run

LEAST_SHARDS = 16  # so that processes end together and the bar moves; the number never depends on cores
AroundByRow = dict[str, Surroundings]
Item = TypeVar("Item")
Purpose = tuple[str, str]   # an utterance, and the partition for which something is made of it


@dataclass(frozen=True)
class AugmentJob:
    """What a process needs to make a shard."""

    work: Path
    target: Path
    settings: Augment
    sample_rate: int


def main() -> None:
    """Write work/augmented: waveforms/ and variants.csv, whole or not at all."""
    params = load_params()
    paper = params.partitions.protocol == "paper"
    write_augmented(params, params.paths.work / "augmented", everything=paper, by_row=paper)


def write_augmented(params: Params, target: Path, everything: bool, by_row: bool) -> None:
    """Variants of the training partition and noisy copies of the validation partition, or variants of every utterance.

    `by_row` draws a partition for each row.
    """
    rows = sorted(validated_utterances(params.paths.work), key=lambda row: row.utterance)
    trained = [(row.utterance, quadruplets.TRAINING) for row in rows
               if everything or row.partition == quadruplets.TRAINING]
    validated = [] if everything else _validated_in_noise(rows, params)
    if not trained:
        raise UserError("augment: no utterance is in the training partition: bring in more speakers, or change the "
                        "shares of section partitions in params.yaml")
    with replacing(target) as folder:
        job = AugmentJob(params.paths.work, folder / "waveforms", params.augment, params.data.sample_rate)
        job.target.mkdir(parents=True)
        around = _waveforms(job, sorted(trained + validated), params.compute.shard_megabytes, params.compute.workers)
        write_rows(folder / "variants.csv", _with_partitions(rows, around, params, by_row), VariantRow)
    copies = len(validated) * params.augment.validation_copies
    print(f"{len(rows)} utterances, {len(around) - copies} variants of {len(trained)} of them, and {copies} noisy "
          f"copies of {len(validated)} validation utterances")


def _validated_in_noise(rows: Sequence[UtteranceRow], params: Params) -> list[Purpose]:
    """The validation utterances, where they are to be heard in noise and there is noise for them; else none."""
    if not params.augment.validation_copies:
        return []
    if all(row.partition != quadruplets.VALIDATION for row in validated_noise(params.paths.work)):
        print("augment: no noise recording is in the validation partition: epochs and trials are chosen on clean "
              "speech; add recordings of more sources with `ser-ops noise add`")
        return []
    return [(row.utterance, row.partition) for row in rows if row.partition == quadruplets.VALIDATION]


def _waveforms(job: AugmentJob, chosen: Sequence[Purpose], megabytes: int, workers: int) -> AroundByRow:
    """Make every variant but the original, shard by shard; returns what is around the voice in each row."""
    originals = Shards(job.work / "ingest" / "waveforms")
    made = {quadruplets.TRAINING: len(job.settings.variants) - 1,
            quadruplets.VALIDATION: job.settings.validation_copies}
    sizes = [4 * originals.shape(utterance)[0] * made[partition] for utterance, partition in chosen]
    limit = min(megabytes * 1_000_000, sum(sizes) // LEAST_SHARDS + 1)
    shards = list(enumerate(split_by_size(chosen, sizes, limit)))
    _open_stores.cache_clear()
    entries: list[ShardEntry] = []
    around: AroundByRow = {}
    for shard_entries, shard_around in parallel_map(partial(_write_shard, job), shards, "augment", workers, "shard"):
        entries += shard_entries
        around |= shard_around
    write_index(job.target, entries)
    return around


def split_by_size(items: Sequence[Item], sizes: Sequence[int], limit: int) -> list[list[Item]]:
    """Consecutive items in groups whose sizes end within the same multiple of `limit`.

    >>> split_by_size(["a", "b", "c", "d"], [3, 3, 3, 3], 6)
    [['a', 'b'], ['c', 'd']]
    """
    ends = np.cumsum(sizes, dtype=np.int64)
    numbers = (ends - 1) // limit
    return [[item for item, _ in group] for _, group in groupby(zip(items, numbers, strict=True), lambda pair: pair[1])]


@lru_cache(maxsize=1)
def _open_stores(job: AugmentJob) -> tuple[Shards, Mixer]:
    """Opened once in each process: an index read for each shard would cost the square of the corpus."""
    mixer = Mixer(Shards(job.work / "ingest" / "noise"), validated_noise(job.work), job.sample_rate,
                  job.settings.level, job.settings.silent_crop_dbfs)
    return Shards(job.work / "ingest" / "waveforms"), mixer


def _write_shard(job: AugmentJob, shard: tuple[int, list[Purpose]]) -> tuple[list[ShardEntry], AroundByRow]:
    """One shard, written as its variants are made, so that only one utterance is held at a time."""
    number, chosen = shard
    originals, mixer = _open_stores(job)
    around: AroundByRow = {}

    def arrays() -> Iterator[tuple[str, np.ndarray]]:
        for utterance, partition in chosen:
            make = (quadruplets.make_validation_copies if partition == quadruplets.VALIDATION
                    else quadruplets.make_variants)
            for variant in make(utterance, originals[utterance], job.settings, mixer):
                if variant.name != "original":
                    row = f"{utterance}#{variant.name}"
                    around[row] = variant.around
                    yield row, variant.samples

    return write_shard(job.target, number, arrays()), around


def _with_partitions(rows: Sequence[UtteranceRow], around: AroundByRow, params: Params,
                     by_row: bool) -> Iterable[VariantRow]:
    """The training table with its partitions, one row at a time unless each row's is drawn among all."""
    variants = _variant_rows(rows, around, params.augment)
    if not by_row:
        return variants
    drawn = list(variants)
    of_row = partitions.assign_variant_partitions(drawn, params.partitions)
    return (replace(row, partition=partition) for row, partition in zip(drawn, of_row, strict=True))


def _variant_rows(rows: Sequence[UtteranceRow], around: AroundByRow, settings: Augment) -> Iterator[VariantRow]:
    """The training table: originals of all partitions, and every variant that was made."""
    for row in rows:
        for variant in (*settings.variants, *quadruplets.copy_names(settings)):
            name = f"{row.utterance}#{variant}"
            if variant == "original" or name in around:
                pace = quadruplets.speed_factor(variant, settings)
                seconds = row.seconds if row.seconds is None or pace == 1 else round(row.seconds / pace, 3)
                yield VariantRow(name, row.utterance, variant, row.partition, row.emotion, row.speaker, row.corpus,
                                 row.synthetic, row.content, seconds, **vars(around.get(name, Surroundings())))


if __name__ == "__main__":
    run(main)
