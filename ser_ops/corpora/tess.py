"""TESS: OAF_angry/OAF_back_angry (Pichora-Fuller and Dupuis 2020)."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from ser_ops.corpora.layout import Layout, Oddity, ParsedName, Skip

_EMOTIONS = {"angry": "angry", "disgust": "disgust", "fear": "fear", "happy": "happy", "neutral": "neutral",
             "ps": "surprise", "sad": "sad"}
_NAME = re.compile(r"(OAF|YAF|OA)_([a-z]+)_(angry|disgust|fear|happy|neutral|ps|sad)", re.IGNORECASE)
_FOLDER = re.compile(r"(OAF|YAF)_(angry|disgust|fear|happy|neutral|pleasant_surprised?|ps|surprised?|sad)",
                     re.IGNORECASE)


def parse(path: PurePosixPath) -> ParsedName | Skip:
    """What a TESS name says; capital and small letters are alike, and the misspelt prefix OA is OAF.

    >>> parse(PurePosixPath("OAF_Pleasant_surprise/OAF_back_ps.wav"))
    ParsedName(name='OAF_back_ps', home='OAF_Pleasant_surprise', emotion='surprise', speaker='OAF', gender='female', \
intensity='', text='back')
    >>> parse(PurePosixPath("OAF_neutral/OA_bite_neutral.wav")).name
    'OAF_bite_neutral'
    """
    name = _NAME.fullmatch(path.stem)
    if name is None:
        return Skip("name is not SSS_word_emotion of TESS", known=False)
    speaker = "YAF" if name[1].upper() == "YAF" else "OAF"
    word, code = name[2].lower(), name[3].lower()
    folder = _FOLDER.fullmatch(path.parent.name)
    if folder and (folder[1].upper() != speaker or _folder_emotion(folder[2]) != _EMOTIONS[code]):
        return Skip("folder and file name name different speakers or emotions")
    return ParsedName(f"{speaker}_{word}_{code}", path.parent.name if folder else f"{speaker}_{code}", _EMOTIONS[code],
                      speaker, "female", "", word)


def _folder_emotion(name: str) -> str:
    return _EMOTIONS.get(name.lower(), "surprise")


def _notes(paths: Iterable[PurePosixPath]) -> list[str]:
    misspelt, folders = [], set()
    for path in paths:
        if path.stem.upper().startswith("OA_"):
            misspelt.append(path.stem)
        if _FOLDER.fullmatch(path.parent.name):
            folders.add(path.parent.name)
    mixed = sorted(folder for folder in folders if folder[4:] != folder[4:].lower())
    notes = [f"speaker prefix misspelt, read as OAF: {', '.join(misspelt)}"] if misspelt else []
    if mixed and len(mixed) < len(folders):
        notes.append(f"folder names mix capital and small letters, read alike: {', '.join(mixed)}")
    return notes


TESS = Layout(
    name="tess",
    title="TESS",
    licence="CC BY-NC-ND 4.0",
    source="https://doi.org/10.5683/SP2/E8H2MF",
    example="OAF_angry/OAF_back_angry.wav",
    speakers=2,
    counts=dict.fromkeys(("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"), 400),
    parse=parse,
    oddities=(Oddity(("OAF_food_fear",), "published at 96,000 Hz, all others at 24,414, read like them"),),
    notes=_notes,
)
