"""Whether the explanations are there that the model's architecture admits: the gate's rules on explanations.json."""

from collections.abc import Collection
from typing import Any

from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.evaluation.rules import Rule, decide, number, pick, spared
from ser_ops.methods import METHODS, Method, in_order
from ser_ops.model_table import MODELS

# Which way the areas of a method should differ from a random ranking's.
BETTER: dict[str, int] = {"deletion": -1, "insertion": 1}
ADMITS = "does not beat a random ranking"     # words by which a report says so
FILLS = 2                                      # under which a claim must hold, at least

_ALWAYS = ("mean_activation", "max_activation", "activated_area_pct", "confidence")
_OF_AN_AREA = ("entropy", "confidence_drop")
_RANGES = ("time_focus_range", "freq_focus_range")
_WHERE = "whoever relies on an answer must be able to see where in the recording it comes from"
_WHAT = "whoever relies on the model must be able to see what it listens to"
_BELIEVED = "a picture that tells no more than chance does must say so"


def explained(report: Any, model: str, files: Collection[str]) -> list[Rule]:
    """A rule for each method of the catalogue, spared where the model does not admit it, and the rule faithful.

    What a model admits is not asked of the stage explain, so that a method which it left out is missed. report:
    explanations.json; files: names of the files under reports/. Raises UserError for an unknown model.
    """
    if model not in MODELS:
        raise UserError(f"unknown model {model!r}: expected one of {', '.join(MODELS)}")
    described, rules = MODELS[model], list[Rule]()
    for method in METHODS.values():
        if why := method.lacks(described.streams, described.camera):
            rules.append(spared(method.rule, f"{model} admits no {method.title}: {why}", _WHERE))
        elif method.evidence == "features":
            rules.append(_features(method, report, model, files))
        else:
            rules.append(_clips(method, report, model, files))
    return [*rules, _faithful(report, model)]


def _figure(name: Any, files: Collection[str], what: str) -> str:
    return "" if isinstance(name, str) and name in files else f"{what}'s figure {name or ''} is not in reports/"


def _features(method: Method, report: Any, model: str, files: Collection[str]) -> Rule:
    """A method that ranks features over all utterances: usable figures and one picture."""
    top, title = pick(report, method.name, "top"), method.title
    if pick(report, "model") != model or not isinstance(top, list) or not top:
        return decide(method.rule, False, f"no {title} values of {model} in explanations.json", _WHAT)
    bad = [pick(one, "feature") for one in top
           if any(number(pick(one, "per_class", emotion)) is None for emotion in EMOTIONS)]
    words = f"{title} values of {bad[0]} are missing or no numbers" if bad else \
        _figure(pick(report, method.name, "figure"), files, title)
    return decide(method.rule, not words, words or f"{title} values of {len(top)} features and their figure are there",
                  _WHAT, len(top), 1)


def _clips(method: Method, report: Any, model: str, files: Collection[str]) -> Rule:
    """A method that explains single utterances: usable figures and a picture for each of them."""
    clips, title = pick(report, "clips"), method.title
    found = pick(report, "model") == model and isinstance(clips, list) and \
        any(pick(clip, method.name) is not None for clip in clips)
    if not found:
        return decide(method.rule, False, f"no {title} of {model} in explanations.json", _WHERE)
    words, usable = "", _is_table if method.evidence == "table" else _is_curve
    for clip in clips:
        name = pick(clip, "utterance")
        words = words or (_figure(pick(clip, method.name, "figure"), files, f"{title} of {name}")
                          if usable(pick(clip, method.name)) else f"{title} of {name} is missing or no numbers")
    return decide(method.rule, not words, words or f"{title} of {len(clips)} clips and their figures are there", _WHERE,
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


def _faithful(report: Any, model: str) -> Rule:
    """Every method that is shown beats random rankings, by its own figures, or the report says that it does not."""
    measured = pick(report, "faithfulness", "methods")
    if pick(report, "model") != model or not isinstance(measured, dict):
        return decide("faithful", False, f"no faithfulness of {model} in explanations.json", _BELIEVED)
    said = pick(report, "faithfulness", "words")
    sentences = [one.casefold() for one in said if isinstance(one, str)] if isinstance(said, list) else []
    wrong, beating, admitted = [], [], []
    for method in _shown(report):
        title = METHODS[method].title
        claim = pick(measured, method, "beats_random")
        if any(title.casefold() in one and ADMITS in one for one in sentences):
            admitted.append(title)
        elif claim is not True:
            wrong.append(f"{title} is shown, beats no random ranking, and the report keeps silent about it"
                         if claim is False else f"{title} is shown and was not held against random rankings")
        elif not _borne_out(pick(measured, method, "against_random")):
            wrong.append(f"{title} is said to beat a random ranking, which its own figures do not bear out")
        else:
            beating.append(title)
    if not (wrong or beating or admitted):
        return decide("faithful", False, f"no method of {model} is shown in explanations.json", _BELIEVED)
    words = [f"{_listed(beating)} beat{'' if len(beating) > 1 else 's'} random rankings in deletion and insertion"] \
        if beating else []
    words += [f"of {_listed(admitted)} the report says that it does not"] if admitted else []
    return decide("faithful", not wrong, "; ".join(wrong or words), _BELIEVED, len(beating) + len(admitted),
                  len(_shown(report)))


def _shown(report: Any) -> list[str]:
    """Methods of which explanations.json has figures: those that it names, and those with a trace of any clip.

    Raises UserError for one that is not in the catalogue.
    """
    named, heard = pick(report, "methods"), pick(report, "heard")
    names = [one for one in named if isinstance(one, str)] if isinstance(named, list) else []
    for clip in heard if isinstance(heard, list) else []:
        traces = pick(clip, "traces")
        names += list(traces) if isinstance(traces, dict) else []
    return in_order(names)


def _borne_out(against: Any) -> bool:
    """Whether in deletion and insertion, under every fill of at least FILLS, the interval lies on the right side."""
    for mode, direction in BETTER.items():
        fills = pick(against, mode)
        if not isinstance(fills, dict) or len(fills) < FILLS:
            return False
        for one in fills.values():
            bounds = [number(pick(one, name)) for name in ("low", "high")]
            if None in bounds or min(bound * direction for bound in bounds) <= 0:   # type: ignore[operator]
                return False
    return True


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
