"""Folds: every utterance tested once, speakers apart, classes kept, nothing that depends on the order of rows."""

from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_ops.config.params import load_params
from ser_ops.corpora import leaks
from ser_ops.corpora.partitions import FOLD_PROTOCOLS, assign_fold, fold_count
from ser_ops.emotions import EMOTIONS
from ser_ops.manifest import UtteranceRow


def rows_of(speakers=10, corpora=("one",), each=2):
    return [UtteranceRow(f"{corpus}/{speaker:02d}/{emotion}/{copy}", corpus, emotion=emotion,
                         speaker=f"{corpus}/{speaker:02d}", gender="female" if speaker % 2 else "male",
                         text=f"word {copy}", content=f"{corpus}{speaker}{emotion}{copy}")
            for corpus in corpora for speaker in range(speakers) for emotion in EMOTIONS for copy in range(each)]


def with_settings():
    return load_params().partitions


def placed_in(rows, protocol, count, fold):
    partitions = assign_fold(rows, with_settings(), protocol, count, fold)
    return [replace(row, partition=partition) for row, partition in zip(rows, partitions, strict=True)]


def partitions_of(rows, column):
    groups = defaultdict(set)
    for row in rows:
        groups[getattr(row, column)].add(row.partition)
    return groups


@pytest.mark.parametrize("protocol", ["speaker", "word", "random"])
def test_every_utterance_is_tested_in_exactly_one_fold(protocol):
    rows = rows_of(corpora=("one", "two"), each=7)
    tested = Counter()
    for fold in range(1, 6):
        partitions = assign_fold(rows, with_settings(), protocol, 5, fold)
        assert set(partitions) == {"train", "validation", "test"}
        tested.update(row.utterance for row, partition in zip(rows, partitions, strict=True) if partition == "test")
        emotions = Counter(row.emotion for row, partition in zip(rows, partitions, strict=True) if partition == "test")
        assert max(emotions.values()) - min(emotions.values()) <= 2
    assert set(tested.values()) == {1} and len(tested) == len(rows)


def test_speakers_are_apart_and_the_audit_agrees():
    rows = rows_of()
    for fold in range(1, 6):
        partitions = assign_fold(rows, with_settings(), "speaker", 5, fold)
        of = defaultdict(set)
        for row, partition in zip(rows, partitions, strict=True):
            of[row.speaker].add(partition)
        assert all(len(values) == 1 for values in of.values())
        placed = [replace(row, partition=partition) for row, partition in zip(rows, partitions, strict=True)]
        assert leaks.audit_leaks(placed, [], "speaker")["clean"]


def test_random_folds_share_speakers_which_the_audit_declares():
    rows = rows_of()
    placed = [replace(row, partition=partition)
              for row, partition in zip(rows, assign_fold(rows, with_settings(), "random", 5, 1), strict=True)]
    report = leaks.audit_leaks(placed, [], "random")
    assert not report["clean"] and not leaks.undeclared_leaks(report)


def test_the_same_content_stays_together():
    rows = rows_of(speakers=6)
    rows[0] = replace(rows[0], content=rows[1].content)
    for fold in range(1, 6):
        partitions = assign_fold(rows, with_settings(), "random", 5, fold)
        assert partitions[0] == partitions[1]


TESS = rows_of(speakers=2, corpora=("tess",), each=10)


def test_by_word_no_test_word_is_trained_on_and_every_voice_is():
    for fold in range(1, 6):
        placed = placed_in(TESS, "word", 5, fold)
        assert all(len(parts) == 1 for parts in partitions_of(placed, "text").values())
        assert all(parts == {"train", "validation", "test"} for parts in partitions_of(placed, "speaker").values())
        report = leaks.audit_leaks(placed, [], "word", fold=True)
        assert (report["protocol"], report["clean"]) == ("word", False)
        assert not leaks.undeclared_leaks(report) and "split by word" in report["declared"][0]


def test_by_speaker_two_speakers_are_tested_in_turn_and_other_words_of_the_other_one_validate():
    tested = set()
    for fold in (1, 2):
        placed = placed_in(TESS, "speaker", 2, fold)
        parts = partitions_of(placed, "speaker")
        (test,) = (speaker for speaker, own in parts.items() if "test" in own)
        tested.add(test)
        assert parts.pop(test) == {"test"} and list(parts.values()) == [{"train", "validation"}]
        assert all(len(own) == 1 for own in partitions_of([row for row in placed if row.speaker != test],
                                                          "text").values())
        report = leaks.audit_leaks(placed, [], "speaker", fold=True)
        assert report["protocol"] == "speaker" and not leaks.undeclared_leaks(report)
        assert "none of that voice is trained on" in report["declared"][0]
    assert tested == {"tess/00", "tess/01"}


def test_by_speaker_a_test_voice_in_training_stops_even_where_there_are_two():
    placed = placed_in(TESS, "speaker", 2, 1)
    moved = next(index for index, row in enumerate(placed) if row.partition == "test")
    leaky = [replace(row, partition="train") if index == moved else row for index, row in enumerate(placed)]
    said = leaks.undeclared_leaks(leaks.audit_leaks(leaky, [], "speaker", fold=True))
    assert said == [f"speaker {placed[moved].speaker} is in train and test"]


def test_folds_that_the_corpora_admit():
    few = [replace(row, text=f"sentence {int(row.text[-1]) % 2}") for row in TESS]
    silent = [replace(row, text="") for row in TESS]
    alone = [row for row in TESS if row.speaker == "tess/00"]
    counts = {name: [fold_count(rows, protocol, 5) for protocol in FOLD_PROTOCOLS] for name, rows in (
        ("tess", TESS), ("two sentences", few), ("no texts", silent), ("one speaker", alone),
        ("beside one without words", TESS + rows_of(corpora=("other",), each=2)))}
    assert counts == {"tess": [5, 5, 2], "two sentences": [5, 0, 2], "no texts": [5, 0, 2], "one speaker": [5, 5, 0],
                      "beside one without words": [5, 0, 5]}


def test_two_speakers_beside_a_full_corpus_stay_apart():
    pair = TESS
    both = pair + rows_of(speakers=10, corpora=("other",))
    for fold in range(1, 6):
        of = defaultdict(set)
        for row, partition in zip(both, assign_fold(both, with_settings(), "speaker", 5, fold), strict=True):
            of[row.speaker].add(partition)
        assert all(len(values) == 1 for values in of.values())


@settings(max_examples=15)
@given(st.randoms(use_true_random=False), st.sampled_from(["speaker", "random"]), st.integers(1, 4))
def test_the_order_of_rows_changes_nothing(random, protocol, fold):
    rows = rows_of(speakers=6)
    mixed = list(rows)
    random.shuffle(mixed)
    known = dict(zip((row.utterance for row in rows), assign_fold(rows, with_settings(), protocol, 4, fold),
                     strict=True))
    assert [known[row.utterance] for row in mixed] == assign_fold(mixed, with_settings(), protocol, 4, fold)


def test_a_fold_that_there_is_none_of():
    with pytest.raises(ValueError, match="no fold 6 of 5"):
        assign_fold(rows_of(), with_settings(), "speaker", 5, 6)
    with pytest.raises(ValueError, match="paper"):
        assign_fold(rows_of(), with_settings(), "paper", 5, 1)
