"""Folds: every utterance tested once, speakers apart, classes kept, nothing that depends on the order of rows."""

from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_ops.config.params import load_params
from ser_ops.corpora import leaks
from ser_ops.corpora.partitions import assign_fold
from ser_ops.emotions import EMOTIONS
from ser_ops.manifest import UtteranceRow


def rows_of(speakers=10, corpora=("one",), each=2):
    return [UtteranceRow(f"{corpus}/{speaker:02d}/{emotion}/{copy}", corpus, emotion=emotion,
                         speaker=f"{corpus}/{speaker:02d}", gender="female" if speaker % 2 else "male",
                         text=f"word {copy}", content=f"{corpus}{speaker}{emotion}{copy}")
            for corpus in corpora for speaker in range(speakers) for emotion in EMOTIONS for copy in range(each)]


def with_protocol(protocol, **changes):
    return load_params().partitions.model_copy(update={"protocol": protocol, **changes})


@pytest.mark.parametrize("protocol", ["speaker", "random"])
def test_every_utterance_is_tested_in_exactly_one_fold(protocol):
    rows = rows_of(corpora=("one", "two"))
    tested = Counter()
    for fold in range(1, 6):
        partitions = assign_fold(rows, with_protocol(protocol), 5, fold)
        assert set(partitions) == {"train", "validation", "test"}
        tested.update(row.utterance for row, partition in zip(rows, partitions, strict=True) if partition == "test")
        emotions = Counter(row.emotion for row, partition in zip(rows, partitions, strict=True) if partition == "test")
        assert max(emotions.values()) - min(emotions.values()) <= 1
    assert set(tested.values()) == {1} and len(tested) == len(rows)


def test_speakers_are_apart_and_the_audit_agrees():
    rows = rows_of()
    for fold in range(1, 6):
        partitions = assign_fold(rows, with_protocol("speaker"), 5, fold)
        of = defaultdict(set)
        for row, partition in zip(rows, partitions, strict=True):
            of[row.speaker].add(partition)
        assert all(len(values) == 1 for values in of.values())
        placed = [replace(row, partition=partition) for row, partition in zip(rows, partitions, strict=True)]
        assert leaks.audit_leaks(placed, [], "speaker")["clean"]


def test_random_folds_share_speakers_which_the_audit_declares():
    rows = rows_of()
    placed = [replace(row, partition=partition)
              for row, partition in zip(rows, assign_fold(rows, with_protocol("random"), 5, 1), strict=True)]
    report = leaks.audit_leaks(placed, [], "random")
    assert not report["clean"] and not leaks.undeclared_leaks(report)


def test_the_same_content_stays_together():
    rows = rows_of(speakers=6)
    rows[0] = replace(rows[0], content=rows[1].content)
    for fold in range(1, 6):
        partitions = assign_fold(rows, with_protocol("random"), 5, fold)
        assert partitions[0] == partitions[1]


def test_two_speakers_alone_go_by_word_and_beside_others_by_speaker():
    pair = rows_of(speakers=2, corpora=("pair",), each=10)
    partitions = assign_fold(pair, with_protocol("speaker"), 5, 1)
    words = defaultdict(set)
    for row, partition in zip(pair, partitions, strict=True):
        words[row.text].add(partition)
    assert all(len(word) == 1 for word in words.values()) and "test" in partitions
    both = pair + rows_of(speakers=10, corpora=("other",))
    for fold in range(1, 6):
        of = defaultdict(set)
        for row, partition in zip(both, assign_fold(both, with_protocol("speaker"), 5, fold), strict=True):
            of[row.speaker].add(partition)
        assert all(len(values) == 1 for values in of.values())


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(["speaker", "random"]), st.integers(1, 4))
def test_the_order_of_rows_changes_nothing(random, protocol, fold):
    rows = rows_of(speakers=6)
    mixed = list(rows)
    random.shuffle(mixed)
    known = dict(zip((row.utterance for row in rows), assign_fold(rows, with_protocol(protocol), 4, fold),
                     strict=True))
    assert [known[row.utterance] for row in mixed] == assign_fold(mixed, with_protocol(protocol), 4, fold)


def test_a_fold_that_there_is_none_of():
    with pytest.raises(ValueError, match="no fold 6 of 5"):
        assign_fold(rows_of(), with_protocol("speaker"), 5, 6)
    with pytest.raises(ValueError, match="paper"):
        assign_fold(rows_of(), with_protocol("paper"), 5, 1)
