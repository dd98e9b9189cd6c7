"""What a frozen checkpoint makes of every row: the same in each epoch, so computed once and read from then on."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import distributed

from ser_ops.config import Compute, Features, Wav2Vec
from ser_ops.dataset.examples import Examples, in_order
from ser_ops.errors import UserError
from ser_ops.models.base import EmotionModel
from ser_ops.models.wav2vec_backbone import Backbone, backbone
from ser_ops.progress.spreading import spread
from ser_ops.shards import HALF, Entry, Shards, shard_file, write_index, write_shard
from ser_ops.training.checkpoint import fingerprint
from ser_ops.training.world import rank, size

_BATCH = 8          # what a CPU's cache takes; a constant, so that bytes do not depend on a setting
_SHARDS = 32        # at least, where there are rows enough: what the processes share out among them
_read = lru_cache(maxsize=1)(backbone)


@dataclass(frozen=True)
class _Part:
    """What one process computes at a time, and the checkpoint by which."""

    number: int
    examples: Examples
    folder: Path
    settings: Wav2Vec
    features: Features
    device: str


def with_states(model: EmotionModel, parts: Sequence[Examples], folder: Path, device: torch.device,
                compute: Compute) -> list[Examples]:
    """The examples with the states of the model's backbone in the place of waveforms, or as they are.

    That is where the backbone is a frozen checkpoint and `wav2vec.cache_states` is true. States lie in `folder` as
    float16, under a fingerprint of the checkpoint's weights, how it is fed, and the waveforms; those that are there
    are not computed again, and a killed computation goes on. Under torchrun each process computes its share.
    Raises UserError when the disk is full, or for states beyond the range of float16.
    """
    own = getattr(model, "backbone", None)
    if not model.preset.wav2vec.keeps_states or not isinstance(own, Backbone):
        return list(parts)
    store = folder / _mark(own, parts, compute)
    if not (store / "index.csv").exists():
        _fill(store, own, model, parts, device, compute)
    states = Shards(store)
    return [one.with_states(states) for one in parts]


def _mark(own: Backbone, parts: Sequence[Examples], compute: Compute) -> str:
    fed = {name: getattr(own.config, name)
           for name in ("model_type", "input_gain", "input_normalised", "input_masked", "input_levelled")}
    rows = [[row.row for row in one.rows] for one in parts]
    waveforms = {store.folder for one in parts for store in (one.stores.originals, one.stores.variants)
                 if isinstance(store, Shards)}
    files = sorted(file for one in waveforms for file in one.iterdir() if file.is_file())
    settings = [fed, own.layer_sum is None, parts[0].length, rows, compute.shard_megabytes]
    return fingerprint(settings, files, own.network.state_dict())


def _fill(store: Path, own: Backbone, model: EmotionModel, parts: Sequence[Examples], device: torch.device,
          compute: Compute) -> None:
    layers = 1 if own.layer_sum is None else own.config.num_hidden_layers + 1
    frames = [own.frames(torch.from_numpy(one.valid)).tolist() for one in parts]
    shapes = [(layers, number, own.hidden) for numbers in frames for number in numbers]
    rows = sum(map(len, parts))
    megabytes = sum(map(np.prod, shapes)) * 2 / 2**20
    per_shard = max(1, min(int(compute.shard_megabytes * rows / megabytes), -(-rows // _SHARDS)))
    shards: list[_Part] = []
    entries: list[Entry] = []
    for one, numbers in zip(parts, frames, strict=True):
        for places in in_order(len(one), per_shard):
            part = _Part(len(shards), one.of(places), store, model.preset.wav2vec, model.preset.features, str(device))
            shards.append(part)
            entries += _entries(part, [(layers, numbers[place], own.hidden) for place in places])
    # Shared out before looking: which are there changes while the other processes work.
    left = [part for part in shards[rank()::size()] if not shard_file(store, part.number, HALF).exists()]
    alone = device.type == "cuda" or size() > 1
    if rank() == 0:
        print(f"states of {rows} rows by {model.preset.wav2vec.checkpoint}, {megabytes:.0f} MB, into {store}",
              file=sys.stderr, flush=True)
    for _ in spread(_write, left, "states", 1 if alone else compute.workers, unit="shard"):
        pass
    _read.cache_clear()
    if size() > 1:
        distributed.barrier()
    if rank() == 0:
        write_index(store, entries)
    if size() > 1:
        distributed.barrier()


def _entries(part: _Part, shapes: Sequence[tuple[int, int, int]]) -> list[Entry]:
    starts = np.cumsum([0, *map(np.prod, shapes)])
    return [Entry(row.row, part.number, int(start), shape)
            for row, start, shape in zip(part.examples.rows, starts, shapes, strict=False)]


def _write(part: _Part) -> None:
    """Compute one shard by the checkpoint itself, in float32."""
    device = torch.device(part.device)
    network = _read(part.settings, part.features).to(device).eval()

    def arrays() -> Iterator[tuple[str, np.ndarray]]:
        for places in in_order(len(part.examples), _BATCH):
            batch = part.examples.batch(places).to(device)
            with torch.inference_mode():
                states = network.states(batch.waveform, batch.valid).half().cpu()
            if not torch.isfinite(states).all():
                raise UserError(f"{part.settings.checkpoint}: its states are beyond what is kept (65,504): set "
                                "wav2vec.cache_states to false in params.yaml")
            for row, one, frames in zip(batch.rows, states, network.frames(batch.valid).tolist(), strict=True):
                yield row.row, one[:, :frames].numpy()

    write_shard(part.folder, part.number, arrays(), HALF)
