"""RAVDESS speech: Actor_AA/03-01-EE-II-SS-RR-AA (Livingstone and Russo 2018)."""

import re
from pathlib import PurePosixPath

from ser_ops.corpora.layout import Layout, Oddity, ParsedName, Skip

_EMOTIONS = {"01": "neutral", "02": "calm", "03": "happy", "04": "sad", "05": "angry", "06": "fear", "07": "disgust",
             "08": "surprise"}
_INTENSITIES = {"01": "normal", "02": "strong"}
_NAME = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)")
_FOLDER = re.compile(r"Actor_(\d\d)", re.IGNORECASE)
_UNKNOWN = Skip("name is not MM-VV-EE-II-SS-RR-AA of RAVDESS", known=False)


def parse(path: PurePosixPath) -> ParsedName | Skip:
    """What a RAVDESS name says: only modality 03 (audio) and vocal channel 01 (speech) are read.

    >>> parse(PurePosixPath("Actor_12/03-01-05-02-01-01-12.wav"))
    ParsedName(name='03-01-05-02-01-01-12', home='Actor_12', emotion='angry', speaker='12', gender='female', \
intensity='strong', text='statement 1')
    >>> parse(PurePosixPath("03-02-05-02-01-01-12.wav"))
    Skip(reason='song', known=True)
    """
    name = _NAME.fullmatch(path.stem)
    if name is None:
        return _UNKNOWN
    modality, channel, emotion, intensity, statement, repetition, actor = name.groups()
    if (emotion not in _EMOTIONS or intensity not in _INTENSITIES or not 1 <= int(actor) <= 24
            or not {statement, repetition} <= {"01", "02"}):
        return _UNKNOWN
    if modality in ("01", "02"):
        return Skip("video")
    if channel == "02":
        return Skip("song")
    if (modality, channel) != ("03", "01"):
        return _UNKNOWN
    folder = _FOLDER.fullmatch(path.parent.name)
    if folder and folder[1] != actor:
        return Skip("folder and file name name different actors")
    return ParsedName(path.stem, f"Actor_{actor}", _EMOTIONS[emotion], actor, "male" if int(actor) % 2 else "female",
                      _INTENSITIES[intensity], f"statement {int(statement)}")


RAVDESS = Layout(
    name="ravdess",
    title="RAVDESS speech",
    licence="CC BY-NC-SA 4.0",
    source="https://zenodo.org/records/1188976",
    example="Actor_01/03-01-05-01-02-01-01.wav",
    speakers=24,
    counts={"angry": 192, "calm": 192, "disgust": 192, "fear": 192, "happy": 192, "neutral": 96, "sad": 192,
            "surprise": 192},
    parse=parse,
    oddities=(
        Oddity(("03-01-02-01-01-02-01", "03-01-08-01-02-02-01", "03-01-02-01-02-02-05", "03-01-03-01-02-01-20",
                "03-01-06-01-01-02-20"), "published in stereo, brought to mono"),
        Oddity(("03-01-03-01-02-01-07", "03-01-03-01-02-02-07"),
               "published byte for byte the same, the second is not used", keep_out=("03-01-03-01-02-02-07",)),
    ),
)
