"""Share out whole groups (speakers, words) so that every partition resembles the whole."""

from collections.abc import Mapping, Sequence

import numpy as np

from ser_ops.seeds import generator

_MILLION = 1_000_000
_RESTARTS = 2000


def divide(groups: Mapping[str, Sequence[Mapping[str, str]]], shares: Mapping[str, float], seed: int,
           *key: object) -> dict[str, str]:
    """A partition for each group: the same for the same groups and seed, whatever their order.

    groups: name to rows, each row a mapping from trait to value (emotion to sad, gender to female; "" counts for
    nothing). shares: partition to its share of the rows, together 1. Squared deviations of each partition's share
    of all rows and of the rows of each value are made small, one trait weighing as much as another, by seeded
    starts and exchanges. With as many groups as partitions of a share above 0 none of these stays empty.
    """
    names = sorted(groups)
    wanted = [partition for partition in shares if shares[partition] > 0]
    counts, weights = _counts([groups[name] for name in names])
    targets = np.array([round(shares[partition] * _MILLION) for partition in wanted], np.int64)
    random = generator(seed, "divide", *key)
    best: tuple[int, np.ndarray] | None = None
    for _ in range(max(1, min(20, _RESTARTS // max(1, len(names))))):
        placed = _start(counts[:, 0], targets, random.permutation(len(names)))
        cost = _improve(placed, counts, weights, targets)
        if best is None or cost < best[0]:
            best = cost, placed
    assert best is not None
    return {name: wanted[index] for name, index in zip(names, best[1], strict=True)}


def _counts(groups: Sequence[Sequence[Mapping[str, str]]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of each group by value, in millionths of all rows of that value, and the values' weights.

    Whole numbers (int64), so that sums and ties come out alike on every machine. The first column is of all rows.
    """
    values = sorted({(trait, value) for rows in groups for row in rows for trait, value in row.items() if value})
    column = {value: number for number, value in enumerate(values, 1)}
    counts = np.zeros((len(groups), len(values) + 1), np.int64)
    for group, rows in enumerate(groups):
        counts[group, 0] = len(rows)
        for row in rows:
            for pair in row.items():
                if pair in column:
                    counts[group, column[pair]] += 1
    traits = [trait for trait, _ in values]
    weights = np.array([840] + [max(1, 840 // traits.count(trait)) for trait in traits], np.int64)
    return counts * _MILLION // np.maximum(1, counts.sum(axis=0)), weights


def _start(sizes: np.ndarray, targets: np.ndarray, order: np.ndarray) -> np.ndarray:
    """One group for each partition, then each group to the partition that lacks most."""
    placed, filled = np.zeros(len(sizes), np.int64), np.zeros(len(targets), np.int64)
    for turn, group in enumerate(order):
        place = turn if turn < len(targets) else int(np.argmax(targets - filled))
        placed[group] = place
        filled[place] += sizes[group]
    return placed


def _improve(placed: np.ndarray, counts: np.ndarray, weights: np.ndarray, targets: np.ndarray) -> int:
    """Move and exchange groups, in place, as long as that lowers the cost; returns the cost."""
    deviation = np.stack([counts[placed == place].sum(axis=0) for place in range(len(targets))]) - targets[:, None]
    better = True
    while better:
        better = False
        for group in range(len(placed)):
            home = placed[group]
            # What `home` gains and the other partition loses: by an exchange with each other group, or by a move.
            exchange = counts - counts[group]
            others = placed
            if (placed == home).sum() > 1:
                exchange = np.concatenate([exchange, np.repeat(-counts[group][None], len(targets), axis=0)])
                others = np.concatenate([placed, np.arange(len(targets))])
            change = (weights * exchange * (deviation[home] - deviation[others] + exchange)).sum(axis=1)
            change[others == home] = 0
            choice = int(np.argmin(change))
            if change[choice] < 0:
                other = others[choice]
                deviation[home] += exchange[choice]
                deviation[other] -= exchange[choice]
                placed[group] = other
                if choice < len(placed):
                    placed[choice] = home
                better = True
    return int((weights * deviation**2).sum())
