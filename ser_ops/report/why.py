"""Explanations as the page shows them: whatever methods a model admits, with words that say what each one draws."""

from collections.abc import Mapping, Sequence
from typing import Any

from ser_ops.methods import METHODS, in_order
from ser_ops.pages.words import pick


def shown(clip: Any) -> list[dict[str, Any]]:
    """The pictures of one clip of explanations.json: [{method, name, figure, curve}].

    A method has a figure of its own, or the clip has one for all; a figure is shown once.
    """
    found: list[dict[str, Any]] = []
    for method in METHODS.values():
        curve = pick(clip, method.name)
        figure = pick(curve, "figure") or pick(clip, "figures", method.name) or pick(clip, "figure")
        if isinstance(curve, Mapping) and figure not in [one["figure"] for one in found]:
            found.append({"method": method.name, "name": method.title, "figure": figure, "curve": curve})
    return found


def methods(explanations: Any) -> list[str]:
    """Those of the pictures that the clips have, in the order of the catalogue."""
    used = {one["method"] for clip in pick(explanations, "clips") or [] for one in shown(clip)}
    return in_order(used)


def words(explanations: Any, streams: Sequence[str]) -> list[str]:
    """What the pictures show and what they do not. streams: those of the model."""
    used = methods(explanations)
    found = [f"{METHODS[name].title}: {METHODS[name].caption}" if len(used) > 1 else METHODS[name].caption
             for name in used]
    if "wav2vec" in streams and len(streams) > 1 and used:
        found.append("Methods over features do not see the Wav2Vec 2.0 stream: it kept hearing the whole waveform.")
    return [*found, "Seconds count from the start of the window that the model hears; hatched is padding."]
