"""The model card: what a model was made from, what it is for and not for, how good it is, where it ends."""

from collections.abc import Mapping, Sequence
from typing import Any

from ser_ops.caveats import caveats
from ser_ops.config import input_of
from ser_ops.tracking.licences import Source

LONGEST = 5000  # characters that every registry database takes as a description

_USES = """\
## Intended uses
Research and teaching in speech emotion recognition; comparison of methods; a signal beside others, read by a person,
for speech like that of its data, spoken by adults who know of it and agreed.

## Uses that it must not be put to
Decisions about a person in employment, education, insurance, credit, border control or law enforcement; medical or
psychological diagnosis; detection of lies; covert monitoring; anything about children. The EU AI Act (Regulation
2024/1689, articles 5 and 6) forbids inferring emotions at work and in education and puts other uses under its rules
for high risk. Acted emotion is not felt emotion: an answer says how speech sounds, not what somebody feels.
"""


def _figure(values: Mapping[str, Any], name: str) -> str:
    value, low, high = (values.get(key) for key in (name, f"{name}_low", f"{name}_high"))
    if value is None:
        return "not evaluated"
    return f"{value:.3f}" + (f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else "")


def _figures(model: str, metrics: Mapping[str, Any] | None) -> list[str]:
    own = (metrics or {}).get("models", {}).get(model)
    if own is None or metrics is None:
        return ["Not evaluated."]
    made = metrics.get("provenance", {})
    lines = [f"Test partition: {made.get('test_utterances', '?')} utterances of {made.get('test_speakers', '?')} "
             f"speakers, protocol {made.get('protocol', '?')}; intervals by bootstrap. Chance is 0.143.",
             f"- UAR clean: {_figure(own.get('clean', {}), 'uar')}; in noise: {_figure(own.get('noisy', {}), 'uar')}",
             f"- accuracy clean: {_figure(own.get('clean', {}), 'accuracy')}"]
    worst = own.get("worst_cell") or {}
    if worst:
        lines.append(f"- worst noise and intensity: {worst.get('cell')} with UAR {_figure(worst, 'uar')}")
    if own.get("calibration_error") is not None:
        lines.append(f"- calibration error: {own['calibration_error']:.3f}")
    return lines


def model_card(card: Mapping[str, Any], sources: Sequence[Source], metrics: Mapping[str, Any] | None) -> str:
    """Markdown of at most 5,000 characters from model.json, the data's sources and reports/metrics.json.

    Figures stand there with their intervals; what is missing is said to be missing.
    """
    data = card.get("data", {})
    licences = {one.name: one.licence for one in sources} | data.get("licences", {})
    told = [caveat.sentence for caveat in caveats({**card, "data": {**data, "licences": licences}})]
    limits = ["Seven classes only; every recording gets one, whatever is said. Windows of "
              f"{input_of(card).seconds:g} s, mono, {card['sample_rate']} Hz.",
              "Languages, accents, ages and microphones beyond those of the data are untested."]
    text = "\n".join([
        f"# {card['model']}, preset {card['preset']}", "",
        f"Speech emotion recognition ({', '.join(card['emotions'])}). {card.get('parameters', 0):,} parameters; "
        f"backbone: {card.get('backbone', 'not stated')}.", "",
        "## To know before relying on it", *(f"- {one}" for one in told or ["Nothing that is known."]), "",
        "## Data and licences", *(f"- {one.sentence}" for one in sources), "",
        "## Figures", *_figures(card["model"], metrics), "", _USES, "## Limits", *(f"- {one}" for one in limits), ""])
    return text if len(text) <= LONGEST else text[:LONGEST - 4].rstrip() + " ..."
