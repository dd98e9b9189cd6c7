"""Whether the explanations are there that the model's architecture admits: the gate's rules on explanations.json."""

from collections.abc import Callable, Collection
from typing import Any

from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation.rules import Rule, decide, number, pick, spared

# Kept apart from what the stage explain says of itself, so that a method which it left out is missed.
ADMITTED: dict[str, tuple[str, ...]] = {
    "spectral": ("scorecam", "shap"), "concat": ("scorecam", "shap"), "fusion": ("scorecam", "shap"),
    "wav2vec": ("occlusion",), "cnn": ("gradcam", "shap"), "cnn_lstm": ("gradcam", "shap"),
    "lstm": ("shap", "occlusion"), "vit": ("gradcam", "occlusion"), "beit": ("gradcam", "occlusion")}

_ALWAYS = ("mean_activation", "max_activation", "activated_area_pct", "confidence")
_OF_AN_AREA = ("entropy", "confidence_drop")
_RANGES = ("time_focus_range", "freq_focus_range")
_WHERE = "whoever relies on an answer must be able to see where in the recording it comes from"
_WHAT = "whoever relies on the model must be able to see what it listens to"


def explained(report: Any, model: str, files: Collection[str]) -> list[Rule]:
    """The rules shap and score_cam, and grad_cam and occlusion for the models that admit them.

    report: explanations.json; files: names of the files under reports/.
    """
    methods = ADMITTED.get(model, ADMITTED["fusion"])
    rules = [
        _shap(report, model, files) if "shap" in methods else
        spared("shap", f"{model} reads no features with names that SHAP could rank", _WHAT),
        _clips("score_cam", "scorecam", "Score-CAM", _is_curve, report, model, files) if "scorecam" in methods else
        spared("score_cam", f"{model} has no spectral stream for Score-CAM", _WHERE)]
    if "gradcam" in methods:
        rules.append(_clips("grad_cam", "gradcam", "Grad-CAM", _is_table, report, model, files))
    if "occlusion" in methods:
        rules.append(_clips("occlusion", "occlusion", "occlusion", _is_curve, report, model, files))
    return rules


def _figure(name: Any, files: Collection[str], what: str) -> str:
    return "" if isinstance(name, str) and name in files else f"{what}'s figure {name or ''} is not in reports/"


def _shap(report: Any, model: str, files: Collection[str]) -> Rule:
    top = pick(report, "shap", "top")
    if pick(report, "model") != model or not isinstance(top, list) or not top:
        return decide("shap", False, f"no SHAP values of {model} in explanations.json", _WHAT)
    bad = [pick(one, "feature") for one in top
           if any(number(pick(one, "per_class", emotion)) is None for emotion in EMOTIONS)]
    words = f"SHAP values of {bad[0]} are missing or no numbers" if bad else \
        _figure(pick(report, "shap", "figure"), files, "SHAP")
    return decide("shap", not words, words or f"SHAP values of {len(top)} features and their figure are there",
                  _WHAT, len(top), 1)


def _clips(rule: str, method: str, title: str, usable: Callable[[Any], bool], report: Any, model: str,
           files: Collection[str]) -> Rule:
    """A method that explains single utterances: usable figures and a picture for each of them."""
    clips = pick(report, "clips")
    found = pick(report, "model") == model and isinstance(clips, list) and \
        any(pick(clip, method) is not None for clip in clips)
    if not found:
        return decide(rule, False, f"no {title} of {model} in explanations.json", _WHERE)
    words = ""
    for clip in clips:
        name = pick(clip, "utterance")
        figure = pick(clip, "figure") if method == "scorecam" else pick(clip, method, "figure")
        words = words or (_figure(figure, files, f"{title} of {name}") if usable(pick(clip, method))
                          else f"{title} of {name} is missing or no numbers")
    return decide(rule, not words, words or f"{title} of {len(clips)} clips and their figures are there", _WHERE,
                  len(clips), 1)


def _is_curve(found: Any) -> bool:
    """Values over time, as many as times, all finite."""
    values, times = pick(found, "values"), pick(found, "times")
    return isinstance(values, list) and isinstance(times, list) and 0 < len(values) == len(times) and \
        all(number(value) is not None for value in values)


def _is_table(found: Any) -> bool:
    """Every figure of paper 2's metric table; a map that is zero everywhere has no area, so none of the area's."""
    whole = all(number(pick(found, name)) is not None for name in _ALWAYS) and \
        all(number(pick(found, "probabilities", emotion)) is not None for emotion in EMOTIONS)
    if pick(found, "empty") is True:
        return whole and all(pick(found, name) is None for name in (*_OF_AN_AREA, *_RANGES))
    return whole and all(number(pick(found, name)) is not None for name in _OF_AN_AREA) and \
        all(_is_range(pick(found, name)) for name in _RANGES)


def _is_range(found: Any) -> bool:
    ends = [number(end) for end in found] if isinstance(found, list) else []
    return len(ends) == 2 and None not in ends and ends[0] <= ends[1]  # type: ignore[operator]
