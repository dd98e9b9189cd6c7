"""Lines for people: printable whatever a file's name holds, and on any terminal."""

import io
import re
import sys


def shown(text: str) -> str:
    r"""`text` with whatever does not print written as Python writes it: line breaks, controls, halves of characters.

    A name may hold what moves the cursor, turns the direction of writing or is no text at all.

    >>> print(shown("Größe\n\x1b[2J\u202e\udcf6.wav"))
    Größe\n\x1b[2J\u202e\udcf6.wav
    """
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def excerpt(content: object, longest: int = 160) -> str:
    r"""What a file or another tool says, for a sentence of ours: one line that prints, at most so many characters.

    >>> print(excerpt("no\n  table: '\t'"), excerpt("x" * 200, 5))
    no table: '\t' xxxxx ...
    """
    line = shown(_on_one_line(str(content)))
    return line if len(line) <= longest else f"{line[:longest]} ..."


def tell(line: str, aside: bool = False) -> None:
    """Print one line on standard output, or on standard error where it stands `aside` from the answers."""
    print(shown(line), file=sys.stderr if aside else sys.stdout, flush=True)


def complain(error: Exception) -> None:
    """Print the line that ends a command. What another tool said in several lines becomes part of it."""
    tell(f"error: {_on_one_line(str(error))}", aside=True)


def _on_one_line(text: str) -> str:
    return re.sub(r"\s*\n\s*", " ", text.strip())


def print_anywhere() -> None:
    """From now on a character that the locale cannot encode is printed as an escape and raises nothing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
