"""How explanations move as noise grows: by method, by where speech is, and from stream to stream.

A test of paper 1's central claim, that its fusion 'shifts attention between temporal and spectral cues' in noise.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ser_ops.config.explaining import Conditions
from ser_ops.explain.intervals import Resamples
from ser_ops.methods import METHODS

STREAM_TITLES = {"wav2vec": "Wav2Vec 2.0", "mfcc": "MFCC", "zcr": "ZCR", "rms": "RMS", "chroma": "chroma",
                 "mel": "the mel spectrogram", "contrast": "spectral contrast"}

Record = Mapping[str, Any]  # an entry of "heard" in explanations.json, or its answer and streams alone
Value = Callable[[Record, str], float | None]   # of a record, for a method or a stream
Figure = dict[str, Any]


def across_noise(records: Sequence[Record], settings: Conditions, seed: int) -> dict[str, Any]:
    """What explanations.json holds under "across_noise".

    clean, cells: figures of the clips without noise and of each noise and intensity. A figure {mean, low, high, n} is
    the mean over n utterances with its bootstrap interval: rank_correlation with the clip without noise and
    speech_share by method; streams, the share of each in the sum of |phi|; phi, with its sign, in log odds;
    same_answer. by_intensity: streams over all noises, utterance by utterance. shift: what the loudest intensity
    changes of each stream's share, over all noises and (shift_by_noise) in each. words: sentences from these.
    """
    figures = _Figures(records, settings, seed)
    clean, noisy = [[record for record in records if (record["noise"] == "clean") == is_clean]
                    for is_clean in (True, False)]
    conditions = list(dict.fromkeys((record["noise"], record["intensity"]) for record in noisy))
    cells = [{"noise": noise, "intensity": intensity} | figures.cell(
        [record for record in records if (record["noise"], record["intensity"]) == (noise, intensity)])
        for noise, intensity in conditions]
    by_intensity = {0.0: clean} | {level: [record for record in noisy if record["intensity"] == level]
                                   for level in sorted({intensity for _, intensity in conditions})}
    report: dict[str, Any] = {
        "clean": figures.cell(clean), "cells": cells, "streams": figures.streams, "confidence": settings.confidence,
        "share_of_time": figures.figure(clean, _share_of_time),
        "by_intensity": [{"intensity": level, "streams": {name: figures.figure(at_level, _stream_share, name)
                                                          for name in figures.streams}}
                         for level, at_level in by_intensity.items()],
        "shift": {}, "shift_by_noise": {}}
    if conditions and figures.streams:
        loudest = by_intensity[max(by_intensity)]
        report["shift"] = figures.shift(clean, loudest)
        report["shift_by_noise"] = {
            noise: figures.shift(clean, [record for record in loudest if record["noise"] == noise])
            for noise in dict.fromkeys(record["noise"] for record in loudest)}
    return report | {"words": noise_sentences(report)}


class _Figures:
    """Means over utterances with their intervals, of the methods and streams that the records have."""

    def __init__(self, records: Sequence[Record], settings: Conditions, seed: int) -> None:
        self.settings, self.seed = settings, seed
        self.methods = next((list(record["traces"]) for record in records if record.get("traces")), [])
        self.streams = next((list(record["streams"]["phi"]) for record in records if record.get("streams")), [])

    def cell(self, records: Sequence[Record]) -> dict[str, Any]:
        """The figures of one condition."""
        traced = [record for record in records if record.get("traces")]
        return {
            "n": len(traced), "n_streams": len(records),
            "rank_correlation": self._by_name(traced, self.methods, _rank_correlation),
            "speech_share": self._by_name(traced, self.methods, _speech_share),
            "streams": self._by_name(records, self.streams, _stream_share),
            "phi": self._by_name(records, self.streams, _phi),
            "same_answer": float(np.mean([record["predicted"] == record["explained"] for record in records]))
            if records else None}

    def _by_name(self, records: Sequence[Record], names: Sequence[str], value: Value) -> dict[str, Figure]:
        """A figure of each method or stream that has one."""
        return {name: figure for name in names if (figure := self.figure(records, value, name)) is not None}

    def figure(self, records: Iterable[Record], value: Value, name: str = "") -> Figure | None:
        """Mean over utterances with its interval; records without a value are left out, None where all are."""
        values = [(record["utterance"], number) for record in records if (number := value(record, name)) is not None]
        if not values:
            return None
        return self._mean([utterance for utterance, _ in values], np.array([number for _, number in values]))

    def _mean(self, utterances: list[str], values: np.ndarray) -> Figure:
        resamples = Resamples.of(utterances, self.settings.resamples, self.settings.confidence, self.seed)
        return dict(zip(("mean", "low", "high"), resamples.mean(values), strict=True)) | {
            "n": resamples.weights.shape[1]}

    def shift(self, clean: Sequence[Record], noisy: Sequence[Record]) -> dict[str, Figure]:
        """By stream: its share in clean and in noisy clips, and the paired change with its interval."""
        shifts = {}
        for name in self.streams:
            before = {record["utterance"]: share for record in clean
                      if (share := _stream_share(record, name)) is not None}
            after = [(record["utterance"], share) for record in noisy
                     if record["utterance"] in before and (share := _stream_share(record, name)) is not None]
            if not after:
                continue
            utterances = [utterance for utterance, _ in after]
            clean_shares = np.array([before[utterance] for utterance in utterances])
            noisy_shares = np.array([share for _, share in after])
            shifts[name] = {"clean": self._mean(utterances, clean_shares)["mean"],
                            "noisy": self._mean(utterances, noisy_shares)["mean"],
                            "change": self._mean(utterances, noisy_shares - clean_shares)}
        return shifts


def _share_of_time(record: Record, _name: str) -> float | None:
    return (record.get("speech") or {}).get("share_of_time")


def _rank_correlation(record: Record, method: str) -> float | None:
    return (record["rank_correlation"] or {}).get(method)


def _speech_share(record: Record, method: str) -> float | None:
    return record["speech"]["share"].get(method)


def _phi(record: Record, stream: str) -> float | None:
    return record["streams"] and record["streams"]["phi"][stream]


def _stream_share(record: Record, stream: str) -> float | None:
    """The stream's share in the sum of |phi|."""
    if not record.get("streams"):
        return None
    phi = record["streams"]["phi"]
    total = sum(abs(value) for value in phi.values())
    return abs(phi[stream]) / total if total else None


def noise_sentences(report: Mapping[str, Any]) -> list[str]:
    """Sentences on answers, streams, methods and speech; `report`: what `across_noise` measured."""
    cells, clean = report["cells"], report["clean"]
    if not cells:
        return ["There is no noise to explain in, so how explanations move was not measured."]
    noises = list(dict.fromkeys(cell["noise"] for cell in cells))
    loudest = max(cell["intensity"] for cell in cells)
    loud = [cell for cell in cells if cell["intensity"] == loudest]
    sentences = [
        f"{clean['n']} utterances were explained by every method and {clean['n_streams']} by their streams, "
        f"without noise and in {len(noises)} noises; each for the class that the model answers without noise. "
        f"Intervals hold {report['confidence']:.0%} of a bootstrap over utterances.",
        f"At intensity {loudest:g} the answer is the same as without noise in "
        f"{np.mean([cell['same_answer'] for cell in loud]):.0%} of the clips, from "
        f"{_extremes({cell['noise']: cell['same_answer'] for cell in loud}, '.0%')}."]
    return sentences + _stream_sentences(report, loudest) + _method_sentences(report, loud, loudest)


def _stream_sentences(report: Mapping[str, Any], loudest: float) -> list[str]:
    shift = report["shift"]
    if not shift:
        return ["This model has no second stream to compare with, so shares of streams were not measured."]
    sentences = ["Without noise the sum of absolute Shapley values is shared by " + _listed(
        [f"{STREAM_TITLES[name]} {_share(share)}" for name, share in report["clean"]["streams"].items()]) + "."]
    moved = {name: figures["change"] for name, figures in shift.items() if excludes_zero(figures["change"])}
    for name, change in moved.items():
        sentences.append(f"At intensity {loudest:g}, over all noises, the share of {STREAM_TITLES[name]} has changed "
                         f"by {_points(change)} points.")
    still = [name for name in shift if name not in moved]
    if still:
        names = _listed([STREAM_TITLES[name] for name in still])
        changes = "; ".join(f"{STREAM_TITLES[name]} {_points(shift[name]['change'])} points" for name in still)
        sentences.append(f"No change is shown of the share of {names}: the intervals hold 0 ({changes}).")
    if "wav2vec" in shift:
        sentences.append(_claim_sentence(report, shift["wav2vec"]["change"], loudest))
    return [*sentences,
            "An absent stream is given the mean of the background; such a mixture may be like no sound that "
            "there is, and a share says how much a stream moves the score, not that the answer is right."]


def _claim_sentence(report: Mapping[str, Any], change: Mapping[str, float], loudest: float) -> str:
    """Paper 1's claim against the waveform stream's share, over all noises and in each."""
    up, down = ([noise for noise, streams in report["shift_by_noise"].items()
                 if "wav2vec" in streams and excludes_zero(streams["wav2vec"]["change"])
                 and (streams["wav2vec"]["change"]["mean"] > 0) == rising] for rising in (True, False))
    total = len(report["shift_by_noise"])
    if excludes_zero(change):
        towards = "the waveform stream" if change["mean"] > 0 else "the spectral stream"
        overall = f"this model leans more on {towards} as noise grows"
    else:
        overall = "over all noises no shift between the waveform and the spectral stream is shown"
    where = [f"towards the waveform in {_listed([_plain(noise) for noise in up])}"] if up else []
    where += [f"towards the spectral features in {_listed([_plain(noise) for noise in down])}"] if down else []
    single = f"{' and '.join(where)} (of {total})" if where else f"in none of {total} noises"
    return ("Paper 1 says that its fusion shifts attention between temporal and spectral cues in noise: here "
            f"{overall} (change of the waveform's share at intensity {loudest:g}: {_points(change)} points); taken "
            f"singly, {single} the interval excludes 0 (each at its own level, not corrected for their number).")


def _method_sentences(report: Mapping[str, Any], loud: list[Any], loudest: float) -> list[str]:
    sentences, time = [], report["share_of_time"]
    for method in report["clean"]["speech_share"] or {}:
        title = METHODS[method].title
        ranks = {cell["noise"]: cell["rank_correlation"][method]["mean"] for cell in loud
                 if method in cell["rank_correlation"]}
        if ranks:
            sentences.append(
                f"{title} at intensity {loudest:g} ranks moments as it does without noise with a correlation "
                f"of {np.mean(list(ranks.values())):.2f} on average, from {_extremes(ranks, '.2f')}.")
        noisy = {cell["noise"]: cell["speech_share"][method]["mean"] for cell in loud if method in cell["speech_share"]}
        if noisy and time:
            sentences.append(
                f"Of the positive part of {title} {_share(report['clean']['speech_share'][method])} lies in speech "
                f"without noise and {np.mean(list(noisy.values())):.2f} at intensity {loudest:g}; speech takes "
                f"{time['mean']:.2f} of the window.")
    return sentences


def excludes_zero(figure: Mapping[str, float]) -> bool:
    """Whether an interval excludes 0.

    >>> excludes_zero({"low": 0.1, "high": 0.2}), excludes_zero({"low": -0.1, "high": 0.2})
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
