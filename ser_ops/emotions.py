"""The seven classes, in the one order that holds everywhere (tables II and III of paper 1)."""

import unicodedata

EMOTIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
DROP = "drop"       # what a corpus maps a label to whose recordings it leaves out


def class_index(emotion: str) -> int:
    """Class index, 0 to 6, of an emotion's name.

    Raises ValueError for a name that is not one of the seven.

    >>> class_index("fear")
    2
    """
    return EMOTIONS.index(emotion)


def normalised_label(label: str) -> str:
    r"""A corpus's label in the form in which it is compared: case, space and the spelling of accents do not count.

    >>> normalised_label(" Very  Happy "), normalised_label("A\u0308rger") == normalised_label("\u00e4rger")
    ('very happy', True)
    """
    return unicodedata.normalize("NFC", " ".join(label.split()).casefold())
