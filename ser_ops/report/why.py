"""Explanations as the page shows them: whatever methods a model admits, with words that say what each one draws."""

from collections.abc import Mapping, Sequence
from typing import Any

from ser_ops.pages.words import pick

# In the order in which a clip's pictures stand.
METHODS: dict[str, str] = {"scorecam": "Score-CAM", "gradcam": "Grad-CAM", "occlusion": "occlusion", "shap": "SHAP"}
_DRAWN = {
    "scorecam": "Darker moments are where the maps of the spectral stream's last convolution raise the probability of "
                "the answer; edges are soft, and what speaks against the answer is not shown.",
    "gradcam": "What is marked is where a change of the model's last maps would raise the answer's score most; edges "
               "are as soft as those maps are coarse, and what speaks against the answer is not shown.",
    "occlusion": "Darker moments are those whose muting costs the answer most."}


def name_of(method: Any) -> str:
    """A method as it is written.

    >>> name_of("gradcam"), name_of("scorecam")
    ('Grad-CAM', 'Score-CAM')
    """
    return METHODS.get(str(method), str(method))


def shown(clip: Any) -> list[dict[str, Any]]:
    """The pictures of one clip of explanations.json: [{method, name, figure, curve}].

    A method has a figure of its own, or the clip has one for all; a figure is shown once.
    """
    found: list[dict[str, Any]] = []
    for method, name in METHODS.items():
        curve = pick(clip, method)
        figure = pick(curve, "figure") or pick(clip, "figures", method) or pick(clip, "figure")
        if isinstance(curve, Mapping) and figure not in [one["figure"] for one in found]:
            found.append({"method": method, "name": name, "figure": figure, "curve": curve})
    return found


def methods(explanations: Any) -> list[str]:
    """Those of the pictures that the clips have, in the order of METHODS."""
    used = {one["method"] for clip in pick(explanations, "clips") or [] for one in shown(clip)}
    return [method for method in METHODS if method in used]


def words(explanations: Any, streams: Sequence[str]) -> list[str]:
    """What the pictures show and what they do not. streams: those of the model."""
    used = methods(explanations)
    found = [f"{METHODS[method]}: {_DRAWN[method]}" if len(used) > 1 else _DRAWN[method]
             for method in used if method in _DRAWN]
    blur = pick(explanations, "blur")
    if "scorecam" in used and isinstance(blur, str):
        found.append(f"Each step of a map has seen {blur}.")
    if {"scorecam", "gradcam"} & set(used) and "wav2vec" in streams and len(streams) > 1:
        found.append("The Wav2Vec 2.0 stream is not in the pictures: it kept hearing the whole waveform.")
    return [*found, "Seconds count from the start of the window that the model hears; hatched is padding."]
