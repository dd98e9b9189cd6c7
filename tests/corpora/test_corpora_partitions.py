"""Partitions: who is where depends on rows and seed alone, and no speaker is in two places."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_ops.config.data import Partitions
from ser_ops.corpora import leaks
from ser_ops.corpora.partitions import (
    PARTITIONS,
    assign_partitions,
    assign_variant_partitions,
    declared_leaks,
    divide_groups,
    split_units,
)
from ser_ops.emotions import EMOTIONS
from ser_ops.manifest import UtteranceRow, VariantRow

Rows = list[UtteranceRow]


def protocol(name: str = "speaker", seed: int = 20, **more: float) -> Partitions:
    return Partitions(**{"protocol": name, "seed": seed, "validation": 0.2, "test": 0.2, "noise_validation": 0.25,
                         "noise_test": 0.25, "held_out_noise": (), **more})  # type: ignore[arg-type]


def row(corpus: str, speaker: str, emotion: str, number: int, gender: str = "", text: str = "") -> UtteranceRow:
    name = f"{corpus}/{speaker}-{emotion}-{number}"
    return UtteranceRow(name, corpus, emotion=emotion, speaker=f"{corpus}/{speaker}", gender=gender,
                        text=text or f"sentence {number}", content=f"hash of {name}")


def corpus(name: str, speakers: int, per_class: int = 4) -> Rows:
    return [row(name, f"{speaker:02d}", emotion, number, "female" if speaker % 2 else "male")
            for speaker, emotion, number in product(range(speakers), EMOTIONS, range(per_class))]


def tess(words: int = 20) -> Rows:
    return [row("tess", speaker, emotion, number, "female", f"word{number}")
            for speaker, emotion, number in product(("OAF", "YAF"), EMOTIONS, range(words))]


def by(rows: Sequence[UtteranceRow | VariantRow], places: list[str], column: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for row, partition in zip(rows, places, strict=True):
        found[getattr(row, column)].add(partition)
    return found


@st.composite
def uneven(draw: st.DrawFn) -> Rows:
    """Corpora of 3 to 8 speakers with any number of utterances of any emotion each."""
    rows: Rows = []
    for name in draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True)):
        for speaker in range(draw(st.integers(3, 8))):
            gender = draw(st.sampled_from(["female", "male", ""]))
            counts = draw(st.dictionaries(st.sampled_from(EMOTIONS), st.integers(1, 5), min_size=1))
            rows += [row(name, str(speaker), emotion, number, gender)
                     for emotion, n in counts.items() for number in range(n)]
    return rows


@settings(max_examples=40)
@given(rows=uneven(), seed=st.integers(0, 2**31), data=st.data())
def test_speakers_stay_whole_every_corpus_fills_all_and_order_does_not_matter(
        rows: Rows, seed: int, data: st.DataObject) -> None:
    places = assign_partitions(rows, protocol(seed=seed))
    assert all(len(names) == 1 for names in by(rows, places, "speaker").values())
    assert all(names == set(PARTITIONS) for names in by(rows, places, "corpus").values())
    shuffled = data.draw(st.permutations(rows))
    again = dict(zip((row.utterance for row in shuffled), assign_partitions(shuffled, protocol(seed=seed)),
                     strict=True))
    assert [again[row.utterance] for row in rows] == places
    placed = [replace(row, partition=partition) for row, partition in zip(rows, places, strict=True)]
    report = leaks.audit_leaks(placed, [], "speaker")
    assert report["clean"] and not report["findings"] and not report["declared"]


@settings(max_examples=30)
@given(rows=uneven(), seed=st.integers(0, 2**31), twins=st.integers(1, 4))
def test_random_keeps_the_shares_and_keeps_equal_contents_together(rows: Rows, seed: int, twins: int) -> None:
    rows = [replace(row, content=str(number // twins)) for number, row in enumerate(rows)]
    places = assign_partitions(rows, protocol("random", seed))
    assert all(len(names) == 1 for names in by(rows, places, "content").values())
    counts = Counter(places)
    for name, share in (("train", 0.6), ("validation", 0.2), ("test", 0.2)):
        assert abs(counts[name] - share * len(rows)) <= twins
    assert places == assign_partitions(rows, protocol("random", seed))


def test_random_is_stratified_by_corpus_and_emotion() -> None:
    rows = corpus("a", 5, 10) + corpus("b", 3, 5)
    places = assign_partitions(rows, protocol("random"))
    for name, emotion in product("ab", EMOTIONS):
        own = Counter(partition for row, partition in zip(rows, places, strict=True)
                      if (row.corpus, row.emotion) == (name, emotion))
        total = sum(own.values())
        assert abs(own["train"] - 0.6 * total) <= 1.5 and abs(own["test"] - 0.2 * total) <= 1.5


def test_paper_lets_variants_part_and_is_deterministic() -> None:
    rows = [VariantRow(f"{row.utterance}#{variant}", row.utterance, variant, "", row.emotion, row.speaker, row.corpus)
            for row in corpus("a", 4)
            for variant in ("original", "noisy", "pitched", "pitched_noisy")]
    places = assign_variant_partitions(rows, protocol("paper"))
    assert any(len(names) > 1 for names in by(rows, places, "utterance").values())
    assert abs(Counter(places)["train"] - 0.6 * len(rows)) <= 1
    backwards = assign_variant_partitions(rows[::-1], protocol("paper"))
    assert backwards[::-1] == places


def test_undecodable_rows_are_no_duplicates_of_each_other() -> None:
    rows = [replace(row, content="") for row in corpus("a", 4)]
    assert len(set(assign_partitions(rows, protocol("random")))) == 3


@pytest.mark.parametrize("seed", range(3))
def test_a_balanced_corpus_is_split_as_evenly_as_its_speakers_allow(seed: int) -> None:
    rows = corpus("ravdess", 24)
    places = assign_partitions(rows, protocol(seed=seed))
    speakers = {row.speaker: (partition, row.gender) for row, partition in zip(rows, places, strict=True)}
    assert sorted(Counter(partition for partition, _ in speakers.values()).values()) == [5, 5, 14]
    genders = Counter(speakers.values())
    assert genders["train", "female"] == genders["train", "male"] == 7
    assert {genders["test", "female"], genders["test", "male"]} == {2, 3}


def test_seeds_choose_other_speakers() -> None:
    rows = corpus("ravdess", 24)
    assert len({tuple(assign_partitions(rows, protocol(seed=seed))) for seed in range(6)}) == 6


def test_the_smallest_deviation_is_found_where_it_can_be_counted() -> None:
    groups = {f"s{number}": [{"emotion": emotion} for emotion, n in zip(EMOTIONS, counts, strict=False)
                             for _ in range(n)]
              for number, counts in enumerate([(9, 1), (1, 9), (5, 5), (3, 1), (1, 3), (2, 2), (4, 0)])}
    shares = {"train": 0.6, "validation": 0.2, "test": 0.2}

    def cost(places: dict[str, str]) -> float:
        total = 0.0
        for wanted in (None, *EMOTIONS[:2]):
            of_all = sum(row["emotion"] == wanted or wanted is None for rows in groups.values() for row in rows)
            for partition, share in shares.items():
                own = sum(row["emotion"] == wanted or wanted is None
                          for name, rows in groups.items() if places[name] == partition for row in rows)
                total += (own / of_all - share) ** 2 * (1 if wanted is None else 0.5)
        return total

    best = min(cost(dict(zip(groups, places, strict=True))) for places in product(shares, repeat=len(groups))
               if set(places) == set(shares))
    assert cost(divide_groups(groups, shares, 1)) == pytest.approx(best, rel=1e-3)


def test_no_speaker_is_drawn_into_a_partition_without_a_share() -> None:
    assert set(assign_partitions(corpus("a", 5), protocol(validation=0.0))) == {"train", "test"}


def test_tess_beside_a_full_corpus_gives_one_speaker_to_training_and_one_to_test() -> None:
    rows = tess() + corpus("ravdess", 6)
    places = by(rows, assign_partitions(rows, protocol()), "speaker")
    assert sorted(map(sorted, (places["tess/OAF"], places["tess/YAF"]))) == [["test"], ["train"]]
    assert split_units(rows) == {"ravdess": "speaker", "tess": "pair"}
    assert declared_leaks(rows, "speaker") == []
    trains = {by(rows, assign_partitions(rows, protocol(seed=seed)), "speaker")["tess/OAF"] == {"train"}
              for seed in range(8)}
    assert trains == {True, False}


def test_tess_alone_is_split_by_word_and_said_so() -> None:
    rows = tess()
    places = assign_partitions(rows, protocol())
    assert all(len(names) == 1 for names in by(rows, places, "text").values())
    assert by(rows, places, "speaker")["tess/OAF"] == set(PARTITIONS)
    assert Counter(places) == {"train": 168, "validation": 56, "test": 56}
    (said,) = declared_leaks(rows, "speaker")
    assert said.startswith("tess: split by word")
    placed = [replace(row, partition=partition) for row, partition in zip(rows, places, strict=True)]
    report = leaks.audit_leaks(placed, [], "speaker")
    assert report["findings"] and leaks.undeclared_leaks(report) == [] and not report["clean"]
    assert report["protocol"] == "word", "by word is never called by speaker"


def test_two_speakers_without_texts_are_split_by_utterance_and_said_so() -> None:
    rows = [replace(row, text="") for row in corpus("mine", 2)]
    assert split_units(rows) == {"mine": "utterance"}
    assert set(assign_partitions(rows, protocol())) == set(PARTITIONS)
    assert "split by utterance" in declared_leaks(rows, "speaker")[0]


def test_a_single_speaker_beside_a_full_corpus_trains() -> None:
    rows = corpus("one", 1) + corpus("full", 3)
    places = by(rows, assign_partitions(rows, protocol()), "corpus")
    assert places == {"one": {"train"}, "full": set(PARTITIONS)}
