"""What the generator means to make; no audio needed."""

from collections import Counter

import numpy as np
import pytest
import yaml
from corpus_settings import CUES, Settings, load
from delivery import cues, words
from layouts import utterances
from pydantic import ValidationError

from ser_ops.emotions import EMOTIONS


def test_counts_and_speakers() -> None:
    planned = utterances(load())
    assert Counter(each.corpus for each in planned) == {
        "synthetic_ravdess": 256, "synthetic_crema_d": 240, "synthetic_tess": 140, "synthetic_savee": 120}
    assert len({(each.corpus, each.path) for each in planned}) == len(planned)
    assert Counter(corpus for corpus, _ in {(each.corpus, each.speaker.name) for each in planned}) == {
        "synthetic_ravdess": 8, "synthetic_crema_d": 8, "synthetic_tess": 2, "synthetic_savee": 4}
    for corpus, missing in (("synthetic_ravdess", set()), ("synthetic_crema_d", {"surprise"}),
                            ("synthetic_tess", set()), ("synthetic_savee", set())):
        assert {each.emotion for each in planned if each.corpus == corpus} - {"calm"} == set(EMOTIONS) - missing


def test_genders_as_the_layouts_have_them() -> None:
    corpora = load().corpora
    for speaker in corpora["synthetic_ravdess"].speakers:
        assert speaker.gender == ("male" if int(speaker.name) % 2 else "female")
    assert {speaker.gender for speaker in corpora["synthetic_tess"].speakers} == {"female"}
    assert {speaker.gender for speaker in corpora["synthetic_savee"].speakers} == {"male"}


def test_no_two_speakers_are_the_same_voice() -> None:
    voices = [(speaker.accent, speaker.pitch, speaker.tract)
              for corpus in load().corpora.values() for speaker in corpus.speakers]
    assert len(set(voices)) == len(voices) == 22


def test_settings_refuse_an_unknown_key() -> None:
    settings = load().model_dump()
    settings["spread"]["pich"] = 1.0
    with pytest.raises(ValidationError, match=r"spread\.pich"):
        Settings.model_validate(yaml.safe_load(yaml.safe_dump(settings)))


def test_every_class_varies_and_overlaps() -> None:
    settings = load()
    drawn = {emotion: np.array([list(cues(settings, each).values()) for each in utterances(settings)
                                if each.emotion == emotion]) for emotion in EMOTIONS}
    for emotion, values in drawn.items():
        assert (values[:, [CUES.index(cue) for cue in ("pitch", "rate", "loudness", "tilt")]].std(axis=0) > 0.3).all()
        others = np.concatenate([other for name, other in drawn.items() if name != emotion])
        loudness = CUES.index("loudness")
        assert others[:, loudness].min() < np.median(values[:, loudness]) < others[:, loudness].max()


def test_slope_bounce_and_drawl_reach_the_words() -> None:
    settings = load()
    plain = dict.fromkeys(CUES, 0.0)
    values = plain | {"slope": 6.0, "drawl": 50.0, "pitch": 1.0}
    spoken = words(settings, "synthetic_savee", "say the word back", values, phase=0)
    assert [word.semitones for word in spoken] == pytest.approx([-2.0, 0.0, 2.0, 4.0])
    assert spoken[-1].words_per_minute == pytest.approx(settings.delivery.words_per_minute * 1.25)
    bounced = words(settings, "synthetic_savee", "one two three", plain | {"bounce": 2.0}, phase=1)
    assert [word.semitones for word in bounced] == [-2.0, 2.0, -2.0]
