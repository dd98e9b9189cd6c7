"""What is said of many recordings, by kind."""

from hypothesis import given
from hypothesis import strategies as st

from ser_ops.terminal import count_sentences, counts_in_words, unused_in_words


def test_five_kinds_are_named_and_the_most_frequent_come_first():
    counts = {kind: number for number, kind in enumerate("abcde", 1)}
    assert counts_in_words(counts) == "e (5), d (4), c (3), b (2), a (1)"
    assert counts_in_words({**counts, "f": 9, "g": 1}) == "f (9), e (5), d (4), c (3), b (2), other reasons (2)"
    assert unused_in_words({"used": 1, "of": 5, "left_out": {"a": 1, "b": 2, "c": 1}},
                           "files").endswith("b (2), a (1), c (1)")


def test_a_warning_keeps_its_remedy_and_the_numbers_that_are_the_same():
    said = [f"is {loss} dB below: channel {channel} is heard (--channel chooses another)" for loss in (7, 1250)
            for channel in (2, 2)]
    assert count_sentences(said, whole=True) == {"is … dB below: channel 2 is heard (--channel chooses another)": 4}
    assert count_sentences(said) == {"is … dB below": 4}
    assert count_sentences(["1,250.5 s promised: 2", "3.0 s promised: 2"], whole=True) == {"… s promised: 2": 2}


@given(st.lists(st.text("ab 1.:…-,", max_size=12)), st.booleans())
def test_every_sentence_is_counted_once(sentences, whole):
    assert sum(count_sentences(sentences, whole).values()) == len(sentences)
    if len(set(sentences)) == 1 and whole:
        assert list(count_sentences(sentences, whole)) == sentences[:1]
