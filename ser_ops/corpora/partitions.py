"""Training, validation and test: by speaker, by word, by utterance, or by row after augmentation (PROTOCOL 2)."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

from ser_ops.config import Partitions
from ser_ops.corpora.balance import divide
from ser_ops.seeds import generator

PARTITIONS = ("train", "validation", "test")
Row = Mapping[str, str]


def assign(rows: Sequence[Row], settings: Partitions) -> list[str]:
    """The partition of each utterance, in the order of `rows`; it depends on the rows, not on their order.

    Rows need utterance, corpus, speaker, emotion, text and content; gender is balanced and sound kept together where
    they are there.
    `speaker`: by `plan`, each corpus for itself. `random` and `paper`: by utterance, in each corpus and emotion;
    utterances of the same content or sound stay together. (`paper` draws anew for each row: see `assign_rows`.)
    """
    if settings.protocol != "speaker":
        return by_utterance(rows, shares(settings), settings.seed, "utterances")
    placed: dict[str, str] = {}
    wanted = [name for name, share in shares(settings).items() if share > 0]
    corpora = grouped(rows, "corpus")
    for corpus, way in plan(rows, settings).items():
        own = corpora[corpus]
        if way == "utterance":
            placed.update(zip((row["utterance"] for row in own),
                              by_utterance(own, shares(settings), settings.seed, corpus), strict=True))
            continue
        groups = grouped(own, "text" if way == "word" else "speaker")
        if way == "pair":
            order = generator(settings.seed, "pair", corpus).permutation(sorted(groups))
            chosen = dict(zip(map(str, order), (wanted[0], wanted[-1]), strict=False))
        else:
            chosen = divide({name: [traits(row) for row in group] for name, group in groups.items()},
                            shares(settings), settings.seed, corpus)
        placed.update((row["utterance"], chosen[name]) for name, group in groups.items() for row in group)
    return [placed[row["utterance"]] for row in rows]


def assign_rows(rows: Sequence[Row], settings: Partitions) -> list[str]:
    """The partition of each row of the augmented table under the protocol `paper`: variants part from each other.

    Rows need row, corpus and emotion. Offered for comparison alone: what training hears is in the test, too.
    """
    return _stratified([((row["corpus"], row["emotion"]), row["row"], 1) for row in rows], shares(settings),
                       settings.seed, "rows")


def plan(rows: Iterable[Row], settings: Partitions | None = None) -> dict[str, str]:
    """How each corpus is split under the protocol `speaker`: speaker, pair, word or utterance.

    A corpus with a speaker for each partition is split by speaker. One with fewer (TESS has two) gives a speaker
    each to training and test (pair) when another corpus fills the partitions, else it is split by word, and by
    utterance where it has no three words. Rows need corpus, speaker and text.
    """
    speakers: dict[str, set[str]] = defaultdict(set)
    texts: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        speakers[row["corpus"]].add(row["speaker"])
        texts[row["corpus"]].add(row["text"])
    needed = sum(share > 0 for share in shares(settings).values()) if settings else len(PARTITIONS)
    filled = any(len(names) >= needed for names in speakers.values())

    def way(corpus: str) -> str:
        if len(speakers[corpus]) >= needed:
            return "speaker"
        if filled:
            return "pair"
        return "word" if len(texts[corpus]) >= len(PARTITIONS) and "" not in texts[corpus] else "utterance"

    return {corpus: way(corpus) for corpus in sorted(speakers)}


def declared(rows: Iterable[Row], protocol: str) -> list[str]:
    """The leaks that a protocol declares for these rows, in words; none for a clean split by speaker."""
    if protocol == "random":
        return ["split by utterance: speakers are in several partitions"]
    if protocol == "paper":
        return ["split by row after augmentation: speakers, contents, variants of one utterance and noise recordings "
                "are in several partitions"]
    return [f"{corpus}: split by {way}, its speakers are in several partitions (they are fewer than the partitions, "
            "and no other corpus fills these)" for corpus, way in plan(rows).items() if way in ("word", "utterance")]


def shares(settings: Partitions) -> dict[str, float]:
    """The share of each partition, together 1."""
    return {"train": 1 - settings.validation - settings.test, "validation": settings.validation, "test": settings.test}


def traits(row: Row) -> dict[str, str]:
    """What a division balances."""
    return {"emotion": row["emotion"], "gender": row.get("gender", "")}


def grouped(rows: Iterable[Row], column: str) -> dict[str, list[Row]]:
    """Rows by the value of a column, in their order."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[column]].append(row)
    return groups


def by_utterance(rows: Sequence[Row], parts: Mapping[str, float], seed: int, purpose: str) -> list[str]:
    """A part for each row by shares, in each corpus and emotion; utterances of one content or sound stay together."""
    keys = [row.get("sound") or row["content"] or row["utterance"] for row in rows]
    together: dict[str, list[Row]] = defaultdict(list)
    for key, row in sorted(zip(keys, rows, strict=True), key=lambda pair: pair[1]["utterance"]):
        together[key].append(row)
    chosen = dict(zip(together, _stratified([
        ((group[0]["corpus"], group[0]["emotion"]), group[0]["utterance"], len(group))
        for group in together.values()], parts, seed, purpose), strict=True))
    return [chosen[key] for key in keys]


def _stratified(units: Sequence[tuple[Hashable, str, int]], parts: Mapping[str, float], seed: int,
                purpose: str) -> list[str]:
    """A part for each unit (stratum, key, size): shuffled in its stratum, then always to the one that lacks most.

    So every stratum, and all of them together, have the shares to within one unit or so.
    """
    wanted = {name: round(share * 1_000_000) for name, share in parts.items()}
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
            place = max(wanted, key=lambda name: wanted[name] * total - filled[name] * 1_000_000)
            filled[place] += size
            chosen[position] = place
    return chosen
