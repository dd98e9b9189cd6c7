"""How explanations move as noise grows: by method, by where speech is, and from stream to stream.

A test of paper 1's central claim, that its fusion 'shifts attention between temporal and spectral cues' in noise.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ser_ops import config
from ser_ops.explain.intervals import Resamples
from ser_ops.explain.noise_words import words

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
