"""Does a model serve two groups of people alike? A permutation test that exchanges speakers between the groups.

Utterances of one voice are no independent evidence: some people are recognised better than others in any group.
So whole speakers are exchanged, within their corpus, and the difference in UAR is held against those of the exchanges
(Ernst 2004, Permutation Methods). All exchanges are made where they are few enough, and a seeded sample otherwise,
with the observed one counted in (Phipson and Smyth 2010). Few speakers allow few exchanges: then no difference,
however large, can be told from chance, and `Comparison.smallest_chance` says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb, prod
from typing import Any

import numpy as np

from ser_ops.config.evaluation import Behave
from ser_ops.evaluation.metrics import CLASSES
from ser_ops.seeds import generator

SEXES = ("female", "male")
PITCHES = ("lower", "higher")
UNKNOWN = -1    # the group of a speaker of whom it is not known


@dataclass(frozen=True)
class Voices:
    """What each of s speakers said, and how much of it was recognised.

    corpora: names of the corpora, sorted; corpus: index of each speaker's, int64 (s,); said, recognised: utterances of
    each class, float64 (s, 7).
    """

    corpora: tuple[str, ...]
    corpus: np.ndarray
    said: np.ndarray
    recognised: np.ndarray

    @classmethod
    def of(cls, true: np.ndarray, right: np.ndarray, corpora: Sequence[str], speaker: np.ndarray) -> "Voices":
        """From n utterances: class indices, whether each was recognised, its corpus, its speaker's index (0 to s-1)."""
        names, corpus = np.unique(np.asarray(corpora, str), return_inverse=True)
        first = np.unique(speaker, return_index=True)[1]
        said, recognised = np.zeros((len(first), CLASSES)), np.zeros((len(first), CLASSES))
        np.add.at(said, (speaker, true), 1)
        np.add.at(recognised, (speaker, true), np.asarray(right, np.float64))
        return cls(tuple(map(str, names)), corpus[first], said, recognised)

    def divided(self, group: np.ndarray) -> "list[DividedCorpus]":
        """The speakers of each corpus in two groups. group: 0 or 1 for each speaker, UNKNOWN leaves one out (s,)."""
        return [DividedCorpus(name, self.said[members], self.recognised[members], group[members] == 0)
                for index, name in enumerate(self.corpora)
                if (members := np.flatnonzero((self.corpus == index) & (group != UNKNOWN))).size]


@dataclass(frozen=True)
class DividedCorpus:
    """The m speakers of one corpus in two groups.

    said, recognised: as in `Voices`, float64 (m, 7); first: whether each is in the first group, bool (m,).
    """

    name: str
    said: np.ndarray
    recognised: np.ndarray
    first: np.ndarray

    @property
    def sizes(self) -> tuple[int, int]:
        """Speakers of the first group and of the second."""
        return int(self.first.sum()), int((~self.first).sum())

    def uar(self, least: int, exchanged: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """UAR of both groups over the classes of which both have enough, as they are or exchanged.

        Args:
            least: utterances of a class that each group needs.
            exchanged: whether each speaker is in the first group in each of e exchanges, bool (e, m).

        Returns:
            UAR in [0, 1], float64 (e, 2), and the classes that were compared, bool (e, 7); e is 1 without exchanges.
            Without such a class both UAR are 0: the groups do not differ in what cannot be compared.
        """
        first = (self.first[None] if exchanged is None else exchanged).astype(np.float64)
        said, recognised = (np.stack([own := first @ counts, counts.sum(0) - own], axis=1)
                            for counts in (self.said, self.recognised))
        compared: np.ndarray = np.all(said >= max(least, 1), axis=1)
        recall = recognised / np.maximum(said, 1) * compared[:, None]
        return recall.sum(2) / np.maximum(compared.sum(1, keepdims=True), 1), compared


def compare_by_group(true: np.ndarray, right: np.ndarray, corpora: Sequence[str], speakers: Sequence[str],
                     sexes: Sequence[str], pitch: np.ndarray, settings: Behave) -> dict[str, Any]:
    """UAR of women and men, and of the lower and the higher half of each corpus's voices, for behaviour.json.

    Args:
        true, right: class indices (n,), and whether each utterance was recognised, bool (n,).
        corpora, speakers: names of each utterance's corpus and speaker (n,); a speaker belongs to one corpus.
        sexes: female, male or "" (n,).
        pitch: median pitch in hertz (n,), NaN where there is none.
        settings: `group_utterances`, `exchanges` and `seed`.

    A speaker without sex or pitch, or of two sexes, is left out of that comparison and counted as `unknown`. Figures
    are null where nothing can be compared.
    """
    speaker = np.unique(np.asarray(speakers, str), return_inverse=True)[1]
    voices = Voices.of(true, right, corpora, speaker)
    report: dict[str, Any] = {}
    for grouping, names, group in (("sex", SEXES, sex_of_speakers(speaker, sexes)),
                                   ("pitch", PITCHES, half_by_pitch(voices, speaker, true, pitch))):
        counts = {"groups": list(names),
                  "speakers": {name: int((group == index).sum()) for index, name in enumerate(names)},
                  "unknown": int((group == UNKNOWN).sum())}
        compared = compare_groups(voices, group, settings.group_utterances, settings.exchanges, settings.seed)
        report[grouping] = counts | (compared.record(names) if compared else {
            "classes": 0, "difference": None, "chance": None, "smallest_chance": None})
    return report


def sex_of_speakers(speaker: np.ndarray, sexes: Sequence[str]) -> np.ndarray:
    """Index in SEXES of each speaker's sex, int64 (s,); UNKNOWN where the utterances (n,) say none or both.

    >>> sex_of_speakers(np.array([0, 0, 1, 2, 2]), ["male", "", "", "female", "male"]).tolist()
    [1, -1, -1]
    """
    said = np.zeros((int(speaker.max()) + 1, len(SEXES)), bool)
    for index, name in enumerate(SEXES):
        said[speaker[np.asarray(sexes, str) == name], index] = True
    return np.where(said.sum(1) == 1, said.argmax(1), UNKNOWN)


def half_by_pitch(voices: Voices, speaker: np.ndarray, true: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Index in PITCHES of each speaker's voice, int64 (s,); UNKNOWN where no utterance (n,) has a pitch in hertz.

    A speaker is in one group with all that he or she said. A voice's pitch is the median, over its utterances, of how
    far each lies above the middle of its class in the corpus: emotions differ in pitch themselves, and not everybody
    said as much of each. Each corpus's speakers are halved; the middle one of an odd number is in the lower half.
    """
    height = np.full(len(pitch), np.nan)
    kinds = voices.corpus[speaker] * CLASSES + true
    for kind in np.unique(kinds[np.isfinite(pitch)]):
        own = (kinds == kind) & np.isfinite(pitch)
        height[own] = np.log(pitch[own] / np.median(pitch[own]))
    group = np.full(len(voices.corpus), UNKNOWN)
    voice = np.array([np.median(own) if (own := height[(speaker == index) & np.isfinite(height)]).size else np.nan
                      for index in range(len(group))])
    for corpus in range(len(voices.corpora)):
        members = np.flatnonzero((voices.corpus == corpus) & np.isfinite(voice))
        order = members[np.argsort(voice[members], kind="stable")]
        group[order] = np.arange(len(order)) >= (len(order) + 1) // 2
    return group


@dataclass(frozen=True)
class Comparison:
    """UAR of two groups in the corpora that have speakers of both, and what exchanges of speakers make of it.

    uar: of the first group and the second, a mean over `corpora`; speakers: of each group there; classes: compared in
    any of the corpora; chance: share of `exchanges` in which the groups differ as much, in (0, 1], the observed one
    counted in; smallest_chance: the smallest that so many speakers can give, whatever the model answers.
    """

    uar: tuple[float, float]
    speakers: tuple[int, int]
    corpora: tuple[str, ...]
    classes: int
    exchanges: int
    chance: float
    smallest_chance: float

    @property
    def difference(self) -> float:
        """UAR of the first group less that of the second."""
        return self.uar[0] - self.uar[1]

    def record(self, names: tuple[str, str]) -> dict[str, Any]:
        """As behaviour.json holds it; names: of the two groups."""
        return {"uar": dict(zip(names, self.uar, strict=True)),
                "speakers": dict(zip(names, self.speakers, strict=True)), "corpora": list(self.corpora),
                "classes": self.classes, "difference": self.difference, "exchanges": self.exchanges,
                "chance": self.chance, "smallest_chance": self.smallest_chance}


def compare_groups(voices: Voices, group: np.ndarray, least: int, exchanges: int, seed: int) -> Comparison | None:
    """Hold the difference in UAR between two groups of speakers against exchanges of speakers.

    Args:
        voices: what s speakers said.
        group: 0 or 1 for each speaker, UNKNOWN for one that is left out, int (s,).
        least: utterances of a class that both groups need in a corpus, or the class is not compared there.
        exchanges: the most that are made; all of them where there are no more.
        seed: of the sample otherwise.

    Only corpora with speakers of both groups count: elsewhere corpus and group cannot be told apart. A corpus with a
    and b speakers weighs a * b / (a + b): the more, the better its difference is known. None where no class can be
    compared.
    """
    corpora = [corpus for corpus in voices.divided(group) if corpus.uar(least)[1].any()]
    if not corpora:
        return None
    sizes = np.array([corpus.sizes for corpus in corpora])
    share = sizes.prod(1) / sizes.sum(1)
    share /= share.sum()
    uar = share @ np.concatenate([corpus.uar(least)[0] for corpus in corpora])
    exchanged, every = _exchanges([corpus.first for corpus in corpora], exchanges, seed)
    apart = sum(weight * np.subtract(*corpus.uar(least, first)[0].T)
                for weight, corpus, first in zip(share, corpora, exchanged, strict=True))
    as_far = int((np.abs(apart) >= abs(uar[0] - uar[1]) - 1e-12).sum())
    made = len(exchanged[0])
    mirrored = every and bool((sizes[:, 0] == sizes[:, 1]).all())   # the mirror image of an exchange differs as much
    first, second = sizes.sum(0)
    return Comparison((float(uar[0]), float(uar[1])), (int(first), int(second)),
                      tuple(corpus.name for corpus in corpora),
                      int(np.concatenate([corpus.uar(least)[1] for corpus in corpora]).any(0).sum()), made,
                      (as_far + (not every)) / (made + (not every)), (1 + mirrored) / (made + (not every)))


def _exchanges(observed: Sequence[np.ndarray], most: int, seed: int) -> tuple[list[np.ndarray], bool]:
    """Exchanges of speakers between two groups, within each corpus, and whether these are all that there are.

    observed: who is in the first group of each corpus, bool (m,). Returns the same of each exchange, bool (e, m).
    """
    if prod(comb(len(first), int(first.sum())) for first in observed) > most:
        draw = generator(seed, "exchanged speakers")
        return [draw.permuted(np.tile(first, (most, 1)), axis=1) for first in observed], False
    ways = []
    for first in observed:
        chosen = np.array(list(combinations(range(len(first)), int(first.sum()))))
        ways.append((chosen[:, :, None] == np.arange(len(first))).any(1))
    together = np.meshgrid(*(np.arange(len(own)) for own in ways), indexing="ij")
    return [own[index.ravel()] for own, index in zip(ways, together, strict=True)], True
