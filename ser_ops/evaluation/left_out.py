"""What is left out beside a figure, by reason, and in words."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_NAMED = 3      # reasons in words; --json has them all


def grouped(sentences: Iterable[str]) -> dict[str, int]:
    """How often each thing is said, the most frequent first; numbers that differ, and remedies, are left aside.

    >>> grouped(["silent: record it again", "0.02 s are shorter than 0.1 s: x", "0.05 s are shorter than 0.1 s: x"])
    {'… s are shorter than … s': 2, 'silent': 1}
    """
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for said in (sentence.split(": ")[0] for sentence in sentences):
        kinds[_NUMBER.sub("…", said)][said] += 1
    counts = Counter({kind if len(said) > 1 else next(iter(said)): said.total() for kind, said in kinds.items()})
    return dict(counts.most_common())


def in_words(counts: Mapping[str, int]) -> str:
    """The most frequent of what `grouped` counted.

    >>> in_words({"silent": 2, "label 'bored' is dropped": 1})
    "silent (2), label 'bored' is dropped (1)"
    """
    named = [f"{kind} ({number})" for kind, number in islice(counts.items(), _NAMED)]
    more = sum(counts.values()) - sum(islice(counts.values(), _NAMED))
    return ", ".join(named + ([f"other reasons ({more})"] if more else []))


def left_out(usage: Mapping[str, Any], what: str) -> str:
    """What stands behind a figure: how many are not used, and why; nothing where all are.

    usage: used, of, and left_out as `grouped` counts.

    >>> left_out({"used": 2, "of": 3, "left_out": {"silent": 1}}, "recordings")
    '; 1 of 3 recordings not used: silent (1)'
    """
    lost = usage["of"] - usage["used"]
    return f"; {lost} of {usage['of']} {what} not used: {in_words(usage['left_out'])}" if lost else ""
