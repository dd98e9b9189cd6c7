"""One utterance under every condition: entries as the page reads them, and its sounds and pictures."""

import json
import struct

import numpy as np
import pytest
import soundfile
import torch
from explain_stand_ins import RATE, StandIn, explain_settings, features

from ser_ops.explain.background import Background
from ser_ops.explain.clip import make_clip
from ser_ops.explain.playback import with_serial_number, write_ogg, write_spectrogram
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.explain.utterance import OutputFolders, explain_utterance, rank_correlations
from ser_ops.files import sha256
from ser_ops.manifest import VariantRow
from ser_ops.noise.mixing import Mixer

ROW = VariantRow("made/a#original", "made/a", "original", "test", "fear", "made/1", "made")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The explanation of half a second of tone, clean and in white noise at 0.75 and 0.9."""
    window = features()
    subject = Subject(StandIn(window).eval(), window, None, RATE, torch.device("cpu"), 33)
    time = np.arange(int(0.4 * RATE)) / RATE
    speech = (0.5 * np.sin(2 * np.pi * 300 * time) * (time < 0.2)).astype(np.float32)
    mixer, folder = Mixer({}, [], RATE), tmp_path_factory.mktemp("files")
    clips = [make_clip(subject, ROW, speech), *(make_clip(subject, ROW, speech, mixer, "white", intensity, 1)
                                                for intensity in (0.75, 0.9))]
    ground = Background.of(subject, make_clip(subject, ROW, speech[::-1].copy()).batch, 8, "made")
    return explain_utterance(subject, clips, ground, explain_settings(),
                             OutputFolders(folder, "x/", folder, "x/"), "fear_1"), clips, folder


def test_entries_are_whole_and_plain_json(made):
    explained = made[0]
    json.dumps(explained.entries, allow_nan=False)
    clean, half, loud = explained.entries
    assert clean["rank_correlation"] is None and clean["snr_db"] is None and half["snr_db"] > loud["snr_db"]
    assert {entry["explained"] for entry in explained.entries} == {clean["predicted"]}
    for entry in explained.entries:
        assert entry["confidence"] == max(entry["probabilities"].values())
        assert list(entry["traces"]) == ["scorecam", "shap", "occlusion"] == list(entry["speech"]["share"])
        streams = entry["streams"]
        assert streams["base"] + sum(streams["phi"].values()) == pytest.approx(streams["score"])
        assert entry["speech"]["seconds"] == clean["speech"]["seconds"]       # speech is where it is without noise
        assert entry["valid_seconds"] == 0.4 and entry["window_seconds"] == 0.5
    np.testing.assert_allclose(clean["speech"]["seconds"], [[0, 0.21]], atol=0.02)
    assert all(-1 <= correlation <= 1 for entry in (half, loud) for correlation in entry["rank_correlation"].values())


def test_sounds_and_pictures_are_there_for_what_can_be_listened_to(made):
    explained, clips, folder = made
    assert [entry["audio"] for entry in explained.entries] == ["x/fear_1_clean.ogg", "x/fear_1_white_0.75.ogg", None]
    assert explained.entries[2]["spectrogram"] is None
    for entry, clip in zip(explained.entries[:2], clips, strict=False):
        samples, rate = soundfile.read(folder / entry["audio"].removeprefix("x/"))
        assert rate == RATE and len(samples) == len(clip.window)
        assert np.abs(samples).max() < 1
        assert np.corrcoef(samples, clip.window)[0, 1] > 0.95
        assert samples.std() == pytest.approx(entry["gain"] * clip.window.std(), rel=0.1)
    assert explained.entries[0]["gain"] == explained.entries[1]["gain"]


def test_it_can_be_made_without_files():
    window = features()
    subject = Subject(StandIn(window).eval(), window, None, RATE, torch.device("cpu"), 33)
    clip = make_clip(subject, ROW, np.ones(RATE, np.float32))
    (entry,) = explain_utterance(subject, [clip], None, explain_settings()).entries
    assert entry["audio"] is None and entry["streams"] is None and list(entry["traces"]) == ["scorecam", "occlusion"]


def test_methods_are_asked_of_the_first_conditions_and_streams_of_all(made):
    _, clips, _ = made
    subject = made[0].question.subject
    ground = Background.of(subject, clips[0].batch, 8, "made")
    explained = explain_utterance(subject, clips, ground, explain_settings(), asked=1)
    assert len(explained.entries) == 1 and len(explained.records) == 2 and explained.records[0]["noise"] == "white"
    assert "traces" not in explained.records[0] and explained.records[1]["streams"]["names"][0] == "wav2vec"
    none = explain_utterance(subject, clips, ground, explain_settings(), asked=0)
    assert not none.entries and not none.explanations and none.records[0]["streams"] == explained.entries[0]["streams"]


def test_rank_correlation_looks_at_the_utterance_alone():
    seconds = np.arange(10) / 10
    before = {"shap": Trace("shap", seconds, np.arange(10.0), "")}
    after = {"shap": Trace("shap", seconds, np.where(seconds <= 0.5, np.arange(10.0) ** 2, -seconds), "")}
    assert rank_correlations(before, after, 0.5)["shap"] == pytest.approx(1)
    assert rank_correlations(before, after, 1.0)["shap"] < 0.5
    assert rank_correlations(before, {"shap": Trace("shap", seconds, np.zeros(10), "")}, 1.0)["shap"] == 0


def test_a_sound_has_the_same_bytes_every_time(tmp_path):
    samples = np.random.default_rng(1).normal(0, 0.1, RATE).astype(np.float32)
    for name in ("a.ogg", "b.ogg"):
        write_ogg(tmp_path / name, samples, RATE)
    assert sha256(tmp_path / "a.ogg") == sha256(tmp_path / "b.ogg")
    soundfile.write(tmp_path / "c.ogg", samples, RATE, format="OGG", subtype="VORBIS")
    given = (tmp_path / "c.ogg").read_bytes()
    assert with_serial_number(given, struct.unpack("<I", given[14:18])[0]) == given        # the encoder's own checksums
    with pytest.raises(ValueError, match="no page"):
        with_serial_number(b"RIFF" * 20, 1)


def test_a_tone_stands_where_the_picture_says(tmp_path):
    from matplotlib.image import imread
    time, settings = np.arange(RATE) / RATE, explain_settings().listen
    tone = np.sin(2 * np.pi * 1000 * time) * (time > 0.5)
    picture = write_spectrogram(tmp_path / "a.png", tone.astype(np.float32), RATE, settings)
    cells = imread(tmp_path / "a.png")
    assert cells.ndim == 2 and cells.shape[0] == len(picture["hertz"]) == settings.mels
    row, column = np.unravel_index(cells.argmax(), cells.shape)
    assert picture["hertz"][settings.mels - 1 - row] == pytest.approx(1000, rel=0.1)
    assert column * picture["hop_seconds"] > 0.45 and cells.max() == 1 and cells[:, :10].max() == 0
