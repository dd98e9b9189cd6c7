"""YAML and JSON from outside: plain data of a bounded size, or one line that says what is wrong with it.

Dates stay text. A key that stands twice in one mapping is a fault: one of its values would be lost.
"""

import difflib
import json
import os
import reprlib
import stat
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from yaml.nodes import ScalarNode

from ser_ops.errors import UserError
from ser_ops.terminal import excerpt

LONGEST_JSON = 16 * 2**20   # bytes; a model card with 22,000 labels has one million, and 16 stay below 1 GB as values
LONGEST_YAML = 2**19        # bytes; params.yaml and MLmodel have some 20,000, and half a million takes seconds
DEEPEST = 64                # brackets in brackets; the project's own files have ten
LONGEST_NUMBER = 64         # digits; more of them are no choice and no measurement, and cost time to convert
_REPEATED = 10_000          # values that aliases may stand for together; those of params.yaml stand for 200
_FAULTS = 5                 # that are said of one document
_TAG = "tag:yaml.org,2002:"
_PLAIN = {_TAG + name for name in ("str", "int", "float", "bool", "null", "seq", "map")}
_STAGE = "remove it and run its stage again"

Model = TypeVar("Model", bound=BaseModel)


def read_json(path: Path, missing: str = "run the stage that writes it", damaged: str = _STAGE,
              longest: int = LONGEST_JSON) -> Any:
    """Read strict JSON: no NaN and no infinity.

    `missing` and `damaged` say what to do where the file cannot be read and where it is not JSON.
    Raises UserError for either, and for a file beyond `longest` bytes or DEEPEST.
    """
    return parse_json(_read(path, longest, missing), str(path), damaged, longest=longest)


def parse_json(content: str | bytes, where: str, damaged: str = _STAGE, nan: bool = False,
               longest: int = LONGEST_JSON) -> Any:
    """Parse JSON text as `read_json` does; `where` names its origin in messages, `nan` admits NaN.

    >>> parse_json('{"a": [1, 2.5]}', "here")
    {'a': [1, 2.5]}
    >>> parse_json('{"a": NaN}', "here", "send it again")
    Traceback (most recent call last):
    ...
    ser_ops.errors.UserError: here: is not JSON (NaN is no number): send it again
    """
    text = _text(content, where, "JSON", longest, damaged)
    try:
        value = json.loads(text, object_pairs_hook=_mapping, parse_constant=float if nan else _no_number,
                           parse_float=_float, parse_int=_int)
    except RecursionError:
        raise _too_deep(where, "JSON", damaged) from None
    except ValueError as error:
        raise _fault(where, f"is not JSON ({error})", damaged) from error
    layer = [value]
    for _ in range(DEEPEST):
        layer = [inner for outer in layer if isinstance(outer, dict | list)
                 for inner in (outer.values() if isinstance(outer, dict) else outer) if isinstance(inner, dict | list)]
    if layer:
        raise _too_deep(where, "JSON", damaged)
    return value


def read_yaml(path: Path, missing: str, damaged: str = "mend it") -> Any:
    """Read one YAML document of plain data; None for an empty one.

    `missing` and `damaged` say what to do where the file cannot be read and where it is not YAML.
    Raises UserError for either, for a file beyond LONGEST_YAML or DEEPEST, for tags that make objects, and for aliases
    that stand for more than _REPEATED values.
    """
    return parse_yaml(_read(path, LONGEST_YAML, missing), str(path), damaged)


def parse_yaml(content: str | bytes, where: str, damaged: str = "mend it", longest: int = LONGEST_YAML) -> Any:
    """Parse YAML text as `read_yaml` does; `where` names its origin in messages.

    >>> parse_yaml("a: &x {b: 1, d: 2026-11-28}\\nc: {<<: *x, b: 2}", "here")
    {'a': {'b': 1, 'd': '2026-11-28'}, 'c': {'b': 2, 'd': '2026-11-28'}}
    >>> parse_yaml("a: 1\\na: 2", "here")
    Traceback (most recent call last):
    ...
    ser_ops.errors.UserError: here: is not YAML in line 2: the key 'a' is given twice: mend it
    """
    text = _text(content, where, "YAML", longest, damaged)
    try:
        _guard(text)
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise _fault(where, f"is not YAML{line}: {error.problem or error.context}", damaged) from error
    except Exception as error:  # PyYAML lets ValueError, KeyError, AttributeError and others through
        raise _fault(where, f"is not YAML ({error or type(error).__name__})", damaged) from error


def validated_model(kind: type[Model], content: Any, where: str, remedy: str = "") -> Model:
    """`content` as a `kind`. Raises UserError that names each key, its value and what is allowed, then `remedy`."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        faults = error.errors()
        said = "; ".join(_sentence(kind, fault) for fault in faults[:_FAULTS])
        said += f"; and {len(faults) - _FAULTS} more" if len(faults) > _FAULTS else ""
        raise UserError(f"{where}: {said}" + (f": {remedy}" if remedy else "")) from error


def _read(path: Path, longest: int, missing: str) -> bytes:
    """One byte more than the longest at most."""
    try:
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UserError(f"{path}: is a pipe, a socket or a device, not a file: {missing}")
            return file.read(longest + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}): {missing}") from error
    except ValueError as error:     # a name that no file can have
        raise _fault(str(path), f"cannot be read ({error})", missing) from error


def _at_once(path: str, flags: int) -> int:
    """Opens a pipe without waiting for who writes into it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _text(content: str | bytes, where: str, language: str, longest: int, damaged: str) -> str:
    if len(content) > longest:
        raise _fault(where, f"is larger than {longest / 2**20:g} MiB, which no {language} of ser-ops is", damaged)
    if isinstance(content, str):
        return content.removeprefix("\ufeff")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _fault(where, f"is not {language} in line {line}: byte {content[error.start]:#04x} is not UTF-8",
                     f"save it as UTF-8, or {damaged}") from error


def _fault(where: str, what: str, remedy: str) -> UserError:
    """The fault in one printable line, whatever the document holds."""
    return UserError(f"{where}: {excerpt(what)}: {remedy}")


def _too_deep(where: str, language: str, damaged: str) -> UserError:
    return _fault(where, f"is not {language} of ser-ops: its brackets are nested more than {DEEPEST} deep", damaged)


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {reprlib.repr(twice)} is given twice")
    return mapping


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _int(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:LONGEST_NUMBER]} is beyond every number")
    return value


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain data alone; what looks like a date stays text."""

    yaml_implicit_resolvers = {     # noqa: RUF012, PyYAML's own name
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TAG + "timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}


class _Size(NamedTuple):
    """Of a value: how many values it holds, itself included, and how deep they lie."""

    values: int = 1
    depth: int = 0


class _Opened:
    """A mapping or sequence whose end has not come yet."""

    def __init__(self, event: yaml.CollectionStartEvent) -> None:
        self.anchor = event.anchor
        self.keys: set[tuple[str, str]] | None = set() if isinstance(event, yaml.MappingStartEvent) else None
        self.at_key = self.keys is not None
        self.values, self.depth = 1, 1

    def take(self, size: _Size) -> None:
        """What came inside it is whole."""
        self.values, self.depth = self.values + size.values, max(self.depth, 1 + size.depth)
        self.at_key = self.keys is not None and not self.at_key


def _guard(text: str) -> None:
    """Look at the parser's events, which cost no recursion, before any value is made.

    Raises MarkedYAMLError for what is too deep, too much, no plain data, or lost.
    """
    loader, opened, anchors, repeated = _Loader(text), list[_Opened](), dict[str, _Size](), 0
    try:
        while loader.check_event():
            event = loader.get_event()
            if isinstance(event, yaml.NodeEvent) and not isinstance(event, yaml.AliasEvent):
                _check_plain(loader, event)
            if isinstance(event, yaml.CollectionStartEvent):
                opened.append(_Opened(event))
                _check_depth(event, len(opened))
                continue
            if isinstance(event, yaml.CollectionEndEvent):
                closed = opened.pop()
                anchor, size = closed.anchor, _Size(closed.values, closed.depth)
            elif isinstance(event, yaml.AliasEvent):
                if event.anchor not in anchors:
                    raise _at(event, f"the alias *{event.anchor} is undefined, or contains itself")
                anchor, size = None, anchors[event.anchor]
                repeated += size.values
                _check_depth(event, len(opened) + size.depth)
                if repeated > _REPEATED:
                    raise _at(event, f"its aliases expand to more than {_REPEATED:,} values")
            elif isinstance(event, yaml.ScalarEvent):
                anchor, size = event.anchor, _Size()
                if opened and opened[-1].at_key:
                    _check_key(loader, event, opened[-1])
            else:
                continue
            if anchor:
                anchors[anchor] = size
            if opened:
                opened[-1].take(size)
    finally:
        loader.dispose()


def _at(event: yaml.Event, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def _check_depth(event: yaml.Event, depth: int) -> None:
    if depth > DEEPEST:
        raise _at(event, f"it is nested more than {DEEPEST} deep")


def _check_plain(loader: Any, event: Any) -> None:
    if event.tag not in (None, "!") and event.tag not in _PLAIN:
        raise _at(event, f"the tag {event.tag} is not plain data")
    if isinstance(event, yaml.ScalarEvent) and len(event.value) > LONGEST_NUMBER and \
            _tag(loader, event) in (_TAG + "int", _TAG + "float"):
        raise _at(event, f"a number has {len(event.value)} digits")


def _check_key(loader: Any, event: yaml.ScalarEvent, mapping: _Opened) -> None:
    key = (_tag(loader, event), event.value)
    if mapping.keys is not None and key in mapping.keys:
        raise _at(event, f"the key {reprlib.repr(event.value)} is given twice")
    if mapping.keys is not None:
        mapping.keys.add(key)


def _tag(loader: Any, event: yaml.ScalarEvent) -> str:
    return event.tag or loader.resolve(ScalarNode, event.value, event.implicit)


def _sentence(kind: type[BaseModel], error: Any) -> str:
    *parents, key = error["loc"] or ("",)
    where = excerpt(".".join(map(str, error["loc"]))) or "all of it"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(key), _known_keys(kind, tuple(parents)), n=1)
        return f"{where}: unknown key" + (f", did you mean {near[0]!r}?" if near else ": remove it")
    if error["type"] == "missing":
        return f"{where}: missing key"
    message = error["msg"].removeprefix("Value error, ")
    value = "" if isinstance(error["input"], dict) else f" is {excerpt(reprlib.repr(error['input']))}"
    return f"{where}{value}: {message[0].lower()}{message[1:]}"


def _known_keys(model: Any, location: tuple[str | int, ...]) -> list[str]:
    for part in location:
        if isinstance(model, type) and issubclass(model, BaseModel) and part in model.model_fields:
            model = model.model_fields[str(part)].annotation
        else:
            arguments = getattr(model, "__args__", ())
            model = arguments[-1] if arguments else None
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
