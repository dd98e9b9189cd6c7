"""Settings, cards and tables as nobody means them: values of another type or size, syntax at its edges, encodings."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import yaml

from benchmarks.fuzz.damage import damaged

Generator = np.random.Generator
_ENDLESS = "a number of 5,000 digits"   # Python refuses to write it, not to read it
_VALUES: tuple[Any, ...] = (
    None, True, False, "", " ", 0, 1, -1, 0.5, -1.5, 1e308, float("nan"), float("inf"), 2**31, 2**40, 2**63, 10**30,
    _ENDLESS, "x" * 50_000, "\x1b[31mred", "\u202edoc", "two\nlines", "null", "../../etc/passwd", "/dev/zero", "auto",
    [], {}, [[]], [None], [0] * 10_000, {"": ""}, {"a": {"b": {"c": 1}}}, [{}], "NaN", "1", "é", "\udcff")
_SNIPPETS = (
    "x: !!int x", "x: !!float x", "x: !!timestamp x", "x: !!binary x", "x: !!python/object/apply:os.getcwd []",
    "x: &a [*a]", "x: *missing", "<<: 1", "<<: [1]", "<<: *missing", "x: 2024-13-45", "x: 0001-01-01 99:99:99", "=: =",
    "\t- x", "? [a]\n: b", "? {a: b}\n: c", "%YAML 9.9", "---\n---", "...", "x: 1_000:99", "x: 0o9", "x: 0x",
    "!!set {a}", "x: !!omap [a]", "x: !!null y", "x: !!bool maybe", "x: 'open", 'x: "\\ud800"', "x: |\n a\n  b\n c",
    "[" * 30_000, "{" * 30_000, "- " * 5_000, "x: " + "[" * 2_000 + "]" * 2_000, "a: " * 3_000, "x: " + "9" * 5_000,
    "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(    # nine to the power of nine values
        f"{after}: &{after} [{','.join([f'*{before}'] * 9)}]\n" for before, after in pairwise("abcdefghi")))
_ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "cp037")


def _path(value: Any, generator: Generator) -> list[Any]:
    """Keys to a place in nested mappings and sequences, never empty."""
    path: list[Any] = []
    while isinstance(value, dict | list) and value and (not path or generator.integers(4)):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        path.append(keys[generator.integers(len(keys))])
        value = value[path[-1]]
    return path


def changed(value: Any, generator: Generator) -> Any:
    """Nested mappings and sequences with one value or key that is another, missing, doubled or too deep."""
    value = json.loads(json.dumps(value))
    path = _path(value, generator)
    if not path:
        return _VALUES[generator.integers(len(_VALUES))]
    inside = value
    for key in path[:-1]:
        inside = inside[key]
    last = path[-1]
    match generator.integers(6):
        case 0:
            del inside[last]
        case 1 if isinstance(inside, dict):
            inside[f"{last}x"] = inside.pop(last)
        case 2 if isinstance(inside[last], int | float):
            inside[last] *= int(generator.choice([-1, 10, 1000, 10**6, 10**9]))
        case 3:
            for _ in range(int(generator.choice([1, 50]))):
                inside[last] = [inside[last]]
        case _:
            inside[last] = _VALUES[generator.integers(len(_VALUES))]
    return value


def encoded(text: str, generator: Generator) -> bytes:
    """As bytes: mostly UTF-8, now and then in another encoding or with other line ends, or with damaged bytes."""
    fate = generator.integers(8)
    if fate == 0:
        return text.encode(_ENCODINGS[generator.integers(len(_ENCODINGS))], "replace")
    if fate == 1:
        text = text.replace("\n", ("\r\n", "\r", "\n\n", "\0\n", "\u2028", "\x85")[generator.integers(6)])
    data = text.encode("utf-8", "surrogatepass")
    return damaged(data, generator) if fate in (2, 3) else data


def _with_line(text: str, line: str, generator: Generator) -> str:
    lines = text.splitlines()
    lines.insert(int(generator.integers(len(lines) + 1)), line)
    return "\n".join(lines) + "\n"


def _document(value: Any, text: str, write: Callable[[Any], str], generator: Generator) -> bytes:
    """Two of three times the value is changed and written anew, else the text as it was written."""
    if generator.integers(3):
        for _ in range(int(generator.choice([1, 1, 2, 5]))):
            value = changed(value, generator)
        text = write(value)
    elif generator.integers(3):
        text = _with_line(text, _SNIPPETS[generator.integers(len(_SNIPPETS))], generator)
    return encoded(text, generator)


def yaml_of(text: str, generator: Generator) -> bytes:
    """A YAML document with something in it changed."""
    return _document(yaml.safe_load(text), text, _yaml, generator)


class _Dumper(yaml.SafeDumper):
    """PyYAML's own way with strings, which Prefect's command line changes for the whole process."""


_Dumper.add_representer(str, yaml.SafeDumper.represent_str)


def _yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True).replace(_ENDLESS, "9" * 5000)


def json_of(value: Any, generator: Generator) -> bytes:
    """A JSON document with something in it changed; NaN, numbers of 5,000 digits and half surrogates among it."""
    return _document(value, json.dumps(value, indent=1), _json, generator)


def _json(value: Any) -> str:
    return json.dumps(value).replace(f'"{_ENDLESS}"', "9" * 5000)


_CELLS = ("", " ", "x", "-1", "nan", "inf", "1e999", "0", "1e9", "0 days 00:00:01", "00:01", "1,5", "é", "two\nlines",
          '"', "'", "=1+1", "../../etc/passwd", "/dev/zero", "C:\\a.wav", "file:///a.wav", "~", "a" * 5000, "\0",
          "\x1b[31m", "\u202e", "NEUTRAL", "happiness", "a.wav.", ".", "a//b.wav", "\udcff", "x" * 140_000)


def table_of(rows: Sequence[Mapping[str, str]], generator: Generator, delimiter: str = ",") -> bytes:
    """A table as Excel, other programs and people leave it: dialects, empty rows, ragged lines, odd cells."""
    header = list(rows[0])
    lines = [header, *([row[column] for column in header] for row in rows)]
    for _ in range(int(generator.choice([0, 1, 1, 2, 4]))):
        at = int(generator.integers(len(lines)))
        column = int(generator.integers(len(lines[at]))) if lines[at] else 0
        match generator.integers(8):
            case 0:
                lines.insert(at, [""] * int(generator.integers(4)))
            case 1:
                lines[at] = lines[at][:-1] if generator.integers(2) else [*lines[at], "more"]
            case 2:
                lines[0] = [cell.upper() if generator.integers(2) else f" {cell} " for cell in lines[0]]
            case 3:
                lines = [[*line[:column], *line[column + 1:]] for line in lines]
            case 4:
                lines.append(lines[at])
            case 5:
                names = ("start", "end", "duration", "split", "path", "", "Column1", "channel")
                cells = [_CELLS[generator.integers(len(_CELLS))] for _ in lines[1:]]
                lines = [[*line, cell] for line, cell in zip(
                    lines, [names[generator.integers(len(names))], *cells], strict=True)]
            case _ if lines[at]:
                lines[at][column] = _CELLS[generator.integers(len(_CELLS))]
    other = (delimiter, delimiter, delimiter, ";", "\t", "|", ", ")[generator.integers(7)]
    quoted = bool(generator.integers(3) == 0)
    text = "".join(other.join(_cell(cell, other, quoted, generator) for cell in line) + "\n" for line in lines)
    return encoded(text, generator)


def _cell(cell: str, delimiter: str, always: bool, generator: Generator) -> str:
    needed = any(sign in cell for sign in (delimiter, '"', "\n"))
    if always or (needed and generator.integers(5)):    # now and then it is forgotten
        return '"' + cell.replace('"', '""') + '"'
    return cell
