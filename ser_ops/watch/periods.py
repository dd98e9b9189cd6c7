"""Records by period, what each period says of the model, and a verdict in words."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import date, timedelta
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
WAYS = {"by_confidence": "by confidence", "by_snr": "by the noise heard", "measured": "by corrections"}


def watched(records: Records, model: str, reference: Reference, settings: Watch,
            corrections: Mapping[str, int] | None = None, baseline: Records | None = None) -> dict[str, Any]:
    """What records say of a model, by period, as plain values for JSON.

    Args:
        records: Of a service, whichever models answered.
        model: Fingerprint of the model that is watched; records of others are counted and left out.
        reference: The model's own.
        settings: Section watch.
        corrections: True classes by a record's id.
        baseline: The model's records of a time that counts as good, to compare with in place of the reference's.

    Returns:
        verdict (quiet, changed, worse, or too few records) and words of the newest period with enough records; alarm;
        reference: what is compared with, its records, and its `uar`, measured on the reference's labels, or of a
        baseline as expected by confidence; other_models, records of them; and periods, each with start, end (the day
        after its last), records, medians, drifts, by_confidence, by_snr, measured (uar, low, high, records), alarms.
    """
    own = records.of(records.models == model)
    compared = reference.one_of_each_clip(settings.seed) if baseline is None else baseline
    uar = scores(reference.true, reference.records.predicted)["uar"] if baseline is None else \
        by_confidence(reference, compared.of(compared.spoken), settings).uar
    periods = [_period(which, chosen, reference, compared, uar, settings, corrections or {})
               for which, chosen in _periods(own, settings.days, settings.periods)]
    judged = next((period for period in reversed(periods) if period["enough"]), None)
    alarms = judged["alarms"] if judged else []
    verdict = "too few records" if judged is None else \
        "worse" if any(alarm["kind"] == "worse" for alarm in alarms) else "changed" if alarms else "quiet"
    return {"verdict": verdict, "alarm": bool(alarms), "words": _words(judged, len(own), settings, uar), "model": model,
            "reference": {"what": "the model's own reference" if baseline is None else "the baseline",
                          "records": len(compared), "uar": uar},
            "records": len(own), "other_models": len(records) - len(own), "periods": periods}


def _periods(records: Records, days: int, most: int) -> Iterator[tuple[int, Records]]:
    """The newest periods that hold records, the oldest first: their number since 1970 and their records."""
    number_of = (records.times.astype("datetime64[D]") - _MONDAY).astype(int) // days
    for which in np.unique(number_of)[-most:]:
        yield int(which), records.of(number_of == which)


def _period(which: int, own: Records, reference: Reference, compared: Records, uar: float, settings: Watch,
            corrections: Mapping[str, int]) -> dict[str, Any]:
    spoken, first = own.of(own.spoken), (_MONDAY + which * settings.days).astype(date)
    period: dict[str, Any] = {
        "number": which, "start": first.isoformat(), "end": (first + timedelta(days=settings.days)).isoformat(),
        "records": len(own), "enough": len(spoken) >= settings.least_records,
        "medians": {name: _median(own.figure(name)) for name in FIGURES}, "drifts": [], "alarms": [],
        **dict.fromkeys(WAYS)}
    if not period["enough"]:
        return period
    tests = drifts(compared, own, settings)
    figures = {"by_confidence": by_confidence(reference, spoken, settings),
               "by_snr": by_snr(reference, spoken, settings), "measured": measured(spoken, corrections, settings)}
    period |= {"drifts": [asdict(test) for test in tests],
               **{way: figure and asdict(figure) for way, figure in figures.items()}}
    period["alarms"] = [{"kind": "worse", "words": _drop_words(way, figure, uar)} for way, figure in figures.items()
                        if figure is not None and _is_worse(way, figure, uar, settings)]
    period["alarms"] += [{"kind": "changed", "words": drift_words(test)} for test in tests if test.drifted]
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


def _words(judged: Mapping[str, Any] | None, records: int, settings: Watch, uar: float) -> list[str]:
    if judged is None:
        return [f"No period of {settings.days} days holds {settings.least_records} recordings in which somebody speaks "
                f"({records} records in all): nothing can be said yet."]
    first = f"From {judged['start']} to {judged['end']}: {judged['records']} recordings."
    expected = [f"UAR expected now {WAYS[way]}: {_shown(Figure(**judged[way]))}; {number(uar)} on what it is compared "
                "with." for way in ("by_confidence", "by_snr") if judged[way]]
    said = [f"UAR measured by {judged['measured']['records']} corrections: {_shown(Figure(**judged['measured']))}."
            ] if judged["measured"] else []
    alarms = [f"{alarm['words'][0].upper()}{alarm['words'][1:]}." for alarm in judged["alarms"]
              if alarm["kind"] == "changed"] or ["Sound and answers are as they were."]
    return [first, *expected, *said, *alarms]
