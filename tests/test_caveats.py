"""What every answer of a model must say of its making, from model.json alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser_ops.caveats import caveats, marks
from ser_ops.terminal import printable

SOUND = {"model": "fusion", "backbone": "checkpoint facebook/wav2vec2-base", "shuffled_labels": False, "data": {
    "corpora": ["voices"], "synthetic": [], "partial": [], "protocol": "speaker",
    "licences": {"voices": "CC0 1.0", "street": "CC BY 4.0"}}}


def with_data(**changes):
    return SOUND | {"data": SOUND["data"] | changes}


def test_a_sound_model_is_answered_without_a_word():
    assert caveats(SOUND) == () and marks(caveats(SOUND)) == ""
    none = SOUND | {"model": "cnn", "backbone": "none, this model has no pretrained part"}
    assert caveats(none) == ()


@pytest.mark.parametrize(("card", "mark", "sentence"), [
    (with_data(synthetic=["voices"]), "learnt from synthetic speech", "SYNTHETIC speech (voices)"),
    (with_data(corpora=["voices", "people"], synthetic=["voices"], licences={"voices": "CC0", "people": "CC0"}),
     "partly learnt from synthetic speech", "partly from SYNTHETIC"),
    (with_data(partial=["voices"]), "partial corpus", "Partial corpora: voices."),
    (SOUND | {"backbone": "random weights, small configuration"}, "wav2vec stream not pretrained", "random weights"),
    (SOUND | {"model": "vit", "backbone": "random weights"}, "backbone not pretrained", "Its backbone"),
    (with_data(licences={"voices": "CC BY-NC-SA 4.0"}), "non-commercial", "licences of: voices."),
    (with_data(licences={"voices": "CC0", "street": "CC BY-NC 3.0"}), "non-commercial", "licences of: street."),
    (with_data(licences={}), "licence not stated", "licences of: voices."),
    (with_data(licences=None), "licence not stated", "licences of: voices."),
    (with_data(protocol="random"), "protocol random", "figures are too high"),
    (with_data(protocol=None), "protocol not stated", "figures are too high"),
    (SOUND | {"shuffled_labels": True}, "learnt from shuffled labels", "never to be used"),
    ({"model": "fusion"}, "training data not stated", "does not say"),
])
def test_each_thing_that_the_card_knows_is_said(card, mark, sentence):
    (told,) = caveats(card)
    assert told.mark == mark and sentence in told.sentence
    assert marks([told]) == f" [{mark}]"


def test_the_gravest_comes_first():
    card = with_data(synthetic=["voices"], partial=["voices"], protocol="paper", licences={}) | {
        "shuffled_labels": True, "backbone": "random weights"}
    assert [told.mark for told in caveats(card)] == [
        "learnt from shuffled labels", "learnt from synthetic speech", "partial corpus",
        "wav2vec stream not pretrained", "licence not stated", "protocol paper"]


texts = st.text(max_size=5)
values = st.recursive(st.none() | st.booleans() | st.integers() | texts,
                      lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))


@given(st.fixed_dictionaries({}, optional={"model": values, "backbone": values, "shuffled_labels": values, "data": (
    st.fixed_dictionaries({}, optional=dict.fromkeys(("corpora", "synthetic", "partial", "protocol", "licences"),
                                                     values)) | values)}))
def test_no_card_from_outside_stops_an_answer(card):
    told = caveats(card)
    assert all(caveat.mark and caveat.sentence for caveat in told) and printable(marks(told)).isprintable()
