"""Sentences said of many recordings, by kind: why some are left out, and what is warned of."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")
_NAMED = 5      # reasons in words; --json has them all


def grouped(sentences: Iterable[str], whole: bool = False) -> dict[str, int]:
    """How often each thing is said, the most frequent first; numbers that differ are left aside.

    whole: with what stands behind the first colon, which of a refusal is its remedy.

    >>> grouped(["silent: record it again", "0.02 s are shorter than 0.1 s: x", "0.05 s are shorter than 0.1 s: x"])
    {'… s are shorter than 0.1 s': 2, 'silent': 1}
    >>> grouped(["70 dB below: channel 1 is heard", "90 dB below: channel 1 is heard"], whole=True)
    {'… dB below: channel 1 is heard': 2}
    """
    kinds: dict[tuple[str, ...], list[list[str]]] = defaultdict(list)
    for sentence in sentences:
        said = sentence if whole else sentence.split(": ")[0]
        kinds[tuple(_NUMBER.split(said))].append(_NUMBER.findall(said))
    counts = Counter[str]()
    for words, numbers in kinds.items():
        counts[_shared(words, numbers)] += len(numbers)
    return dict(counts.most_common())


def _shared(words: Sequence[str], numbers: Sequence[Sequence[str]]) -> str:
    """What sentences of the same words say: each number where it is the same in all of them."""
    same = [column[0] if len(set(column)) == 1 else "…" for column in zip(*numbers, strict=True)]
    return "".join(word + number for word, number in zip(words, [*same, ""], strict=True))


def in_words(counts: Mapping[str, int]) -> str:
    """The most frequent of what `grouped` counted.

    >>> in_words({"label 'bored' is dropped": 1, "silent": 2})
    "silent (2), label 'bored' is dropped (1)"
    """
    ordered = Counter(counts).most_common()
    named = [f"{kind} ({number})" for kind, number in ordered[:_NAMED]]
    more = sum(number for _, number in ordered[_NAMED:])
    return ", ".join(named + ([f"other reasons ({more})"] if more else []))


def left_out(usage: Mapping[str, Any], what: str) -> str:
    """What stands behind a figure: how many are not used, and why; nothing where all are.

    usage: used, of, and left_out as `grouped` counts.

    >>> left_out({"used": 2, "of": 3, "left_out": {"silent": 1}}, "recordings")
    '; 1 of 3 recordings not used: silent (1)'
    """
    lost = usage["of"] - usage["used"]
    return f"; {lost} of {usage['of']} {what} not used: {in_words(usage['left_out'])}" if lost else ""
