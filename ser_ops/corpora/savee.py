"""SAVEE: DC_a01 in one folder, or a01 under DC/ (Haq and Jackson 2009)."""

import re
from pathlib import PurePosixPath

from ser_ops.corpora.layout import Layout, ParsedName, Skip

_EMOTIONS = {"a": "angry", "d": "disgust", "f": "fear", "h": "happy", "n": "neutral", "sa": "sad", "su": "surprise"}
_SPEAKERS = ("DC", "JE", "JK", "KL")
_NAME = re.compile(r"(?:(DC|JE|JK|KL)_)?(a|d|f|h|n|sa|su)(\d\d)", re.IGNORECASE)


def parse(path: PurePosixPath) -> ParsedName | Skip:
    """Labels from a SAVEE file name, or from a name and its folder.

    >>> parse(PurePosixPath("DC_su03.wav")) == parse(PurePosixPath("DC/su03.wav"))
    False
    >>> parse(PurePosixPath("DC/su03.wav"))
    ParsedName(name='DC_su03', home='DC', emotion='surprise', speaker='DC', gender='male', intensity='', text='su03')
    """
    name = _NAME.fullmatch(path.stem)
    if name is None or not 1 <= int(name[3]) <= (30 if name[2].lower() == "n" else 15):
        return Skip("name is not SS_eNN, or eNN under SS, of SAVEE", known=False)
    folder = path.parent.name.upper()
    speaker = name[1].upper() if name[1] else folder
    if speaker not in _SPEAKERS:
        return Skip("no folder DC, JE, JK or KL says who speaks")
    if folder in _SPEAKERS and folder != speaker:
        return Skip("folder and file name name different speakers")
    code = name[2].lower()
    return ParsedName(f"{speaker}_{code}{name[3]}", "" if name[1] else speaker, _EMOTIONS[code], speaker, "male", "",
                      f"{code}{name[3]}")


SAVEE = Layout(
    name="savee",
    title="SAVEE",
    licence="free for research after registration, not to be passed on",
    source="http://kahlan.eps.surrey.ac.uk/savee/",
    example="DC/a01.wav or DC_a01.wav",
    speakers=4,
    counts={"angry": 60, "disgust": 60, "fear": 60, "happy": 60, "neutral": 120, "sad": 60, "surprise": 60},
    parse=parse,
)
