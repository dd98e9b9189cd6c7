"""Columns that say, by their names, that they cut a recording or choose its channel.

Names are taken word by word. A word that means it only among its like must be all of the name with them: `from` and
`first_sample` cut, `first_name` and `segment_id` do not.
"""

import re

_UNIT = r"(?:time|timestamp|s|secs?|seconds?|ms|msecs?|milliseconds?|samples?|frames?|pos|position|point|idx|index)"
_OF_WHAT = r"(?:t|x|time|seg|segment|utt|utterance|word|turn|clip|audio|speech|frame|sample)"
_NUMBER = r"(?:no|nr|num|number|id|idx|index)?\d*"
_EDGE = re.compile(rf"{_OF_WHAT}?(?:start|begin|beginning|end|finish|stop|onset|offset){_UNIT}?|"
                   rf"{_OF_WHAT}(?:min|max)|t[01]")
_EDGE_AMONG = re.compile(
    rf"(?:from|to|in|out|first|last|min|max|seg|segments?|intervals?|span|range|cut|crop|trim){_UNIT}?")
_LASTING = re.compile(rf"{_OF_WHAT}?(?:duration|dur|length|len){_UNIT}?")
_AMONG = re.compile(f"{_OF_WHAT}|{_UNIT}")
_OTHER_EDGES = {"date", "day", "year", "age", "dc"}     # of a session, of an illness, of a level
_CHANNEL = re.compile(rf"(?:channel|chan|chn){_NUMBER}")
_CHANNEL_ALONE = re.compile(rf"ch[\W_]*{_NUMBER}")
_COUNTING = {"n", "count"}


def cuts(column: str, beside_start: bool) -> bool:
    """Whether a column (in small letters) says where a part of a recording lies.

    beside_start: the table has a column `start`, beside which a duration says so too.

    >>> [cuts(name, False) for name in ("tmin", "end (ms)", "from", "first_sample")]
    [True, True, True, True]
    >>> [cuts(name, False) for name in ("sender", "first_name", "start_date", "duration")], cuts("duration", True)
    ([False, False, False, False], True)
    """
    words = _words(column)
    if any(_EDGE.fullmatch(word) for word in words):
        return not _OTHER_EDGES & set(words)
    cutting = [word for word in words if _EDGE_AMONG.fullmatch(word) or (beside_start and _LASTING.fullmatch(word))]
    return bool(cutting) and all(word in cutting or _AMONG.fullmatch(word) or _LASTING.fullmatch(word)
                                 for word in words)


def chooses_channel(column: str) -> bool:
    """Whether a column (in small letters) says which channel is meant; how many there are chooses none.

    >>> [chooses_channel(name) for name in ("chan", "channel_no", "ch", "channels", "channel_count")]
    [True, True, True, False, False]
    """
    words = _words(column)
    named = _CHANNEL_ALONE.fullmatch(column) or any(_CHANNEL.fullmatch(word) for word in words)
    return bool(named) and not _COUNTING & set(words)


def _words(column: str) -> list[str]:
    return re.findall(r"[^\W_]+", column)
