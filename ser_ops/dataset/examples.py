"""Examples that stay on disk until a batch asks for them, and their batches on the way to the device."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ser_ops.audio.signal import fit_windows
from ser_ops.errors import UserError
from ser_ops.manifest import VariantRow, read_variants
from ser_ops.seeds import generator
from ser_ops.shards import Shards

_WAVEFORM_STREAM = "wav2vec"    # the stream that gets the waveform; any other gets the features


@dataclass(frozen=True)
class Batch:
    """B examples as a model takes them.

    waveform: float32 (B, N) at the data's sample rate, or what a frozen backbone made of it, float16 (B, layers, T, H);
    valid: int64 (B,), samples that are not padding;
    features: float32 (B, L) or (B, channels, T), not standardised; labels: int64 (B,), 0 to 6. Where the examples are
    those `for_model` of a model that uses no waveform or no features, that part is (B, 0), and a waveform's `valid` 0.
    """

    waveform: Tensor
    valid: Tensor
    features: Tensor
    labels: Tensor
    rows: tuple[VariantRow, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def _mapped(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        return replace(self, waveform=function(self.waveform), valid=function(self.valid),
                       features=function(self.features), labels=function(self.labels))

    def pin(self) -> "Batch":
        """The same in page-locked memory, from which a copy to a GPU overlaps with computing."""
        return self._mapped(lambda tensor: tensor.pin_memory())

    def to(self, device: torch.device) -> "Batch":
        """The same on a device."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True))


@dataclass(frozen=True)
class Stores:
    """Where waveforms and features lie, memory-mapped: originals by utterance, the rest by row.

    states: what a frozen backbone made of each row, (layers, T, H), where that is kept; it then stands in the
    waveform's place.
    """

    originals: Mapping[str, np.ndarray]
    variants: Mapping[str, np.ndarray]
    features: Mapping[str, np.ndarray]
    states: Mapping[str, np.ndarray] | None = None

    @classmethod
    def open(cls, originals: Path, work: Path, reads: str) -> "Stores":
        """Stores as the pipeline leaves them: `originals` by utterance; augmented/ and features/`reads` of `work`.

        Raises UserError when a store is missing.
        """
        return cls(Shards(originals), Shards(work / "augmented" / "waveforms"),
                   Shards(work / "features" / reads, keep_mapped=True))

    def has_waveform(self, row: VariantRow) -> bool:
        """Whether the waveform of a row is there."""
        return row.utterance in self.originals if row.variant == "original" else row.row in self.variants

    def waveform(self, row: VariantRow) -> np.ndarray:
        """Mono float32 samples of shape (n,), the whole utterance."""
        return self.originals[row.utterance] if row.variant == "original" else self.variants[row.row]


class Examples:
    """Rows with their waveforms, features and labels; only what a batch needs is read.

    `length` is the window in samples. With `buckets` above 1 the waveforms of a batch are only as long as its longest
    utterance asks for, rounded up to one of so many lengths. Raises UserError when a row has no waveform or no
    features.
    """

    def __init__(self, rows: Sequence[VariantRow], stores: Stores, length: int, labels: np.ndarray | None = None,
                 buckets: int = 1) -> None:
        self.rows = tuple(rows)
        self.stores = stores
        self.length = length
        self.buckets = buckets
        self.streams: Collection[str] | None = None
        self.scale: tuple[np.ndarray, np.ndarray] | None = None
        self.labels = np.array([row.label for row in rows] if labels is None else labels, np.int64)
        for row in self.rows:
            if not stores.has_waveform(row):
                raise UserError(f"{row.row}: has no waveform: run the augment stage again")
            if row.row not in stores.features:
                raise UserError(f"{row.row}: has no features: run the features stage again")

    @classmethod
    def open(cls, work: Path, partition: str, reads: str, seconds: float, sample_rate: int) -> "Examples":
        """The rows of one partition of the pipeline's work folder, windows of `seconds` at `sample_rate` hertz.

        reads: the section of the preset whose features are wanted (features, stacked or image).
        """
        return cls(read_variants(work / "augmented" / "variants.csv", partition),
                   Stores.open(work / "ingest" / "waveforms", work, reads), round(seconds * sample_rate))

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def valid(self) -> np.ndarray:
        """Samples of each row's window that are not padding, int64; no waveform is read."""
        return np.array([min(len(self.stores.waveform(row)), self.length) for row in self.rows], np.int64)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Samples that each row asks of a batch, int64: its valid ones, rounded up to one of the buckets."""
        step = -(-self.length // self.buckets)
        return np.minimum(-(-self.valid // step) * step, self.length)

    def batch(self, indices: Sequence[int] | np.ndarray) -> Batch:
        """The examples at `indices`, in that order."""
        rows, chosen = [self.rows[index] for index in indices], np.asarray(indices, np.int64)
        nothing = np.empty(0, np.float32)
        uses_waveform = self.streams is None or _WAVEFORM_STREAM in self.streams
        uses_features = self.streams is None or bool(set(self.streams) - {_WAVEFORM_STREAM})
        arrays = [self.stores.features[row.row] if uses_features else nothing for row in rows]
        features = _standardised(arrays, *self.scale) if uses_features and self.scale else np.stack(arrays)
        if uses_waveform and self.stores.states is not None:
            states = pad_states([self.stores.states[row.row] for row in rows])
            return Batch(states, torch.from_numpy(self.valid[chosen]), torch.from_numpy(features),
                         torch.from_numpy(self.labels[chosen]), tuple(rows))
        length = 0
        if uses_waveform:
            length = self.length if self.buckets == 1 else int(self.lengths[chosen].max())
        return assemble([self.stores.waveform(row) if uses_waveform else nothing for row in rows], features, rows,
                        self.labels[chosen], length)

    def _changed(self, **changes: Any) -> "Examples":
        other = copy(self)
        for name in ("valid", "lengths"):   # known of these rows and buckets alone
            other.__dict__.pop(name, None)
        other.__dict__.update(changes)
        return other

    def subset(self, indices: Sequence[int] | np.ndarray) -> "Examples":
        """The rows at `indices` alone, in that order."""
        return self._changed(rows=tuple(self.rows[index] for index in indices),
                         labels=self.labels[np.asarray(indices, np.int64)])

    def by_noise(self) -> dict[str, "Examples"]:
        """The rows without noise as "clean", those in noise as "noisy"; what has no row is left out."""
        noisy = np.array([row.in_noise for row in self.rows], bool)
        chosen = {"clean": np.flatnonzero(~noisy), "noisy": np.flatnonzero(noisy)}
        return {name: self.subset(indices) for name, indices in chosen.items() if len(indices)}

    def in_buckets(self, buckets: int) -> "Examples":
        """The same, waveforms cut to one of so many lengths."""
        return self._changed(buckets=buckets)

    def with_states(self, states: Mapping[str, np.ndarray]) -> "Examples":
        """The same with a backbone's states of each row in the place of its waveform."""
        return self._changed(stores=replace(self.stores, states=states))

    def for_model(self, model: nn.Module, scale: tuple[np.ndarray, np.ndarray] | None = None) -> "Examples":
        """The same, whose batches hold only what the model's `streams` use: the rest is not read.

        A model that names no streams gets all. scale: mean and deviation of each value of the features, float32 of
        their shape, by which they are standardised here instead of in the model.
        """
        return self._changed(streams=getattr(model, "streams", None), scale=scale)

    def with_shuffled_labels(self, seed: int) -> "Examples":
        """The same with labels permuted among the utterances; variants of one utterance keep one label.

        The score of a model trained on them is chance level for these classes, this model and this training.
        """
        utterances = sorted({row.utterance: label for row, label in zip(self.rows, self.labels, strict=True)}.items())
        order = generator(seed, "labels").permutation(len(utterances))
        labels = {utterance: utterances[other][1] for (utterance, _), other in zip(utterances, order, strict=True)}
        return self._changed(labels=np.array([labels[row.utterance] for row in self.rows], np.int64))


def assemble(samples: Sequence[np.ndarray], features: np.ndarray | Tensor, rows: Sequence[VariantRow],
             labels: np.ndarray, length: int) -> Batch:
    """A batch from waveforms of any length, each fitted to its middle `length` samples, and their features."""
    waveform, valid = fit_windows(samples, length)
    return Batch(torch.from_numpy(waveform), torch.from_numpy(valid), torch.as_tensor(features),
                 torch.as_tensor(labels, dtype=torch.int64), tuple(rows))


def _standardised(features: Sequence[np.ndarray], mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Features less their mean, divided by their deviation, float32 (B, *mean.shape)."""
    batch = np.empty((len(features), *mean.shape), np.float32)
    for row, array in zip(batch, features, strict=True):    # row by row, while it lies in the processor's cache
        np.subtract(array, mean, out=row)
        np.divide(row, deviation, out=row)
    return batch


def pad_states(states: Sequence[np.ndarray]) -> Tensor:
    """States (layers, T, H) of different T as a tensor (B, layers, longest T, H), zero where there is no frame."""
    layers, _, hidden = states[0].shape
    longest = max(array.shape[1] for array in states)
    batch = np.zeros((len(states), layers, longest, hidden), states[0].dtype)
    for padded, array in zip(batch, states, strict=True):
        padded[:, :array.shape[1]] = array
    return torch.from_numpy(batch)


def shuffled_batches(count: int, size: int, seed: int, epoch: int, parts: int = 1,
             lengths: np.ndarray | None = None) -> list[np.ndarray]:
    """Indices 0 to count - 1 in batches of about `size`, in an order that only (seed, epoch) decide.

    Batches differ by one in length at most and hold at least two for each of `parts` processes, since
    BatchNorm has no variance of one; to that end a batch may exceed `size`. With `lengths` a batch holds indices of
    like length, those of equal length in random order, and batches come in random order too.

    >>> [len(batch) for batch in shuffled_batches(33, 16, seed=1, epoch=1)]
    [11, 11, 11]
    >>> [len(batch) for batch in shuffled_batches(3, 2, seed=1, epoch=1)]
    [3]
    """
    number = max(1, min(-(-count // size), count // (2 * parts)))
    order = generator(seed, "order", epoch).permutation(count)
    if lengths is None:
        return np.array_split(order, number)
    batches = np.array_split(order[np.argsort(lengths[order], kind="stable")], number)
    return [batches[index] for index in generator(seed, "order of batches", epoch).permutation(number)]


def rows_of_epoch(speakers: Sequence[str], most: int | None, seed: int, epoch: int) -> np.ndarray:
    """Indices of the rows that an epoch hears, in order: at most so many of each speaker, drawn by (seed, epoch).

    >>> rows_of_epoch(["a", "b", "b", "b"], 1, seed=1, epoch=1).size
    2
    """
    if most is None:
        return np.arange(len(speakers))
    names = np.asarray(speakers)
    parts = [generator(seed, "rows", epoch, speaker).permutation(np.flatnonzero(names == speaker))[:most]
             for speaker in np.unique(names)]
    return np.sort(np.concatenate(parts))


def ordered_batches(count: int, size: int) -> list[np.ndarray]:
    """Indices 0 to count - 1 in order, in batches of `size`; the last may be shorter.

    >>> ordered_batches(3, 2)
    [array([0, 1]), array([2])]
    """
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]


def loader(examples: Examples, batches: Iterable[np.ndarray], device: torch.device,
           prefetch: int = 2) -> Iterator[Batch]:
    """Batches on the device. For a GPU a thread reads up to `prefetch` batches ahead into pinned memory."""
    if device.type != "cuda":
        yield from (examples.batch(indices) for indices in batches)
        return
    with ThreadPoolExecutor(1) as reader:
        waiting: deque[Future[Batch]] = deque()
        for indices in batches:
            waiting.append(reader.submit(lambda chosen: examples.batch(chosen).pin(), indices))
            if len(waiting) > prefetch:
                yield waiting.popleft().result().to(device)
        while waiting:
            yield waiting.popleft().result().to(device)
