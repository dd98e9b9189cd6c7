"""Planted faults, each under its own rule; leaks and too many bad recordings stop the run."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ser_ops.config.params import load_params
from ser_ops.errors import UserError
from ser_ops.manifest import NoiseRow, UtteranceRow
from ser_ops.validation.checks import validate, validation_page, validation_record

SETTINGS = load_params(Path(__file__).resolve().parents[2] / "params.yaml").validation
BAD = "made/Actor_00/03"
CORPORA = {"made": {"layout": "ravdess", "synthetic": True, "complete": False, "found": 60, "expected": 1440,
                    "speakers": 6, "emotions": {}, "expected_emotions": {"angry": 192}, "skipped": {}, "oddities": []}}
PARTITIONS = ("train", "train", "train", "train", "validation", "test")


def utterances(each: int = 10, **changes: dict[str, Any]) -> list[UtteranceRow]:
    rows = []
    for speaker in range(6):
        for number in range(each):
            name = f"made/Actor_{speaker:02d}/{number:02d}"
            row = UtteranceRow(name, "made", "ravdess", True, f"{name}.flac", "sad", f"made/{speaker:02d}", "", "en",
                               "", "", name, name, 16000, 1, 1.5, -6.0, -20.0, 0.0, 0.1,
                               partition=PARTITIONS[speaker])
            rows.append(replace(row, **changes.get(name, {})))
    return rows


def noise(**changes: dict[str, Any]) -> list[NoiseRow]:
    return [replace(NoiseRow(f"synthetic/market/{name}", "synthetic", "market", True, f"{name}.flac", name, name,
                             f"noise {name}", 16000, 6.0, -3.0, -20.0, partition=partition), **changes.get(name, {}))
            for name, partition in (("a", "train"), ("b", "validation"), ("c", "test"))]


def judge(rows=None, noises=None, corpora=CORPORA, faults=None, protocol="speaker"):
    return validate(rows or utterances(), noises or noise(), corpora, faults or {}, SETTINGS, protocol)


def test_good_data_passes_every_rule_that_could_stop_it():
    outcome = judge()
    assert outcome.success and not outcome.quarantine and len(outcome.utterances) == 60
    assert {verdict.rule.name for verdict in outcome.verdicts if verdict.failed} == {"completeness"}


FAULTS = [
    ("decodes", {"error": "empty file", "seconds": None, "native_rate": None, "rms_dbfs": None, "content": ""}),
    ("duration", {"seconds": 0.05}), ("duration", {"seconds": 3600}), ("sample rate", {"native_rate": 4000}),
    ("level", {"rms_dbfs": -75.0}), ("clipping", {"clipped_share": 0.2}), ("silence", {"silent_share": 1.0}),
    ("label", {"emotion": "bored"}), ("speaker", {"speaker": ""}), ("duplicate", {"content": "made/Actor_00/20"}),
]


def test_each_bad_recording_is_quarantined_under_its_rule_and_the_run_goes_on():
    planted = {f"made/Actor_00/{number:02d}": rule for number, (rule, _) in enumerate(FAULTS[:-1])}
    planted["made/Actor_00/20"] = "duplicate"  # the first by its name stays
    rows = utterances(each=50, **{f"made/Actor_00/{number:02d}": change for number, (_, change) in enumerate(FAULTS)})
    outcome = judge(rows)
    assert {finding.id: finding.rule for finding in outcome.quarantine} == planted
    assert all(finding.reason and finding.path == f"{finding.id}.flac" for finding in outcome.quarantine)
    assert outcome.success, outcome.stops
    assert not planted.keys() & {row.utterance for row in outcome.utterances} and len(outcome.utterances) == 290


def test_same_content_under_two_labels_takes_both_out():
    outcome = judge(utterances(**{BAD: {"content": "made/Actor_00/02", "emotion": "happy"}}))
    assert sorted(finding.id for finding in outcome.quarantine) == ["made/Actor_00/02", BAD]
    assert all("another label" in finding.reason for finding in outcome.quarantine)


def test_a_published_fault_is_known_by_name():
    real = [replace(row, synthetic=False) for row in utterances()]
    outcome = judge(real, faults={"ravdess": {"03": "a published fault"}})
    assert not judge(faults={"ravdess": {"03": "a published fault"}}).quarantine, "synthetic speech has none"
    assert {finding.rule for finding in outcome.quarantine} == {"known fault"} and len(outcome.quarantine) == 6


def test_telephone_bandwidth_is_a_warning_only():
    outcome = judge(utterances(**{BAD: {"native_rate": 8000}}))
    assert outcome.success and not outcome.quarantine
    assert next(verdict for verdict in outcome.verdicts if verdict.rule.name == "bandwidth").failed


def test_too_many_bad_recordings_stop_the_run():
    outcome = judge(utterances(**{f"made/Actor_00/{n:02d}": {"rms_dbfs": -90.0} for n in range(4)}))
    assert not outcome.success and "validation.bad_share" in outcome.stops[0]


def test_a_speaker_in_two_partitions_stops_the_run():
    outcome = judge(utterances(**{BAD: {"partition": "test"}}))
    assert any("leak: speaker" in stop and "made/00" in stop for stop in outcome.stops), outcome.stops
    assert judge(utterances(**{BAD: {"partition": "test"}}), protocol="random").success, "declared by its protocol"


def test_a_noise_source_in_two_partitions_stops_the_run():
    outcome = judge(noises=noise(c={"source": "a"}))
    assert not outcome.success and any("noise" in stop for stop in outcome.stops)


def test_an_unknown_partition_stops_the_run():
    with pytest.raises(UserError, match="'dev'"):
        judge(utterances(**{BAD: {"partition": "dev"}}))


def test_noise_that_does_not_decode_or_is_silent_is_quarantined():
    outcome = judge(noises=noise(a={"error": "damaged", "content": "", "peak_dbfs": None}, b={"peak_dbfs": -80.0}))
    failures = [(finding.kind, finding.rule) for finding in outcome.quarantine]
    assert failures == [("noise", "noise decodes"), ("noise", "noise level")]


def test_a_full_corpus_with_the_wrong_counts_stops_the_run():
    wrong = {"made": CORPORA["made"] | {"complete": True, "emotions": {"angry": 191}}}
    assert any("counts" in stop for stop in judge(corpora=wrong).stops)


def test_the_record_and_the_pages_name_what_was_found():
    outcome = judge(utterances(**{BAD: {"rms_dbfs": -75.0}}))
    content = validation_record(outcome, CORPORA, SETTINGS.bad_share)
    assert content["success"] and content["checked"] == {"utterances": 60, "noise": 3}
    assert content["partial"] == ["made"] and content["synthetic"] == ["made"]
    page = validation_page(outcome, content)
    assert BAD in page and "Synthetic speech" in page and 'href="utterances.html"' in page
    for html in [page, *outcome.pages.values()]:
        assert "<script src" not in html and "<link" not in html, "opens with no network"


class Seen(HTMLParser):
    """What a browser would make of a page: its elements with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.words += data


PLANTED = "<img src=x onerror=planted()><script>planted()</script>'\"$a ${b} $$ {{ 7 * 7 }} &lt;"


def test_a_name_that_is_markup_is_shown_and_never_run():
    changed = utterances(**{BAD: {"path": PLANTED, "rms_dbfs": -75.0, "speaker": PLANTED},
                            "made/Actor_00/04": {"emotion": PLANTED}, "made/Actor_00/05": {"error": PLANTED}})
    outcome = judge(changed, noise(a={"error": PLANTED, "path": PLANTED}), {PLANTED: CORPORA["made"]})
    pages = {name: Seen(html) for name, html in outcome.pages.items()}
    pages["index"] = Seen(validation_page(outcome,
                                          validation_record(outcome, {PLANTED: CORPORA["made"]}, SETTINGS.bad_share)))
    for name, page in pages.items():
        assert not [attributes for tag, attributes in page.elements if tag == "script" or attributes.get("src") == "x"]
        policies = [attributes["content"] for tag, attributes in page.elements
                    if attributes.get("http-equiv") == "Content-Security-Policy"]
        assert policies and "default-src 'none'" in policies[0] and "script-src" not in policies[0], name
    for name in ("index", "utterances", "noise"):
        assert PLANTED in pages[name].words, "it is shown as it is"
