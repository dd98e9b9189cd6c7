"""Training, validation and test: by speaker, by word, by utterance, or by row after augmentation.

Whole groups (speakers, words) are shared out so that every partition resembles the whole; `assign_fold` does the same
for cross-validation.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ser_ops.config.data import Partitions
from ser_ops.manifest import AnyRow, UtteranceRow, VariantRow, validated_manifest, validated_utterances
from ser_ops.seeds import generator

PARTITIONS = ("train", "validation", "test")
FOLD_PROTOCOLS = ("random", "word", "speaker")
WITHIN_SPEAKERS = ("word", "utterance")     # units whose parts share speakers
_MILLION = 1_000_000
_RESTARTS = 2000


def assign_partitions(rows: Sequence[UtteranceRow], settings: Partitions) -> list[str]:
    """The partition of each utterance, in the order of `rows`; it depends on the rows, not on their order.

    `speaker`: by `split_units`, each corpus for itself. `random` and `paper`: by utterance, in each corpus and emotion;
    utterances of the same content or sound stay together. (`paper` draws for each row:
    `assign_variant_partitions`.)
    """
    if settings.protocol != "speaker":
        return split_by_utterance(rows, partition_shares(settings), settings.seed, "utterances")
    placed: dict[str, str] = {}
    wanted = [name for name, share in partition_shares(settings).items() if share > 0]
    corpora = group_rows(rows, "corpus")
    for corpus, unit in split_units(rows, settings).items():
        own = corpora[corpus]
        if unit == "utterance":
            placed.update(zip((row.utterance for row in own),
                              split_by_utterance(own, partition_shares(settings), settings.seed, corpus), strict=True))
            continue
        groups = group_rows(own, "text" if unit == "word" else "speaker")
        if unit == "pair":
            order = generator(settings.seed, "pair", corpus).permutation(sorted(groups))
            chosen = dict(zip(map(str, order), (wanted[0], wanted[-1]), strict=False))
        else:
            chosen = divide_groups({name: [balanced_traits(row) for row in group] for name, group in groups.items()},
                                   partition_shares(settings), settings.seed, corpus)
        placed.update((row.utterance, chosen[name]) for name, group in groups.items() for row in group)
    return [placed[row.utterance] for row in rows]


def assign_variant_partitions(rows: Sequence[VariantRow], settings: Partitions) -> list[str]:
    """The partition of each row of the augmented table under the protocol `paper`: variants part from each other.

    Offered for comparison alone: test data is in the training data, too.
    """
    return _stratified([((row.corpus, row.emotion), row.row, 1) for row in rows], partition_shares(settings),
                       settings.seed, "rows")


def assign_fold(rows: Sequence[UtteranceRow], settings: Partitions, protocol: str, count: int, fold: int) -> list[str]:
    """The partition of each utterance when `fold` (1 to `count`) is the test, in the order of `rows`.

    Every utterance is in the test of exactly one fold. `random`: stratified by corpus and emotion, the same content
    together (stratified cross-validation). `word`: whole texts of each corpus, which leaves every speaker in training.
    `speaker`: whole speakers of each corpus, emotion and gender balanced; a corpus with fewer speakers than folds is
    in as many tests as it has speakers. Of the rest a share of settings.validation validates, chosen in the same way;
    where each corpus leaves a single speaker to train (TESS alone), other words of that speaker validate. Raises
    ValueError for a fold or a protocol that there is none of.
    """
    if not 1 <= fold <= count or protocol not in FOLD_PROTOCOLS:
        raise ValueError(f"no fold {fold} of {count} under the protocol {protocol}")
    unit = {"random": "utterance"}.get(protocol, protocol)
    corpora, units = group_rows(rows, "corpus"), split_units(rows)
    placed: dict[str, str] = {}
    for corpus, own in sorted(corpora.items()):
        tests = _parts(own, unit, {str(number): 1 / count for number in range(1, count + 1)}, settings.seed,
                       f"{corpus}, folds")
        rest = [row for row in own if tests[row.utterance] != str(fold)]
        placed |= dict.fromkeys((row.utterance for row in own), "test")
        placed |= _parts(rest, units[corpus] if protocol == "speaker" and units[corpus] in WITHIN_SPEAKERS else unit,
                         {"train": 1 - settings.validation, "validation": settings.validation}, settings.seed,
                         f"{corpus}, beside fold {fold}")
    return [placed[row.utterance] for row in rows]


def fold_count(rows: Sequence[UtteranceRow], protocol: str, count: int) -> int:
    """Folds of a cross-validation that is asked for `count`: no more than there are speakers or texts to hold out.

    Returns 0 where the protocol cannot be had: by word where a corpus has fewer texts than a test, a training and a
    validation part need, or does not say them; by speaker where no corpus has two.

    >>> tess = [UtteranceRow(f"{speaker}/{word}", "tess", speaker=speaker, text=word)
    ...         for speaker in ("OAF", "YAF") for word in ("back", "bar", "base", "bath")]
    >>> [fold_count(tess, protocol, 5) for protocol in ("random", "word", "speaker")]
    [5, 4, 2]
    """
    if protocol == "random":
        return count
    groups = group_rows(rows, "corpus").values()
    if protocol == "word":
        texts = [{row.text for row in group} for group in groups]
        most = min((len(own) if "" not in own else 0 for own in texts), default=0)
        return min(count, most) if most >= len(PARTITIONS) else 0
    speakers = max((len({row.speaker for row in group}) for group in groups), default=0)
    return min(count, speakers) if speakers > 1 else 0


def _parts(rows: Sequence[UtteranceRow], unit: str, shares: dict[str, float], seed: int,
           purpose: str) -> dict[str, str]:
    """Utterance to part: by whole speakers (or pairs of them), by word, or by utterance."""
    if unit == "utterance":
        return dict(zip((row.utterance for row in rows), split_by_utterance(rows, shares, seed, purpose), strict=True))
    groups = group_rows(rows, "text" if unit == "word" else "speaker")
    if len(groups) == 1:
        chosen = dict.fromkeys(groups, next(iter(shares)))
    else:
        chosen = divide_groups({name: [balanced_traits(row) for row in group] for name, group in groups.items()},
                               shares, seed, purpose)
    return {row.utterance: chosen[name] for name, group in groups.items() for row in group}


def split_units(rows: Iterable[UtteranceRow], settings: Partitions | None = None) -> dict[str, str]:
    """How each corpus is split under the protocol `speaker`: speaker, pair, word or utterance.

    A corpus with a speaker for each partition is split by speaker. One with fewer (TESS has two) gives a speaker
    each to training and test (pair) when another corpus fills the partitions, else it is split by word, and by
    utterance where it has no three words.
    """
    speakers: dict[str, set[str]] = defaultdict(set)
    texts: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        speakers[row.corpus].add(row.speaker)
        texts[row.corpus].add(row.text)
    needed = sum(share > 0 for share in partition_shares(settings).values()) if settings else len(PARTITIONS)
    filled = any(len(names) >= needed for names in speakers.values())
    units: dict[str, str] = {}
    for corpus in sorted(speakers):
        if len(speakers[corpus]) >= needed:
            units[corpus] = "speaker"
        elif filled:
            units[corpus] = "pair"
        else:
            words = len(texts[corpus]) >= len(PARTITIONS) and "" not in texts[corpus]
            units[corpus] = "word" if words else "utterance"
    return units


def actual_protocol(rows: Iterable[UtteranceRow], protocol: str) -> str:
    """What a protocol comes to on these rows: `speaker` is by word, or by utterance, where speakers are too few.

    >>> tess = [UtteranceRow(f"{speaker}/{word}", "tess", speaker=speaker, text=word)
    ...         for speaker in ("OAF", "YAF") for word in ("back", "bar", "base")]
    >>> actual_protocol(tess, "speaker"), actual_protocol(tess, "random")
    ('word', 'random')
    """
    if protocol != "speaker":
        return protocol
    within = sorted({unit for unit in split_units(rows).values() if unit in WITHIN_SPEAKERS})
    return " and ".join(within) or protocol


def protocol_in_force(work: Path, protocol: str) -> str:
    """`actual_protocol` of the utterances that validation let through; the protocol itself before there are any."""
    return actual_protocol(validated_utterances(work), protocol) if validated_manifest(work).exists() else protocol


def declared_leaks(rows: Iterable[UtteranceRow], protocol: str, fold: bool = False) -> list[str]:
    """The leaks that a protocol declares for these rows, in words; none for a clean split by speaker.

    fold: whether the rows are divided by `assign_fold`.
    """
    if protocol == "random":
        return ["split by utterance: speakers are in several partitions"]
    if protocol == "word":
        return ["split by word: speakers are in several partitions"]
    if protocol == "paper":
        return ["split by row after augmentation: speakers, contents, variants of one utterance and noise recordings "
                "are in several partitions"]
    within = {corpus: unit for corpus, unit in split_units(rows).items() if unit in WITHIN_SPEAKERS}
    if fold:
        return [f"{corpus}: one speaker is tested and none of that voice is trained on; validation hears other {unit}s "
                "of the speaker who trains" for corpus, unit in within.items()]
    return [f"{corpus}: split by {unit}, its speakers are in several partitions (they are fewer than the partitions, "
            "and no other corpus fills these)" for corpus, unit in within.items()]


def partition_shares(settings: Partitions) -> dict[str, float]:
    """The share of each partition, together 1."""
    return {"train": 1 - settings.validation - settings.test, "validation": settings.validation, "test": settings.test}


def balanced_traits(row: UtteranceRow) -> dict[str, str]:
    """What a division balances."""
    return {"emotion": row.emotion, "gender": row.gender}


def group_rows(rows: Iterable[AnyRow], column: str) -> dict[str, list[AnyRow]]:
    """Rows by the value of a column, in their order."""
    groups: dict[str, list[AnyRow]] = defaultdict(list)
    for row in rows:
        groups[getattr(row, column)].append(row)
    return groups


def split_by_utterance(rows: Sequence[UtteranceRow], parts: Mapping[str, float], seed: int, purpose: str) -> list[str]:
    """A part for each row by shares, in each corpus and emotion; utterances of one content or sound stay together."""
    keys = [row.sound or row.content or row.utterance for row in rows]
    together: dict[str, list[UtteranceRow]] = defaultdict(list)
    for key, row in sorted(zip(keys, rows, strict=True), key=lambda pair: pair[1].utterance):
        together[key].append(row)
    chosen = dict(zip(together, _stratified([
        ((group[0].corpus, group[0].emotion), group[0].utterance, len(group))
        for group in together.values()], parts, seed, purpose), strict=True))
    return [chosen[key] for key in keys]


def _stratified(units: Sequence[tuple[Hashable, str, int]], parts: Mapping[str, float], seed: int,
                purpose: str) -> list[str]:
    """A part for each unit (stratum, key, size): shuffled in its stratum, then always to the one that lacks most.

    So every stratum, and all of them together, have the shares to within one unit or so.
    """
    wanted = {name: round(share * _MILLION) for name, share in parts.items()}
    strata: dict[Hashable, list[tuple[str, int, int]]] = defaultdict(list)
    for position, (stratum, key, size) in enumerate(units):
        strata[stratum].append((key, size, position))
    chosen = [""] * len(units)
    filled, total = dict.fromkeys(wanted, 0), 0
    for stratum in sorted(strata, key=str):
        members = sorted(strata[stratum])
        for index in generator(seed, purpose, stratum).permutation(len(members)):
            _, size, position = members[index]
            total += size
            part = max(wanted, key=lambda name: wanted[name] * total - filled[name] * _MILLION)
            filled[part] += size
            chosen[position] = part
    return chosen


def divide_groups(groups: Mapping[str, Sequence[Mapping[str, str]]], shares: Mapping[str, float], seed: int,
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
        partition = turn if turn < len(targets) else int(np.argmax(targets - filled))
        placed[group] = partition
        filled[partition] += sizes[group]
    return placed


def _improve(placed: np.ndarray, counts: np.ndarray, weights: np.ndarray, targets: np.ndarray) -> int:
    """Move and exchange groups, in place, as long as that lowers the cost; returns the cost."""
    own = np.stack([counts[placed == partition].sum(axis=0) for partition in range(len(targets))])
    deviation = own - targets[:, None]
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
