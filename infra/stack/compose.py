"""A compose file, read as Compose reads it, as far as plain processes need it."""

import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ser_ops.errors import UserError

_VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|(?P<plain>\w+)|\{(?P<name>\w+)(?:(?P<how>:?[-?+])(?P<word>[^}]*))?\})")
_DURATION = re.compile(r"(?:(\d+)m)?(?:(\d+)s)?")


@dataclass(frozen=True)
class Health:
    """How to see that a service answers; times in seconds."""

    command: tuple[str, ...]
    timeout: float


@dataclass(frozen=True)
class Service:
    """One service: its start command, its environment, and what it waits for (service to condition)."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    needs: dict[str, str]
    health: Health | None
    ports: dict[str, int]
    profiles: tuple[str, ...]
    stop_signal: signal.Signals
    grace: float


def read(file: Path, variables: Mapping[str, str]) -> dict[str, Service]:
    """All services of a compose file by name, with ${VARIABLES} filled in.

    Raises UserError for a variable that must be set and is not.
    """
    raw = yaml.safe_load(file.read_text(encoding="utf-8"))["services"]
    return {name: _service(name, content, variables) for name, content in raw.items()}


def client(file: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The environment that a compose file's `x-client` gives to every client of its services."""
    return dict(_filled(yaml.safe_load(file.read_text(encoding="utf-8"))["x-client"], variables))


def silence(file: Path, variables: Mapping[str, str]) -> float:
    """How many seconds a service may be silent before it answers: a compose file's `x-silence-seconds`.

    Raises UserError when it is no number above 0.
    """
    written = _filled(yaml.safe_load(file.read_text(encoding="utf-8"))["x-silence-seconds"], variables)
    try:
        seconds = float(written)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UserError(f"STACK_SILENCE_SECONDS: '{written}' is no number of seconds above 0: mend it in the .env file")
    return seconds


def required(file: Path) -> list[str]:
    """The variables of a compose file that have no default, in the order in which they first appear."""
    return list(dict.fromkeys(match["name"] for match in _VARIABLE.finditer(file.read_text(encoding="utf-8"))
                              if match["how"] in ("?", ":?")))


def ports(file: Path) -> list[str]:
    """The variables of a compose file that hold a port."""
    return list(dict.fromkeys(match["name"] for match in _VARIABLE.finditer(file.read_text(encoding="utf-8"))
                              if match["name"] and match["name"].endswith("_PORT")))


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Fill in $NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?}, ${NAME?}, ${NAME:+word} and ${NAME+word}.

    >>> interpolate("$${A} ${A:-b} ${C:-d} ${C:+e}", {"A": "a"})
    '${A} a d '
    """

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name, how, word = match["name"] or match["plain"], match["how"] or "", match["word"] or ""
        there = name in variables and (bool(variables[name]) or not how.startswith(":"))
        if how.endswith("?") and not there:
            raise UserError(f"{name} is not set: add it to the .env file of the stack {word}".rstrip())
        if how.endswith("-"):
            return variables[name] if there else word
        if how.endswith("+"):
            return word if there else ""
        return variables.get(name, "")

    return _VARIABLE.sub(value, text)


def _service(name: str, raw: dict[str, Any], variables: Mapping[str, str]) -> Service:
    content = _filled(raw, variables)
    health = content.get("healthcheck")
    # Its own ports; those of services that it asks stand in its environment alone.
    said = _texts([raw.get(key) for key in ("command", "ports", "healthcheck")])
    ports = {match["name"]: match["word"] for text in said for match in _VARIABLE.finditer(text)
             if match["name"] and match["name"].endswith("_PORT")}
    return Service(
        name=name,
        command=tuple(content.get("command", ())),
        environment=dict(content.get("environment", {})),
        needs={needed: how["condition"] for needed, how in content.get("depends_on", {}).items()},
        health=_health(health) if health else None,
        ports={port: int(variables.get(port) or default) for port, default in sorted(ports.items())},
        profiles=tuple(content.get("profiles", ())),
        stop_signal=signal.Signals[content.get("stop_signal", "SIGTERM")],
        grace=_seconds(content.get("stop_grace_period", "10s")),
    )


def _health(content: dict[str, Any]) -> Health:
    return Health(command=tuple(content["test"][1:]), timeout=_seconds(content["timeout"]))


def _filled(content: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(content, str):
        return interpolate(content, variables)
    if isinstance(content, dict):
        return {key: _filled(value, variables) for key, value in content.items()}
    if isinstance(content, list):
        return [_filled(value, variables) for value in content]
    return content


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from _texts(value)
    elif isinstance(content, list):
        for value in content:
            yield from _texts(value)


def _seconds(duration: str) -> float:
    """
    >>> _seconds("1m30s")
    90.0
    """
    match = _DURATION.fullmatch(duration)
    if not match:
        raise UserError(f"'{duration}' is no duration: write it as 90s or 1m30s")
    minutes, seconds = match.groups(default="0")
    return float(int(minutes) * 60 + int(seconds))
