"""The seven classes, in the one order that holds everywhere (tables II and III of paper 1)."""

EMOTIONS: tuple[str, ...] = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def index_of(emotion: str) -> int:
    """Class index, 0 to 6, of an emotion's name.

    Raises ValueError for a name that is not one of the seven.

    >>> index_of("fear")
    2
    """
    return EMOTIONS.index(emotion)
