"""The catalogue of methods of explanation: what each is called, what it shows, and of which models it can be asked.

A method is an entry here and the file `ser_ops/explain/methods/<name>.py`, which computes it. Their order here is that
of every page, table and figure; where one method leads, it is the first that the model admits.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from ser_ops.errors import UserError

Streams = Collection[str]   # of a model: "wav2vec", "spectral", "stacked", "image"


@dataclass(frozen=True)
class Method:
    """A method: what pages, figures and the gate need to know of it.

    name      in explanations.json, and of its file in ser_ops/explain/methods
    title     as it is written
    rule      of the gate, which asks for it wherever a model admits it; "" where none does
    colour    of its lines and regions in figures: Okabe and Ito's palette
    lacks     (streams, has_cam_layer, attends) of a model (`ser_ops.model_table.Model`) to why the method does not
              apply to it, in words; "" where it does
    caption   what it shows and what it does not: stands under every picture of it
    evidence  what explanations.json has of it: of each clip a picture with a "curve" over time or with paper 2's metric
              "table", or over all clips the "features" with the largest values
    signed    whether it can speak against a class
    additive  whether its values and the background's score should add up to the clip's (paper 1, equation 25)
    sampled   whether it draws samples, so that another seed gives other values
    needs_background  whether it needs other utterances to compare with
    """

    name: str
    title: str
    rule: str
    colour: str
    lacks: Callable[[Streams, bool, bool], str]
    caption: str
    evidence: Literal["curve", "table", "features"] = "curve"
    signed: bool = False
    additive: bool = False
    sampled: bool = False
    needs_background: bool = False


def _lacks_spectral(streams: Streams, _has_cam_layer: bool, _attends: bool) -> str:
    return "" if "spectral" in streams else "the model has no spectral stream"


def _lacks_mel_maps(streams: Streams, has_cam_layer: bool, _attends: bool) -> str:
    if not {"stacked", "image"} & set(streams):
        return "the model reads no mel spectrogram that its maps could be laid over"
    return "" if has_cam_layer else "the model has no convolution whose maps it could weigh"


def _lacks_names(streams: Streams, _has_cam_layer: bool, _attends: bool) -> str:
    if {"spectral", "stacked"} & set(streams):
        return ""
    if "image" in streams:
        return "the model reads an image, whose pixels are no features with names"
    return "the model has no spectral stream"


def _lacks_nothing(_streams: Streams, _has_cam_layer: bool, _attends: bool) -> str:
    return ""


def _lacks_attention(streams: Streams, _has_cam_layer: bool, attends: bool) -> str:
    if attends:
        return ""
    return ("no learned weights pool its states over time" if "wav2vec" in streams
            else "the model has no waveform stream")


METHODS: dict[str, Method] = {entry.name: entry for entry in (
    Method("scorecam", "Score-CAM", "score_cam", "#D55E00", _lacks_spectral,
           "Moments that, left in while the rest is masked, raise the probability of the class. Edges are as soft as "
           "the last convolution is coarse. It does not show what speaks against the class, nor that a moment is the "
           "cause of the answer."),
    Method("gradcam", "Grad-CAM", "grad_cam", "#AA4499", _lacks_mel_maps,
           "Moments at which a change of the last maps would raise the class's logit most. It does not show what "
           "speaks against the class; edges are as soft as those maps are coarse.", "table"),
    Method("shap", "SHAP", "shap", "#0072B2", _lacks_names,
           "What the features of each moment add to the score, against a background: training speech, or its mean for "
           "a recording of one's own. It does not show which feature, and moments that only count together share what "
           "they bring.", "features", signed=True, additive=True, sampled=True, needs_background=True),
    Method("occlusion", "Occlusion", "occlusion", "#009E73", _lacks_nothing,
           "What the class loses when a short stretch around a moment is muted; below zero, muting helps it. It does "
           "not show cues that the clip has twice, and silence is itself a sound that the model judges.", signed=True),
    Method("attention", "Attention", "", "#56B4E9", _lacks_attention,
           "How much the waveform stream's state at each moment counts in the mean that the classifier reads, the same "
           "for every class. A weight is no reason: it does not show what the state says, nor which sound put it "
           "there, since each state has heard the whole clip."),
)}


def method(name: str) -> Method:
    """The entry of a method. Raises UserError for a name that is not in the catalogue.

    >>> method("shap").title
    'SHAP'
    """
    if name not in METHODS:
        raise UserError(f"unknown method of explanation {name!r}: expected one of {', '.join(METHODS)}")
    return METHODS[name]


def admitted(streams: Streams, has_cam_layer: bool, attends: bool = False) -> tuple[str, ...]:
    """The methods of a model with these streams, in the order of the catalogue.

    >>> admitted(("wav2vec", "spectral"), has_cam_layer=True)
    ('scorecam', 'shap', 'occlusion')
    """
    return tuple(name for name, entry in METHODS.items() if not entry.lacks(streams, has_cam_layer, attends))


def not_admitted(streams: Streams, has_cam_layer: bool, attends: bool = False) -> dict[str, str]:
    """The other methods, each with the reason.

    >>> not_admitted(("image",), has_cam_layer=True)["shap"]
    'the model reads an image, whose pixels are no features with names'
    """
    return {name: why for name, entry in METHODS.items() if (why := entry.lacks(streams, has_cam_layer, attends))}


def in_order(names: Collection[str]) -> list[str]:
    """The names in the order of the catalogue, each once. Raises UserError for one that is not in it.

    >>> in_order(["occlusion", "shap"])
    ['shap', 'occlusion']
    """
    for name in names:
        method(name)
    return [name for name in METHODS if name in names]
