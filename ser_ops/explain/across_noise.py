"""How explanations move as noise grows: by method, by where speech is, and from stream to stream.

A test of paper 1's central claim, that its fusion 'shifts attention between temporal and spectral cues' in noise.

The figures of `across_noise` in sentences, each computed from them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ser_ops import config
from ser_ops.explain.intervals import Resamples
from ser_ops.methods import METHODS

STREAMS = {"wav2vec": "Wav2Vec 2.0", "mfcc": "MFCC", "zcr": "ZCR", "rms": "RMS", "chroma": "chroma",
           "mel": "the mel spectrogram", "contrast": "spectral contrast"}


def words(found: Mapping[str, Any]) -> list[str]:
    """Sentences on answers, streams, methods and speech; `found`: what `across_noise` measured."""
    cells, clean = found["cells"], found["clean"]
    if not cells:
        return ["There is no noise to listen in, so nothing is said of how explanations move."]
    noises = list(dict.fromkeys(one["noise"] for one in cells))
    loudest = max(one["intensity"] for one in cells)
    loud = [one for one in cells if one["intensity"] == loudest]
    said = [f"{clean['n']} utterances were explained by every method and {clean['n_streams']} by their streams, "
            f"without noise and in {len(noises)} noises; each for the class that the model answers without noise. "
            f"Intervals hold {found['confidence']:.0%} of a bootstrap over utterances.",
            f"At intensity {loudest:g} the answer is the same as without noise in "
            f"{np.mean([one['same_answer'] for one in loud]):.0%} of the clips, from "
            f"{_extremes({one['noise']: one['same_answer'] for one in loud}, '.0%')}."]
    return said + _leaning(found, loudest) + _methods(found, loud, loudest)


def _leaning(found: Mapping[str, Any], loudest: float) -> list[str]:
    shift = found["shift"]
    if not shift:
        return ["This model has no streams to set against each other, so nothing is said of which one it leans on."]
    said = ["Without noise the sum of absolute Shapley values is shared by " + _listed(
        [f"{STREAMS[name]} {_share(one)}" for name, one in found["clean"]["streams"].items()]) + "."]
    moved = {name: one["change"] for name, one in shift.items() if beyond_zero(one["change"])}
    for name, change in moved.items():
        said.append(f"At intensity {loudest:g}, over all noises, the share of {STREAMS[name]} has changed by "
                    f"{_points(change)} points.")
    still = [name for name in shift if name not in moved]
    if still:
        said.append(f"No change is shown of the share of {_listed([STREAMS[name] for name in still])}: the intervals "
                    "hold 0 (" + "; ".join(f"{STREAMS[name]} {_points(shift[name]['change'])} points"
                                           for name in still) + ").")
    if "wav2vec" in shift:
        said.append(_verdict(found, shift["wav2vec"]["change"], loudest))
    return [*said, "An absent stream is given the mean of the background; such a mixture may be like no sound that "
                   "there is, and a share says how much a stream moves the score, not that the answer is right."]


def _verdict(found: Mapping[str, Any], change: Mapping[str, float], loudest: float) -> str:
    """Paper 1's claim against the waveform stream's share, over all noises and in each."""
    up, down = ([noise for noise, streams in found["shift_by_noise"].items()
                 if "wav2vec" in streams and beyond_zero(streams["wav2vec"]["change"])
                 and (streams["wav2vec"]["change"]["mean"] > 0) == rising] for rising in (True, False))
    total = len(found["shift_by_noise"])
    if beyond_zero(change):
        towards = "the waveform stream" if change["mean"] > 0 else "the spectral stream"
        said = f"this model leans more on {towards} as noise grows"
    else:
        said = "over all noises no shift between the waveform and the spectral stream is shown"
    where = [f"towards the waveform in {_listed([_plain(one) for one in up])}"] if up else []
    where += [f"towards the spectral features in {_listed([_plain(one) for one in down])}"] if down else []
    single = f"{' and '.join(where)} (of {total})" if where else f"in none of {total} noises"
    return (f"Paper 1 says that its fusion shifts attention between temporal and spectral cues in noise: here {said} "
            f"(change of the waveform's share at intensity {loudest:g}: {_points(change)} points); taken singly, "
            f"{single} the interval excludes 0 (each at its own level, not corrected for their number).")


def _methods(found: Mapping[str, Any], loud: list[Any], loudest: float) -> list[str]:
    said, time = [], found["share_of_time"]
    for method in found["clean"]["speech_share"] or {}:
        title = METHODS[method].title
        ranks = {one["noise"]: one["rank_correlation"][method]["mean"] for one in loud
                 if method in one["rank_correlation"]}
        if ranks:
            said.append(f"{title} at intensity {loudest:g} ranks moments as it does without noise with a correlation "
                        f"of {np.mean(list(ranks.values())):.2f} on average, from {_extremes(ranks, '.2f')}.")
        noisy = {one["noise"]: one["speech_share"][method]["mean"] for one in loud if method in one["speech_share"]}
        if noisy and time:
            before = found["clean"]["speech_share"][method]
            said.append(f"Of the positive part of {title} {_share(before)} lies in speech without noise and "
                        f"{np.mean(list(noisy.values())):.2f} at intensity {loudest:g}; speech takes "
                        f"{time['mean']:.2f} of the window.")
    return said


def beyond_zero(figure: Mapping[str, float]) -> bool:
    """Whether an interval excludes 0.

    >>> beyond_zero({"low": 0.1, "high": 0.2}), beyond_zero({"low": -0.1, "high": 0.2})
    (True, False)
    """
    return figure["low"] > 0 or figure["high"] < 0


def _share(figure: Mapping[str, float]) -> str:
    return f"{figure['mean']:.2f} [{figure['low']:.2f}, {figure['high']:.2f}]"


def _points(change: Mapping[str, float]) -> str:
    """A change of a share in percentage points, with its interval."""
    return f"{100 * change['mean']:+.1f} [{100 * change['low']:+.1f}, {100 * change['high']:+.1f}]"


def _extremes(values: Mapping[str, float], form: str) -> str:
    low, high = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
    return f"{values[low]:{form}} in {_plain(low)} to {values[high]:{form}} in {_plain(high)}"


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _listed(names: list[str]) -> str:
    """Names in a sentence.

    >>> _listed(["a"]), _listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


Record = Mapping[str, Any]  # an entry of "heard" in explanations.json, or what it has of answer and streams
Value = Callable[[Record], float | None]
Figure = dict[str, Any]


def across_noise(records: Sequence[Record], settings: config.Conditions, seed: int) -> dict[str, Any]:
    """What explanations.json holds under "across_noise".

    clean, cells: figures of the clips without noise and of each noise and intensity. A figure {mean, low, high, n} is
    the mean over n utterances with its bootstrap interval: rank_correlation with the clip without noise and
    speech_share by method; streams, the share of each in the sum of |phi|; phi, with its sign, in log odds;
    same_answer. by_intensity: streams over all noises, utterance by utterance. shift: what the loudest intensity
    changes of each stream's share, over all noises and (shift_by_noise) in each. words: sentences from these.
    """
    told = _Told(records, settings, seed)
    clean = [one for one in records if one["noise"] == "clean"]
    conditions = list(dict.fromkeys((one["noise"], one["intensity"]) for one in records if one["noise"] != "clean"))
    cells = [{"noise": noise, "intensity": intensity} | told.cell(
        [one for one in records if (one["noise"], one["intensity"]) == (noise, intensity)])
        for noise, intensity in conditions]
    names = _names(records, "streams", "phi")
    levels = sorted({intensity for _, intensity in conditions})
    found: dict[str, Any] = {
        "clean": told.cell(clean), "cells": cells, "streams": names, "confidence": settings.confidence,
        "share_of_time": told.figure(clean, lambda one: (one.get("speech") or {}).get("share_of_time")),
        "by_intensity": [{"intensity": level, "streams": {
            name: told.figure([one for one in records if one["noise"] != "clean" and one["intensity"] == level]
                              if level else clean, _stream(name)) for name in names}} for level in (0.0, *levels)],
        "shift": {}, "shift_by_noise": {}}
    if levels and names:
        loud = [one for one in records if one["noise"] != "clean" and one["intensity"] == levels[-1]]
        found["shift"] = told.shift(clean, loud, names)
        found["shift_by_noise"] = {noise: told.shift(clean, [one for one in loud if one["noise"] == noise], names)
                                   for noise in dict.fromkeys(one["noise"] for one in loud)}
    return found | {"words": words(found)}


class _Told:
    def __init__(self, records: Sequence[Record], settings: config.Conditions, seed: int) -> None:
        self.settings, self.seed = settings, seed
        self.methods = _names(records, "traces")
        self.streams = _names(records, "streams", "phi")

    def figure(self, records: Iterable[Record], value: Value) -> Figure | None:
        """Mean over utterances with its interval; records without a value are left out, None where all are."""
        pairs = [(one["utterance"], found) for one in records if (found := value(one)) is not None]
        if not pairs:
            return None
        return self._mean([name for name, _ in pairs], np.array([found for _, found in pairs]))

    def _mean(self, utterances: list[str], values: np.ndarray) -> Figure:
        drawn = Resamples.of(utterances, self.settings.resamples, self.settings.confidence, self.seed)
        return dict(zip(("mean", "low", "high"), drawn.mean(values), strict=True)) | {"n": drawn.weights.shape[1]}

    def cell(self, records: Sequence[Record]) -> dict[str, Any]:
        """The figures of one condition."""
        traced = [one for one in records if one.get("traces")]
        return {
            "n": len(traced), "n_streams": len(records),
            "rank_correlation": _known({method: self.figure(traced, lambda one, method=method: (  # type: ignore[misc]
                one["rank_correlation"] or {}).get(method)) for method in self.methods}),
            "speech_share": _known({method: self.figure(traced, lambda one, method=method:  # type: ignore[misc]
                                                        one["speech"]["share"].get(method))
                                    for method in self.methods}),
            "streams": _known({name: self.figure(records, _stream(name)) for name in self.streams}),
            "phi": _known({name: self.figure(records, lambda one, name=name:  # type: ignore[misc]
                                             one["streams"] and one["streams"]["phi"][name])
                           for name in self.streams}),
            "same_answer": float(np.mean([one["predicted"] == one["explained"] for one in records])) if records
            else None}

    def shift(self, clean: Sequence[Record], loud: Sequence[Record], names: Sequence[str]) -> dict[str, Figure]:
        """By stream: share in clean, share in the loud ones, and the paired change with its interval."""
        found = {}
        for name in names:
            before = {one["utterance"]: share for one in clean if (share := _stream(name)(one)) is not None}
            pairs = [(one["utterance"], share) for one in loud
                     if one["utterance"] in before and (share := _stream(name)(one)) is not None]
            if not pairs:
                continue
            utterances = [utterance for utterance, _ in pairs]
            own, was = np.array([share for _, share in pairs]), np.array([before[one] for one in utterances])
            found[name] = {"clean": self._mean(utterances, was)["mean"], "noisy": self._mean(utterances, own)["mean"],
                           "change": self._mean(utterances, own - was)}
        return found


def _stream(name: str) -> Value:
    def share(one: Record) -> float | None:
        if not one.get("streams"):
            return None
        phi = one["streams"]["phi"]
        total = sum(abs(value) for value in phi.values())
        return abs(phi[name]) / total if total else None
    return share


def _names(records: Sequence[Record], *path: str) -> list[str]:
    """Keys of the mapping at `path`, of the first record that has one."""
    for one in records:
        value: Any = one
        for part in path:
            value = (value or {}).get(part)
        if value:
            return list(value)
    return []


def _known(figures: Mapping[str, Figure | None]) -> dict[str, Figure]:
    return {name: figure for name, figure in figures.items() if figure is not None}
