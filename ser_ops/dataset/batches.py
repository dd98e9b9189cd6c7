"""Which examples make a batch, and batches on their way to the device."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from ser_ops.dataset.examples import Batch, Examples
from ser_ops.seeds import generator


def shuffled(count: int, size: int, seed: int, epoch: int, parts: int = 1,
             lengths: np.ndarray | None = None) -> list[np.ndarray]:
    """Indices 0 to count - 1 in batches of about `size`, in an order that only (seed, epoch) decide.

    Batches differ by one in length at most and hold at least two for each of `parts` processes, since
    BatchNorm has no variance of one; to that end a batch may exceed `size`. With `lengths` a batch holds indices of
    like length, those of equal length in random order, and batches come in random order too.

    >>> [len(batch) for batch in shuffled(33, 16, seed=1, epoch=1)]
    [11, 11, 11]
    >>> [len(batch) for batch in shuffled(3, 2, seed=1, epoch=1)]
    [3]
    """
    number = max(1, min(-(-count // size), count // (2 * parts)))
    order = generator(seed, "order", epoch).permutation(count)
    if lengths is None:
        return np.array_split(order, number)
    batches = np.array_split(order[np.argsort(lengths[order], kind="stable")], number)
    return [batches[place] for place in generator(seed, "order of batches", epoch).permutation(number)]


def in_order(count: int, size: int) -> list[np.ndarray]:
    """Indices 0 to count - 1 in order, in batches of `size`; the last may be shorter.

    >>> in_order(3, 2)
    [array([0, 1]), array([2])]
    """
    return [np.arange(start, min(start + size, count)) for start in range(0, count, size)]


def loader(examples: Examples, batches: Iterable[np.ndarray], device: torch.device, ahead: int = 2) -> Iterator[Batch]:
    """Batches on the device. For a GPU a thread reads `ahead` of the model into pinned memory."""
    if device.type != "cuda":
        yield from (examples.batch(indices) for indices in batches)
        return
    with ThreadPoolExecutor(1) as reader:
        waiting: deque = deque()
        for indices in batches:
            waiting.append(reader.submit(lambda chosen: examples.batch(chosen).pin(), indices))
            if len(waiting) > ahead:
                yield waiting.popleft().result().to(device)
        while waiting:
            yield waiting.popleft().result().to(device)
