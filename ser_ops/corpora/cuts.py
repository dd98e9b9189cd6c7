"""Which part of a recording a line of a manifest means: start and end in seconds, and a channel."""

import math
import re

from ser_ops.errors import UserError

_NONE = {"", "nat", "nan", "none", "null"}       # as pandas and others write that there is no value
_NUMBER = re.compile(r"\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+", re.IGNORECASE)
_COMMA = re.compile(r"(\d+),(\d+)")     # as Excel writes 1.5 in many languages
_CLOCK = re.compile(r"(?:(\d+) days? )?(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_DAY = 86400.0


def seconds_of(where: str, column: str, text: str) -> float | None:
    """Seconds that a value of a table says, None for no value: 1.5, or 0 days 00:00:01.500000, or 00:00:01.5.

    where, column: what an error names. Raises UserError for anything else, and for 1,500, which may be two numbers.

    >>> [seconds_of("a.csv: line 2", "end", text) for text in ("2", "0,25", "1 days 00:00:01.5", "NaT")]
    [2.0, 0.25, 86401.5, None]
    """
    if text.lower() in _NONE:
        return None
    if clock := _CLOCK.fullmatch(text):
        days, hours, minutes, seconds = (float(part or 0) for part in clock.groups())
        value = days * _DAY + hours * 3600 + minutes * 60 + seconds
    elif comma := _COMMA.fullmatch(text):
        if len(comma[2]) == 3 and comma[1] != "0" and len(comma[1]) <= 3:
            raise UserError(f"{where} has the {column} {text!r}, which may be thousands or a fraction: write it with a "
                            "point")
        value = float(f"{comma[1]}.{comma[2]}")
    else:
        value = float(text) if _NUMBER.fullmatch(text) else math.inf
    if not math.isfinite(value):
        raise UserError(f"{where} has the {column} {text!r:.60}, which is no time: give seconds from 0 on, as 1.5")
    return value


def check_span(where: str, start: float | None, end: float | None) -> None:
    """Raise UserError where `end` (seconds) does not come after `start`."""
    if end is not None and end <= (start or 0.0):
        raise UserError(f"{where} ends at {end:g} s and starts at {start or 0.0:g} s: let it end later")


def channel_of(where: str, text: str) -> int | None:
    """The number of a channel, from 1 on; None for no value. Raises UserError for anything else.

    >>> channel_of("a.csv: line 2", "2"), channel_of("a.csv: line 3", "")
    (2, None)
    """
    if text.lower() in _NONE:
        return None
    if not re.fullmatch(r"0*[1-9]\d{0,2}(\.0)?", text):
        raise UserError(f"{where} has the channel {text!r:.60}: give its number, from 1 on")
    return int(float(text))


def name_of(start: float | None, end: float | None, channel: int | None) -> str:
    """What the name of an utterance says of the part; nothing for the whole recording.

    >>> name_of(1.5, 3.0, None), name_of(None, 2.0, 1), name_of(2.0, None, None), name_of(0.0, None, None)
    ('@1.5-3', '@0-2@channel1', '@2-end', '')
    """
    span = f"@{start or 0.0:.12g}-{'end' if end is None else f'{end:.12g}'}" if start or end is not None else ""
    return span + (f"@channel{channel}" if channel else "")
