"""The caveats of a model: what its card says and a reader of its answers must know, in the same words everywhere."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ser_ops.model_table import MODELS

NOT_STATED = "not stated"
INTENDED_USES = (
    "Research and teaching in speech emotion recognition; comparison of methods; a signal beside others, read by a "
    "person, for speech like that of its data, spoken by adults who know of it and agreed.",
)
FORBIDDEN_USES = (
    "Inferring emotions of people at work or in education: the EU AI Act (Regulation 2024/1689, Article 5(1)(f)) "
    "forbids it, but for medical or safety reasons.",
    "Decisions about a person in employment, education, insurance, credit, border control or law enforcement; medical "
    "or psychological diagnosis; detection of lies; covert monitoring; anything about children.",
)
DUTIES = (
    "Other emotion recognition is of high risk under the EU AI Act (Article 6, Annex III), and the people that it is "
    "used on must be told (Article 50(3)).",
    "Acted emotion is not felt emotion: an answer says how speech sounds, not what somebody feels.",
)


@dataclass(frozen=True)
class Caveat:
    """mark: a few words that stand beside each answer; sentence: the same for JSON, pages and the model card."""

    mark: str
    sentence: str


def caveats(card: Mapping[str, Any]) -> tuple[Caveat, ...]:
    """What to know before relying on the model whose model.json is `card`, the gravest first; never raises.

    What the card leaves out and should say is a caveat too.

    >>> data = {"corpora": ["made"], "synthetic": ["made"], "licences": {"made": "CC0 1.0"}, "protocol": "speaker"}
    >>> marks(caveats({"model": "fusion", "backbone": "random weights", "data": data}))
    ' [learnt from synthetic speech; wav2vec stream not pretrained]'
    """
    data = card.get("data")
    data = data if isinstance(data, Mapping) else {}
    corpora, synthetic, partial = (_names(data.get(key)) for key in ("corpora", "synthetic", "partial"))
    licences = dict.fromkeys(corpora, NOT_STATED) | _texts(data.get("licences"))
    backbone, protocol, result = str(card.get("backbone")), data.get("protocol"), list[Caveat]()
    if card.get("shuffled_labels"):
        result.append(Caveat("learnt from shuffled labels",
                           "The model learnt from SHUFFLED labels: a baseline, never to be used."))
    if synthetic:
        share = "" if set(synthetic) >= set(corpora) else "partly "
        result.append(Caveat(f"{share}learnt from synthetic speech",
                           f"The model learnt {share}from SYNTHETIC speech ({', '.join(synthetic)}): answers and "
                           "figures say nothing about people."))
    if partial:
        result.append(Caveat("partial corpus", f"Partial corpora: {', '.join(partial)}."))
    if backbone.startswith("random"):
        entry = MODELS.get(str(card.get("model")))
        mark, part = ("backbone", "backbone") if entry and entry.backbone != "wav2vec" else (
            "wav2vec stream", "Wav2Vec 2.0 stream")
        result.append(Caveat(f"{mark} not pretrained",
                           f"Its {part} was not pretrained ({backbone}): it knows no more than these data taught it."))
    if not corpora and not synthetic:
        result.append(Caveat("training data not stated", "Its card does not say what the model learnt from."))
    if forbidding := [name for name, licence in licences.items() if non_commercial(licence)]:
        silent = all(licences[name] == NOT_STATED for name in forbidding)
        result.append(Caveat("licence not stated" if silent else "non-commercial",
                           "Commercial use is not allowed, or not known to be, by the licences of: "
                           f"{', '.join(forbidding)}."))
    if protocol != "speaker" and (protocol or corpora):
        result.append(Caveat(f"protocol {protocol or NOT_STATED}", f"Protocol {protocol or NOT_STATED}: speakers may "
                           "be in training and test, so figures are too high."))
    return tuple(result)


def heard_in_training(data: Mapping[str, Any]) -> str:
    """What training heard, in a sentence, by `heard` of a card's data or of a report's provenance; "" if not said.

    Noise that trained makes the same noise in a test easier, so every table of noise stands beside this.

    >>> heard_in_training({"heard": {"variants": ["original", "noisy"], "noise": ["rain"], "intensity": [0.0, 0.75]}})
    "Training heard original, noisy, with rain at 0.00 to 0.75 of the speech's peak."
    >>> heard_in_training({"heard": {"variants": ["original"], "noise": [], "intensity": None}})
    'Training heard original, without noise.'
    """
    heard = data.get("heard")
    if not isinstance(heard, Mapping):
        return ""
    variants, noise = (", ".join(_names(heard.get(key))).replace("_", " ") for key in ("variants", "noise"))
    if not noise:
        return f"Training heard {variants}, without noise."
    level, bounds = "", heard.get("intensity")
    if isinstance(bounds, list | tuple) and len(bounds) == 2 and all(isinstance(end, int | float) for end in bounds):
        level = f" at {bounds[0]:.2f} to {bounds[1]:.2f} of the speech's peak"
    return f"Training heard {variants}, with {noise}{level}."


def non_commercial(licence: str) -> bool:
    """Whether a licence forbids commercial use, or does not say that it allows it.

    >>> [non_commercial(licence) for licence in ("CC BY-NC-SA 4.0", "CC0 1.0", "free for research", "not stated")]
    [True, False, True, True]
    """
    words = licence.lower()
    return bool(re.search(r"\bnc\b|non[- ]?commercial|research (use )?only|(for|free for) research|academic|"
                           r"not to be passed on|all rights", words)
                or words in ("", NOT_STATED))


def marks(caveats: Iterable[Caveat]) -> str:
    """The text that follows an answer in words; "" where there is no caveat."""
    words = "; ".join(caveat.mark for caveat in caveats)
    return f" [{words}]" if words else ""


def _names(value: Any) -> list[str]:
    """Names as a card may hold them: a list, one text, or anything else."""
    return [str(name) for name in value] if isinstance(value, list | tuple) else [str(value)] if value else []


def _texts(value: Any) -> dict[str, str]:
    return {str(name): str(licence or NOT_STATED) for name, licence in value.items()} if isinstance(value, Mapping) \
        else {}
