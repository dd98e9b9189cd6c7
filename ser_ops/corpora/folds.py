"""Cross-validation: which fold tests an utterance, and what trains and validates beside it."""

from collections.abc import Sequence

from ser_ops.config import Partitions
from ser_ops.corpora.balance import divide
from ser_ops.corpora.partitions import Row, by_utterance, grouped, plan, traits


def assign_fold(rows: Sequence[Row], settings: Partitions, count: int, fold: int) -> list[str]:
    """The partition of each utterance when `fold` (1 to `count`) is the test, in the order of `rows`.

    Every utterance is in the test of exactly one fold. `random`: stratified by corpus and emotion, the same content
    together (stratified cross-validation). `speaker`: whole speakers of each corpus, emotion and gender balanced; a
    corpus with fewer speakers than folds is in as many tests as it has speakers, and one that fills no partition by
    itself when it is alone (TESS has two speakers) goes by word. Of the rest a share of settings.validation validates,
    chosen in the same way. Raises ValueError for a fold or a protocol that there is none of.
    """
    if not 1 <= fold <= count or settings.protocol not in ("speaker", "random"):
        raise ValueError(f"no fold {fold} of {count} under the protocol {settings.protocol}")
    ways = dict.fromkeys({row["corpus"] for row in rows}, "utterance")
    if settings.protocol == "speaker":
        ways = plan(rows, settings)
    corpora = grouped(rows, "corpus")
    placed: dict[str, str] = {}
    for corpus, way in sorted(ways.items()):
        tests = _parts(corpora[corpus], way, {str(number): 1 / count for number in range(1, count + 1)},
                       settings.seed, f"{corpus}, folds")
        rest = [row for row in corpora[corpus] if tests[row["utterance"]] != str(fold)]
        placed |= dict.fromkeys((row["utterance"] for row in corpora[corpus]), "test")
        placed |= _parts(rest, way, {"train": 1 - settings.validation, "validation": settings.validation},
                         settings.seed, f"{corpus}, beside fold {fold}")
    return [placed[row["utterance"]] for row in rows]


def _parts(rows: Sequence[Row], way: str, shares: dict[str, float], seed: int, purpose: str) -> dict[str, str]:
    """Utterance to part: by whole speakers (or pairs of them), by word, or by utterance."""
    if way == "utterance":
        return dict(zip((row["utterance"] for row in rows), by_utterance(rows, shares, seed, purpose), strict=True))
    groups = grouped(rows, "text" if way == "word" else "speaker")
    if len(groups) == 1:
        chosen = dict.fromkeys(groups, next(iter(shares)))
    else:
        chosen = divide({name: [traits(row) for row in group] for name, group in groups.items()}, shares, seed, purpose)
    return {row["utterance"]: chosen[name] for name, group in groups.items() for row in group}
