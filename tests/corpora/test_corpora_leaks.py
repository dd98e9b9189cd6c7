"""The leak audit against planted leaks of each kind, declared and not."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from ser_ops.corpora import leaks
from ser_ops.errors import UserError
from ser_ops.manifest import NoiseRow, UtteranceRow, VariantRow

PLACES = {"s1": "train", "s2": "validation", "s3": "test"}


def speech() -> list[UtteranceRow]:
    return [UtteranceRow(f"a/{speaker}-{number}", "a", speaker=f"a/{speaker}", text=f"t{number}",
                         content=f"hash {speaker} {number}", partition=partition)
            for (speaker, partition), number in product(PLACES.items(), range(4))]


def noise() -> list[NoiseRow]:
    return [NoiseRow(f"rec/fish/{name}", "rec", "fish", source=f"rec/fish/{source}", content=f"hash {name}",
                     partition=partition)
            for name, source, partition in (
                ("one-A", "one", "train"), ("one-B", "one", "train"), ("two", "two", "test"))]


def table(rows: Sequence[UtteranceRow], noisy: str = "rec/fish/one-A") -> list[VariantRow]:
    return [VariantRow(f"{row.utterance}#{variant}", row.utterance, variant, row.partition, row.emotion, row.speaker,
                       row.corpus, content=row.content, noise_recording=noisy if variant == "noisy" else "")
            for row in rows for variant in ("original", "noisy")
            if variant == "original" or row.partition == "train"]


def only(report: dict[str, Any]) -> tuple[str, list[str], str]:
    (finding,) = report["findings"]
    assert not finding["declared"] and not report["clean"]
    return finding["kind"], finding["partitions"], finding["what"]


def test_what_is_clean_is_clean() -> None:
    rows = speech()
    report = leaks.audit_leaks(rows, noise(), "speaker", table(rows))
    assert report == {"protocol": "speaker", "clean": True, "declared": [], "findings": [], "checked": {
        "utterances": 12, "rows": 16, "contents": 12, "speakers": 3, "noise_recordings": 3, "noise_sources": 2,
        "noise_sources_in_validation": 0}}


@pytest.mark.parametrize("protocol", ["speaker", "random"])
def test_equal_content_in_two_partitions(protocol: str) -> None:
    rows = speech()
    rows[0] = replace(rows[0], content=rows[-1].content)
    assert only(leaks.audit_leaks(rows, noise(), protocol)) == ("content", ["train", "test"], rows[0].content)


def test_a_speaker_in_two_partitions() -> None:
    rows = speech()
    rows[0] = replace(rows[0], partition="validation")
    report = leaks.audit_leaks(rows, noise(), "speaker")
    assert only(report) == ("speaker", ["train", "validation"], "a/s1")
    assert leaks.undeclared_leaks(report) == ["speaker a/s1 is in train and validation"]
    assert leaks.undeclared_leaks(leaks.audit_leaks(rows, noise(), "random")) == []


def test_a_variant_away_from_its_original() -> None:
    rows = speech()
    variants = table(rows)
    position = next(position for position, row in enumerate(variants) if row.variant == "noisy")
    variants[position] = replace(variants[position], partition="test")
    for protocol in ("speaker", "random"):
        kinds = {finding["kind"] for finding in leaks.audit_leaks(rows, [], protocol, variants)["findings"]
                 if not finding["declared"]}
        assert "variant" in kinds
    report = leaks.audit_leaks(rows, [], "paper", variants)
    assert report["findings"] and leaks.undeclared_leaks(report) == []


def test_a_table_that_disagrees_with_the_manifest() -> None:
    rows = speech()
    variants = [replace(row, partition={"train": "test", "test": "train"}.get(row.partition, row.partition))
                for row in table(rows)]
    report = leaks.audit_leaks(rows, [], "speaker", variants)
    assert {finding["kind"]
            for finding in report["findings"]} == {"variant"} and len(leaks.undeclared_leaks(report)) == 8


def test_two_takes_of_one_noise_source_in_two_partitions() -> None:
    recordings = noise()
    recordings[1] = replace(recordings[1], partition="validation")
    assert only(leaks.audit_leaks(speech(), recordings, "random")) == ("noise", ["train", "validation"], "rec/fish/one")


def test_one_noise_under_two_names_in_two_partitions() -> None:
    recordings = noise()
    recordings[2] = replace(recordings[2], content=recordings[0].content)
    assert only(leaks.audit_leaks(speech(), recordings, "speaker")) == ("noise", ["train", "test"],
                                                                        recordings[0].content)


def test_the_same_sound_at_another_gain_in_two_partitions() -> None:
    rows, recordings = speech(), noise()
    rows[0], rows[-1] = (replace(row, sound=rows[0].utterance) for row in (rows[0], rows[-1]))
    recordings[0], recordings[2] = (replace(row, sound="rec/fish/one-A") for row in (recordings[0], recordings[2]))
    report = leaks.audit_leaks(rows, recordings, "speaker", table(rows))
    assert leaks.undeclared_leaks(report) == [
        "content a/s1-0, the same sound as a/s3-3, is in train and test",
        "noise rec/fish/one-A, the same sound as rec/fish/two, is in train and test"]
    assert leaks.undeclared_leaks(leaks.audit_leaks(rows, recordings, "paper", table(rows))) == []


def test_one_sound_within_one_partition_is_no_leak() -> None:
    rows, recordings = speech(), noise()
    rows[:2] = (replace(row, sound=rows[0].utterance) for row in rows[:2])
    recordings[:2] = (replace(row, sound="rec/fish/one-A") for row in recordings[:2])
    assert leaks.audit_leaks(rows, recordings, "speaker", table(rows))["clean"]


def test_test_noise_mixed_into_training() -> None:
    rows = speech()
    report = leaks.audit_leaks(rows, noise(), "speaker", table(rows, "rec/fish/two"))
    assert only(report) == ("noise", ["train", "test"], "rec/fish/two")


def copies(rows: Sequence[UtteranceRow], noise_recording: str) -> list[VariantRow]:
    """What validation hears in noise."""
    return [VariantRow(f"{row.utterance}#noisy_1", row.utterance, "noisy_1", row.partition, row.emotion, row.speaker,
                       row.corpus, content=row.content, noise_recording=noise_recording, noise_category="fish")
            for row in rows if row.partition == "validation"]


@pytest.mark.parametrize("protocol", ["speaker", "random"])
def test_validation_hears_noise_of_its_own(protocol: str) -> None:
    rows, recordings = speech(), [*noise(), NoiseRow("rec/fish/three", "rec", "fish", source="rec/fish/three",
                                                     content="hash three", partition="validation")]
    report = leaks.audit_leaks(rows, recordings, protocol, table(rows) + copies(rows, "rec/fish/three"))
    assert report["clean"] and report["checked"]["noise_sources_in_validation"] == 1


@pytest.mark.parametrize("protocol", ["speaker", "random"])
@pytest.mark.parametrize(("planted", "partitions"), [
    ("rec/fish/one-A", ["train", "validation"]), ("rec/fish/one-B", ["train", "validation"]),
    ("rec/fish/two", ["validation", "test"])])
def test_noise_that_trains_or_tests_mixed_into_validation(protocol: str, planted: str, partitions: list[str]) -> None:
    """one-B is in no row of training: that its source may train is enough."""
    rows = speech()
    report = leaks.audit_leaks(rows, noise(), protocol, table(rows) + copies(rows, planted))
    source = next(row.source for row in noise() if row.recording == planted)
    assert only(report) == ("noise", partitions, source)
    assert leaks.undeclared_leaks(report) == [f"noise {source} is in {' and '.join(partitions)}"]


def test_a_speaker_of_a_corpus_with_three_is_never_declared_by_another_one_split_by_word() -> None:
    rows = [row for row in speech() if row.speaker != "a/s3"]
    rows[0] = replace(rows[0], partition="test")
    report = leaks.audit_leaks(rows, [], "speaker")  # two speakers, no other corpus: split by word
    assert report["declared"] and leaks.undeclared_leaks(report) == [] and not report["clean"]
    other = [replace(row, corpus="b", speaker=row.speaker.replace("a", "b"), content=f"b{row.content}",
                     utterance=f"b{row.utterance}") for row in speech()]
    assert leaks.undeclared_leaks(leaks.audit_leaks(rows + other, [],
                                                    "speaker")) == ["speaker a/s1 is in train and test"]


def test_undecodable_rows_share_no_content() -> None:
    rows = [replace(row, content="") for row in speech()]
    assert leaks.audit_leaks(rows, [], "speaker")["clean"]


def test_a_partition_of_no_known_name() -> None:
    rows = speech()
    rows[3] = replace(rows[3], partition="dev")
    with pytest.raises(UserError, match="a/s1-3 has the partition 'dev'"):
        leaks.audit_leaks(rows, [], "speaker")
