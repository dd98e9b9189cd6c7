"""States of a frozen checkpoint for every row: the same in each epoch, so computed once, kept and read."""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import distributed

from ser_ops.config.models import Features, Wav2Vec
from ser_ops.config.section import SETTINGS_FILES
from ser_ops.config.services import Compute
from ser_ops.dataset.examples import Examples, ordered_batches
from ser_ops.errors import UserError
from ser_ops.models.architectures import speech_backbone
from ser_ops.models.base import EmotionModel
from ser_ops.models.wav2vec_backbone import Backbone
from ser_ops.progress.spreading import parallel_map
from ser_ops.shards import HALF, ShardEntry, Shards, shard_file, write_index, write_shard
from ser_ops.training.checkpoint import fingerprint
from ser_ops.training.world import process_rank, world_size

_BATCH = 8          # rows; fits a CPU's cache, and is a constant so that bytes do not depend on a setting
_SHARDS = 32        # at least, where there are enough rows, to divide among the processes
_read_backbone = lru_cache(maxsize=1)(speech_backbone)


@dataclass(frozen=True)
class _Shard:
    """The rows whose states one process computes at a time, and by which checkpoint."""

    number: int
    examples: Examples
    folder: Path
    settings: Wav2Vec
    features: Features
    device: str


def with_backbone_states(model: EmotionModel, parts: Sequence[Examples], folder: Path, device: torch.device,
                         compute: Compute) -> list[Examples]:
    """The examples with `backbone_states` in place of waveforms, or as they are where none are kept."""
    states = backbone_states(model, parts, folder, device, compute)
    return list(parts) if states is None else [part.with_states(states) for part in parts]


def backbone_states(model: EmotionModel, parts: Sequence[Examples], folder: Path, device: torch.device,
                    compute: Compute) -> Shards | None:
    """The states of the model's backbone for each row; None unless it is a frozen checkpoint and its states are kept.

    `wav2vec.cache_states` says whether they are. States lie in `folder` as float16, under a fingerprint of the
    checkpoint's weights, how it is fed, and the waveforms; those that are there are not computed again, and a killed
    computation goes on. Under torchrun each process computes its share. Raises UserError when the disk is full, or for
    states beyond the range of float16.
    """
    network = getattr(model, "backbone", None)
    if not model.preset.wav2vec.keeps_states or not isinstance(network, Backbone):
        return None
    store = folder / _mark(network, parts, compute)
    if not (store / "index.csv").exists():
        _compute_states(store, network, model, parts, device, compute)
    return Shards(store)


def _mark(network: Backbone, parts: Sequence[Examples], compute: Compute) -> str:
    fed = {name: getattr(network.config, name)
           for name in ("model_type", "input_gain", "input_normalised", "input_masked", "input_levelled")}
    rows = [[row.row for row in part.rows] for part in parts]
    waveforms = {store.folder for part in parts for store in (part.stores.originals, part.stores.variants)
                 if isinstance(store, Shards)}
    files = sorted(file for folder in waveforms for file in folder.iterdir() if file.is_file())
    settings = [fed, network.kept_shape(1)[0], parts[0].length, rows, compute.shard_megabytes]
    return fingerprint(settings, files, network.network.state_dict())


def _compute_states(store: Path, network: Backbone, model: EmotionModel, parts: Sequence[Examples],
                    device: torch.device, compute: Compute) -> None:
    shapes = [[network.kept_shape(frames) for frames in network.frames(torch.from_numpy(part.valid)).tolist()]
              for part in parts]
    rows = sum(map(len, parts))
    megabytes = sum(map(math.prod, chain.from_iterable(shapes))) * 2 / 2**20
    per_shard = max(1, min(int(compute.shard_megabytes * rows / megabytes), -(-rows // _SHARDS)))
    shards: list[_Shard] = []
    entries: list[ShardEntry] = []
    for part, of_part in zip(parts, shapes, strict=True):
        for indices in ordered_batches(len(part), per_shard):
            shard = _Shard(len(shards), part.subset(indices), store, model.preset.wav2vec, model.preset.features,
                           str(device))
            shards.append(shard)
            entries += _entries(shard, [of_part[index] for index in indices])
    # Divided among the processes before looking, since which files exist changes while the others work.
    own = shards[process_rank()::world_size()]
    missing = [shard for shard in own if not shard_file(store, shard.number, HALF).exists()]
    alone = device.type == "cuda" or world_size() > 1
    if process_rank() == 0:
        print(f"states of {rows} rows by {model.preset.wav2vec.checkpoint}, {megabytes:.0f} MB, into {store}",
              file=sys.stderr, flush=True)
    for _ in parallel_map(_write, missing, "states", 1 if alone else compute.workers, unit="shard"):
        pass
    _read_backbone.cache_clear()
    if world_size() > 1:
        distributed.barrier()
    if process_rank() == 0:
        write_index(store, entries)
    if world_size() > 1:
        distributed.barrier()


def _entries(shard: _Shard, shapes: Sequence[tuple[int, int, int]]) -> list[ShardEntry]:
    starts = np.cumsum([0, *map(np.prod, shapes)])
    return [ShardEntry(row.row, shard.number, int(start), shape)
            for row, start, shape in zip(shard.examples.rows, starts, shapes, strict=False)]


def _write(shard: _Shard) -> None:
    write_shard(shard.folder, shard.number, _states(shard), HALF)


def _states(shard: _Shard) -> Iterator[tuple[str, np.ndarray]]:
    """Rows and their states, float16 (layers, frames, hidden), computed by the checkpoint itself in float32."""
    device = torch.device(shard.device)
    network = _read_backbone(shard.settings, shard.features).to(device).eval()
    for indices in ordered_batches(len(shard.examples), _BATCH):
        batch = shard.examples.batch(indices).to(device)
        with torch.inference_mode():
            states = network.states(batch.waveform, batch.valid).half().cpu()
        if not torch.isfinite(states).all():
            raise UserError(f"{shard.settings.checkpoint}: its states exceed what float16 holds (65,504): set "
                            f"wav2vec.cache_states to false in {SETTINGS_FILES}")
        for row, values, frames in zip(batch.rows, states, network.frames(batch.valid).tolist(), strict=True):
            yield row.row, values[:, :network.kept_shape(frames)[1]].numpy()
