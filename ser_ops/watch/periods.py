"""Records by period, what each period says of the model, and a verdict in words."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from ser_ops.config.services import Watch
from ser_ops.evaluation.metrics import scores
from ser_ops.pages import interval, number, percent
from ser_ops.watch.drift import ANSWERS, CONFIDENCE, EMBEDDING, Drift, drifts
from ser_ops.watch.expected import Figure, by_confidence, by_snr, measured
from ser_ops.watch.records import FIGURES, Records
from ser_ops.watch.reference import Reference

_MONDAY = np.datetime64("1970-01-05")
_PER_CENT = ("clipped_share", "speech_share", CONFIDENCE, ANSWERS)
_NAMES = {"seconds": "length", "level_dbfs": "level", "bandwidth_hertz": "bandwidth",
          "clipped_share": "clipped samples", "speech_share": "share of speech", "snr_db": "estimated SNR"}
_UNITS = {"seconds": "s", "level_dbfs": "dBFS", "bandwidth_hertz": "Hz", "snr_db": "dB"}
_MOST_NAMED = 3         # of other models, by their fingerprints
QUIET, TOO_FEW, CHANGED, WORSE = VERDICTS = ("quiet", "too few records", "changed", "worse")   # the worst last
WAYS = {"by_confidence": "by confidence", "by_snr": "by the noise heard", "measured": "by corrections"}


def watched(records: Records, model: str, reference: Reference, settings: Watch,
            corrections: Mapping[str, int] | None = None, baseline: Records | None = None,
            now: datetime | None = None) -> dict[str, Any]:
    """What records say of a model, by period, as plain values for JSON.

    Args:
        records: Of a service, whichever models answered.
        model: Fingerprint of the model that is watched; records of others are counted and left out.
        reference: The model's own.
        settings: Section watch.
        corrections: True classes by a record's id.
        baseline: The model's records of a time that counts as good, to compare with in place of the reference's.
        now: By which a period is whole or not, in UTC; by default the clock's. Where the newest record is older than a
            period, as in an archive, it is the time of that record.

    Returns:
        verdict, the worst of VERDICTS over the periods that are judged (`_judged`), their numbers as `judged`, the
        worst first, and words of each; alarm; reference: what is compared with, its records, and its `uar`, measured on
        the reference's labels, or of a baseline as expected by confidence; other_models, records of them; and periods,
        each with start, end (the day after its last), newest (a record's time), whole, records, spoken (those in which
        somebody speaks), verdict, medians, drifts, by_confidence, by_snr, measured (uar, low, high, records), alarms.
    """
    own = records.of(records.models == model)
    compared = reference.one_of_each_clip(settings.seed) if baseline is None else baseline
    uar = scores(reference.true, reference.records.predicted)["uar"] if baseline is None else \
        by_confidence(reference, compared.of(compared.spoken), settings).uar
    number_of = _period_of(own.times, settings.days)
    clock = np.datetime64((now or datetime.now(UTC)).replace(tzinfo=None), "ms")
    newest = own.times.max() if len(own) else clock
    ended_long_ago = bool(clock - newest > np.timedelta64(settings.days, "D"))
    current = int(_period_of(newest if ended_long_ago else clock, settings.days))
    held = np.unique(number_of).tolist()
    latest = [max(some) for some in ([number for number in held if number < current],
                                     [number for number in held if number >= current]) if some]
    periods = [_period(which, which < current, own.of(number_of == which), reference, compared, uar, settings,
                       corrections or {}) for which in sorted({*held[-settings.periods:], *latest})]
    judged = _judged([period for period in periods if period["number"] in latest], settings)
    silence = [f"No record is newer than {periods[-1]['newest']}."] if periods and ended_long_ago else []
    verdict = judged[0]["verdict"] if judged else TOO_FEW
    said = [line for period in judged for line in _words(period, settings, uar)] + silence
    if verdict == TOO_FEW:
        said += _words_of_others(records, model)
    return {"verdict": verdict, "alarm": any(period["alarms"] for period in judged), "words": said,
            "model": model, "judged": [period["number"] for period in judged],
            "reference": {"what": "the model's own reference" if baseline is None else "the baseline",
                          "records": len(compared), "uar": uar},
            "records": len(own), "other_models": len(records) - len(own), "periods": periods}


def _period_of(times: Any, days: int) -> Any:
    """The numbers of the periods, counted since 1970, in which moments lie."""
    return (times.astype("datetime64[D]") - _MONDAY).astype(int) // days


def _judged(latest: list[dict[str, Any]], settings: Watch) -> list[dict[str, Any]]:
    """Of the newest whole period and the newest that is not whole, those that the verdict covers, the worst first.

    A change of the whole one is not hidden by a few good hours after it. That one that has begun holds too few records
    yet says nothing beside a whole one.
    """
    if any(period["whole"] for period in latest):
        latest = [period for period in latest if period["whole"] or period["records"] >= settings.least_records]
    return sorted(latest, key=lambda period: VERDICTS.index(period["verdict"]), reverse=True)


def _period(which: int, whole: bool, own: Records, reference: Reference, compared: Records, uar: float, settings: Watch,
            corrections: Mapping[str, int]) -> dict[str, Any]:
    """A period's figures. With enough records of which too few hold speech, the sound alone is judged."""
    spoken, first = own.of(own.spoken), (_MONDAY + which * settings.days).astype(date)
    period: dict[str, Any] = {
        "number": which, "start": first.isoformat(), "end": (first + timedelta(days=settings.days)).isoformat(),
        "newest": own.times.max().astype(datetime).strftime("%Y-%m-%d %H:%M"), "whole": whole,
        "records": len(own), "spoken": len(spoken), "verdict": TOO_FEW,
        "medians": {name: _median(own.figure(name)) for name in FIGURES}, "drifts": [], "alarms": [],
        **dict.fromkeys(WAYS)}
    if len(own) < settings.least_records:
        return period
    answered = len(spoken) >= settings.least_records
    tests = drifts(compared, own, settings, answered)
    figures: dict[str, Figure | None] = {} if not answered else {
        "by_confidence": by_confidence(reference, spoken, settings), "by_snr": by_snr(reference, spoken, settings),
        "measured": measured(spoken, corrections, settings)}
    period |= {"drifts": [asdict(test) for test in tests],
               **{way: figure and asdict(figure) for way, figure in figures.items()}}
    worse = [_drop_words(way, figure, uar) for way, figure in figures.items()
             if figure is not None and _is_worse(way, figure, uar, settings)]
    changed = [drift_words(test) for test in tests if test.drifted]
    period["alarms"] = [{"kind": kind, "words": words} for kind, several in ((WORSE, worse), (CHANGED, changed))
                        for words in several]
    if worse or changed or answered:
        period["verdict"] = WORSE if worse else CHANGED if changed else QUIET
    return period


def _median(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return round(float(np.median(known)), 4) if len(known) else None


def _is_worse(way: str, figure: Figure, uar: float, settings: Watch) -> bool:
    """Whether UAR lies below the reference's by more than the limit; one that was measured, with its whole interval.

    By SNR nothing is decided: it knows how loud noise is and not of what kind.
    """
    return way != "by_snr" and (figure.high if way == "measured" else figure.uar) < uar - settings.largest_drop


def _drop_words(way: str, figure: Figure, uar: float) -> str:
    verb = "is" if way == "measured" else "is expected to be"
    return f"UAR {verb} {_shown(figure)} {WAYS[way]}, {number(uar)} on what it is compared with"


def _shown(figure: Figure) -> str:
    return interval({"uar": figure.uar, "uar_low": figure.low, "uar_high": figure.high})


def drift_words(test: Drift) -> str:
    """A test in words.

    >>> drift_words(Drift("snr_db", "Kolmogorov-Smirnov", 0.5, 1e-6, 9.0, 22.0))
    'estimated SNR: 9.0 dB, before 22.0 dB (distance 0.50)'
    """
    if test.name == EMBEDDING:
        return f"what the model makes of the sound lies elsewhere (distance {number(test.distance)})"
    name = f"answers of {test.what}" if test.name == ANSWERS else _NAMES.get(test.name, test.name)
    return f"{name}: {_value(test.name, test.now)}, before {_value(test.name, test.before)} " \
           f"(distance {number(test.distance)})"


def _value(name: str, value: float | None) -> str:
    if name in _PER_CENT:
        return percent(value, 1).replace("\N{NO-BREAK SPACE}", " ")
    return f"{number(value, 0 if name == 'bandwidth_hertz' else 1)} {_UNITS.get(name, '')}".strip()


def _words_of_others(records: Records, model: str) -> list[str]:
    """Which models' records are left out, and how to watch one of those models."""
    names, counts = np.unique(records.models[records.models != model], return_counts=True)
    if not len(names):
        return []
    most = np.argsort(-counts, kind="stable")[:_MOST_NAMED]
    named = ", ".join(f"{counts[index]} of {names[index][:12]}" for index in most)
    others = f", the rest of {len(names) - len(most)} more" if len(names) > len(most) else ""
    return [f"{(records.models == model).sum()} of {len(records)} records are of this model ({model[:12]}), {named}"
            f"{others}: name the model that answered with --model, or as the parameter model of watch-model. Versions "
            "in the registry have these fingerprints in the tag model_sha256."]


def part_words(period: Mapping[str, Any]) -> str:
    """After a period's days: until when its records go, where they may not be all of it."""
    return "" if period["whole"] else f", in part (until {period['newest']})"


def _words(period: Mapping[str, Any], settings: Watch, uar: float) -> list[str]:
    """What is said of a period that is judged."""
    heard = f"From {period['start']} to {period['end']}{part_words(period)}: " \
            f"{period['records']} recordings, {period['spoken']} of them with speech"
    limit = f"{settings.least_records} (watch.least_records)"
    if period["records"] < settings.least_records:
        return [f"{heard}: of fewer than {limit} nothing can be said."]
    expected = [f"UAR expected now {WAYS[way]}: {_shown(Figure(**period[way]))}; {number(uar)} on what it is compared "
                "with." for way in ("by_confidence", "by_snr") if period[way]]
    said = [f"UAR measured by {period['measured']['records']} corrections: {_shown(Figure(**period['measured']))}."
            ] if period["measured"] else []
    alarms = [f"{alarm['words'][0].upper()}{alarm['words'][1:]}." for alarm in period["alarms"]
              if alarm["kind"] == CHANGED]
    if period["spoken"] < settings.least_records:
        return [f"{heard}.", *(alarms or ["Sound is as it was."]),
                f"Fewer than {limit} hold speech: answers, embeddings and the UAR to expect are left out."]
    return [f"{heard}.", *expected, *said, *(alarms or ["Sound and answers are as they were."])]
