"""The figures of faithfulness in sentences, each computed from them."""

from collections.abc import Mapping
from typing import Any

from ser_ops.methods import METHODS

BETTER = {"deletion": -1, "insertion": 1}     # which way an area should differ

Differences = Mapping[str, Mapping[str, float]]  # fill: difference, low, high


def failures(differences: Differences, direction: int) -> dict[str, bool]:
    """For each fill whether the interval of a difference reaches 0 or lies beyond it.

    direction: -1 where a smaller area is better, 1 where a larger one is.

    >>> failures({"noise": {"difference": -0.1, "low": -0.2, "high": 0.01}}, -1)
    {'noise': True}
    """
    nearest = "high" if direction < 0 else "low"
    return {fill: not one[nearest] * direction > 0 for fill, one in differences.items()}


def sentences(found: Mapping[str, Any]) -> dict[str, str]:
    """A method to the sentence that says whether it beats chance, for the captions of its figures."""
    return {name: next((one for one in found["words"] if one.startswith(METHODS[name].title)), "")
            for name in found["methods"]}


def better(against: Mapping[str, Differences]) -> bool:
    """Whether under every fill the whole interval lies on the right side of 0, in deletion and in insertion."""
    return not any(any(failures(against[mode], direction).values()) for mode, direction in BETTER.items())


def words(found: Mapping[str, Any], limit: float) -> list[str]:
    """Sentences on each method: against chance, against loudness, and what its own checks say.

    found: what `faithfulness.together` put together. limit: rank correlation beyond which a trace tells of the clip
    rather than of the weights. A method that does not beat a random ranking is named in a sentence with these words:
    the gate reads them.
    """
    fills = " and ".join(found["fills"])
    said = [f"Each of {found['clips']} clips of {found['utterances']} utterances was taken apart and put together in "
            f"{found['steps']} steps, with {fills} in the place of sound."]
    for name, one in found["methods"].items():
        title = METHODS[name].title
        said.append(_sentence(title, "a random ranking", one["against_random"], found["fills"]))
        said.append(_loudness(title, one["against_energy"]))
        if one["randomised_correlation"] is not None:
            said.append(_weights(title, one["randomised_correlation"], limit))
        if one["completeness_error"] is not None:
            said.append(f"The values of {title} miss their sum by {one['completeness_error']:.1%} of what they "
                        "explain.")
        if one["seed_agreement"] is not None:
            said.append(f"Drawn again with other sampling seeds {title} ranks moments with a correlation of "
                        f"{one['seed_agreement']:.2f}.")
    said.append(_sentence("Loudness, which asks no model,", "a random ranking", found["energy"]["against_random"],
                          found["fills"]))
    return said


def _missed(against: Mapping[str, Differences]) -> list[str]:
    """Where an interval does not exclude 0, in words with its figures."""
    return [f"{mode} under {fill} ({_figure(against[mode][fill])})" for mode, direction in BETTER.items()
            for fill, wrong in failures(against[mode], direction).items() if wrong]


def _figure(one: Mapping[str, float]) -> str:
    return f"{one['difference']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]"


def _sentence(title: str, other: str, against: Mapping[str, Differences], fills: list[str]) -> str:
    missed = _missed(against)
    if missed:
        return f"{title} does not beat {other} in {', nor in '.join(missed)}."
    worst = {mode: min((against[mode][fill] for fill in fills), key=lambda one: abs(one["difference"]))
             for mode in BETTER}
    return (f"{title} beats {other} in deletion and insertion under every fill: in area by at least "
            f"{_figure(worst['deletion'])} and {_figure(worst['insertion'])}.")


def _loudness(title: str, against: Mapping[str, Differences]) -> str:
    missed = _missed(against)
    if not missed:
        return f"{title} is better than a ranking by loudness in deletion and insertion under every fill."
    return f"{title} is no better than a ranking by loudness in {', nor in '.join(missed)}."


def _weights(title: str, correlation: float, limit: float) -> str:
    if abs(correlation) > limit:
        return (f"On random weights {title} ranks moments much as before (rank correlation {correlation:.2f}, beyond "
                f"{limit:g}): it tells of the clip more than of what the model learned.")
    return (f"On random weights {title} ranks moments otherwise (rank correlation {correlation:.2f}, within "
            f"{limit:g}).")
