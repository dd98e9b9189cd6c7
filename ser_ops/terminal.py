"""Lines for people: printable whatever a file's name holds, and on any terminal.
"""

import io
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?")
_NAMED = 5      # kinds that are said in words; --json has them all


def print_line(line: str, aside: bool = False) -> None:
    """Print one line on standard output; `aside`: on standard error, apart from the answers."""
    print(printable(line), file=sys.stderr if aside else sys.stdout, flush=True)


def print_error(error: Exception) -> None:
    """Print the line that ends a command. What another tool said in several lines becomes part of it."""
    print_line(f"error: {_on_one_line(str(error))}", aside=True)


def printable(text: str) -> str:
    r"""`text` with whatever does not print written as Python writes it: line breaks, controls, halves of characters.

    A name may hold what moves the cursor, turns the direction of writing or is no text at all.

    >>> print(printable("Größe\n\x1b[2J\u202e\udcf6.wav"))
    Größe\n\x1b[2J\u202e\udcf6.wav
    """
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def excerpt(content: object, longest: int = 160) -> str:
    r"""What a file or another tool says, for a sentence of ours: one line that prints, at most so many characters.

    >>> print(excerpt("no\n  table: '\t'"), excerpt("x" * 200, 5))
    no table: '\t' xxxxx ...
    """
    line = printable(_on_one_line(str(content)))
    return line if len(line) <= longest else f"{line[:longest]} ..."


def _on_one_line(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text.strip())


def escape_unencodable() -> None:
    """From now on a character that the locale cannot encode is printed as an escape and raises nothing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def count_sentences(sentences: Iterable[str], whole: bool = False) -> dict[str, int]:
    """How often each sentence occurs, the most frequent first; sentences that differ in numbers alone count as one.

    whole: with what stands behind the first colon, which of a refusal is its remedy.

    >>> short = ["0.02 s are shorter than 0.1 s: x", "0.05 s are shorter than 0.1 s: x"]
    >>> count_sentences(["silent: record it again", *short])
    {'… s are shorter than 0.1 s': 2, 'silent': 1}
    >>> count_sentences(["70 dB below: channel 1 is heard", "90 dB below: channel 1 is heard"], whole=True)
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


def counts_in_words(counts: Mapping[str, int]) -> str:
    """The most frequent of what `count_sentences` counted.

    >>> counts_in_words({"label 'bored' is dropped": 1, "silent": 2})
    "silent (2), label 'bored' is dropped (1)"
    """
    ordered = Counter(counts).most_common()
    named = [f"{kind} ({number})" for kind, number in ordered[:_NAMED]]
    more = sum(number for _, number in ordered[_NAMED:])
    return ", ".join(named + ([f"other reasons ({more})"] if more else []))


def unused_in_words(usage: Mapping[str, Any], what: str) -> str:
    """What stands behind a figure: how many are not used, and why; nothing where all are.

    usage: used, of, and left_out as `count_sentences` counts.

    >>> unused_in_words({"used": 2, "of": 3, "left_out": {"silent": 1}}, "recordings")
    '; 1 of 3 recordings not used: silent (1)'
    """
    lost = usage["of"] - usage["used"]
    return f"; {lost} of {usage['of']} {what} not used: {counts_in_words(usage['left_out'])}" if lost else ""
