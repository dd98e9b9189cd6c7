"""A corpus's own labels: what each is mapped to."""

from collections.abc import Mapping
from pathlib import Path

from ser_ops.documents import read_yaml
from ser_ops.emotions import DROP, EMOTIONS, same_label
from ser_ops.errors import UserError
from ser_ops.terminal import excerpt

_FORM = "write joy=happy,bored=drop, or give a YAML file of lines such as joy: happy"


def read_labels(given: str) -> dict[str, str]:
    """Labels and what each is mapped to, one of the seven emotions or drop: from the text itself, or a YAML file.

    given: label=emotion, parted by commas, or the path of a .yaml, .yml or .json file.
    Raises UserError in one line that names the label which is mapped to nothing that there is, or to two emotions.

    >>> read_labels("joy=happy, Bored=drop")
    {'joy': 'happy', 'Bored': 'drop'}
    """
    if given.lower().endswith((".yaml", ".yml", ".json")):
        where, pairs = given, _of_file(Path(given))
    else:
        where, pairs = "--labels", [_pair(one) for one in given.split(",") if one.strip()]
    targets: dict[str, str] = {}
    for label, target in pairs:
        if target not in (*EMOTIONS, DROP):
            raise UserError(f"{where}: {excerpt(label)!r} is mapped to {excerpt(target)!r}: give one of "
                            f"{', '.join(EMOTIONS)}, or {DROP}")
        if targets.setdefault(same_label(label), target) != target:
            raise UserError(f"{where}: {excerpt(label)!r} is mapped twice, capitals left aside: give it one emotion")
    return dict(pairs)


def mapping(labels: Mapping[str, str]) -> dict[str, str]:
    """From each label, in the form in which it is compared, to an emotion or drop; an emotion is its own label."""
    return {emotion: emotion for emotion in EMOTIONS} | {same_label(label): target for label, target in labels.items()}


def _pair(text: str) -> tuple[str, str]:
    label, sign, target = text.rpartition("=")
    if not sign or not label.strip():
        raise UserError(f"--labels: {excerpt(text)!r} maps nothing: {_FORM}")
    return label.strip(), target.strip().lower()


def _of_file(path: Path) -> list[tuple[str, str]]:
    content = read_yaml(path, "name a file that is there", _FORM)
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no labels: {_FORM}")
    if wrong := [label for label in content if not isinstance(label, str)]:
        raise UserError(f"{path}: {excerpt(repr(wrong[0]))} is no text: put that label into quotes")
    return [(label, str(target).strip().lower()) for label, target in content.items()]
