"""What lies in data/ after `dvc pull data.dvc`."""

import csv
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile
from corpus_settings import load
from layouts import utterances
from noises import CATEGORIES
from numpy.typing import NDArray

from ser_ops.corpora import corpus
from ser_ops.noise import recordings

SETTINGS = load()
PLANNED = utterances(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS.corpora)
def test_the_loader_reads_every_file_as_planned(data: Path, name: str) -> None:
    found = corpus.scan_corpus(data / "corpora", name)
    planned = {f"{name}/{each.path.removesuffix('.flac')}": each for each in PLANNED if each.corpus == name}
    assert {each.utterance for each in found.utterances} == set(planned)
    assert not found.skipped
    for each in found.utterances:
        wanted = planned[each.utterance]
        assert each.synthetic
        assert each.emotion == ("neutral" if wanted.emotion == "calm" else wanted.emotion)
        assert (each.speaker, each.gender) == (f"{name}/{wanted.speaker.name}", wanted.speaker.gender)


@pytest.mark.parametrize("name", SETTINGS.corpora)
def test_the_card_says_synthetic(data: Path, name: str) -> None:
    card = corpus.CorpusCard.read(data / "corpora", name)
    assert card.synthetic and card.licence == "CC0-1.0"
    assert "synthetic" in card.note.lower() and "espeak-ng" in card.source


def test_made_up_demographics(data: Path) -> None:
    with (data / "corpora" / "synthetic_crema_d" / "VideoDemographics.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["ActorID", "Age", "Sex", "Race", "Ethnicity"]
    assert [row["ActorID"] for row in rows] == [each.name for each in SETTINGS.corpora["synthetic_crema_d"].speakers]
    assert {row["Race"] for row in rows} == {"None (synthetic)"}


def test_format_length_and_level(data: Path) -> None:
    seconds = []
    for each in PLANNED:
        path = data / "corpora" / each.corpus / each.path
        info = soundfile.info(path)
        assert (info.format, info.subtype, info.samplerate, info.channels) == ("FLAC", "PCM_16", 16000, 1), path
        seconds.append(info.duration)
        samples = _samples(path)
        assert 0.003 < np.abs(samples).max() < 0.99, path
    assert min(seconds) > 0.8 and max(seconds) < 3.5
    assert 1.2 < np.median(seconds) < 2.2


def test_noise(data: Path) -> None:
    card = recordings.NoiseCard.read(data / "noise", "synthetic")
    assert card.synthetic
    found = recordings.scan_noise(data / "noise", ["synthetic"])
    assert Counter(each.category for each in found) == dict.fromkeys(CATEGORIES, 7)
    below_500_hz = defaultdict(list)
    quiet = defaultdict(list)
    for each in found:
        samples = _samples(data / "noise" / "synthetic" / each.category / f"{each.recording.split('/')[-1]}.flac")
        assert 4.9 < len(samples) / 16000 < 8 and 0.5 < np.abs(samples).max() < 0.99
        power = np.abs(np.fft.rfft(samples)) ** 2
        below_500_hz[each.category].append(power[np.fft.rfftfreq(len(samples), 1 / 16000) < 500].sum() / power.sum())
        levels = _levels(samples)
        quiet[each.category].append(np.mean(levels < levels.max() - 25))
    assert min(below_500_hz["railway_engine"]) > 0.7 > max(below_500_hz["children"] + below_500_hz["fish_market"])
    assert min(quiet["children"]) > max(quiet["fish_market"])  # bursts, not a babble


def test_loudness_and_swell_are_as_designed(data: Path) -> None:
    level, swell = defaultdict(list), defaultdict(list)
    for each in PLANNED:
        levels = _levels(_samples(data / "corpora" / each.corpus / each.path))
        voiced = levels[levels > levels.max() - 25]
        level[each.emotion].append(10 * np.log10(np.mean(10 ** (voiced / 10))))
        third = len(voiced) // 3
        swell[each.emotion].append(voiced[-third:].mean() - voiced[:third].mean())
    assert np.mean(level["angry"]) > np.mean(level["neutral"]) + 2 > np.mean(level["sad"]) + 5
    assert max(level["sad"]) > min(level["angry"])  # loudness alone does not tell them apart
    assert np.mean(swell["surprise"]) > np.mean(swell["happy"]) + 2 > np.mean(swell["sad"]) + 4


def test_pitch_is_as_designed(data: Path) -> None:
    import librosa

    medians = defaultdict(list)
    for each in PLANNED:
        if each.corpus != "synthetic_savee" or each.path.endswith(("5.flac", "6.flac")):
            continue
        samples = _samples(data / "corpora" / each.corpus / each.path)
        track = librosa.yin(samples, fmin=60, fmax=500, sr=16000, frame_length=1024, hop_length=512)
        levels = librosa.feature.rms(y=samples, frame_length=1024, hop_length=512)[0][: len(track)]
        pitch = np.median(track[levels > 0.3 * levels.max()])
        medians[each.emotion].append(12 * np.log2(pitch / each.speaker.pitch))
    assert np.mean(medians["fear"]) > np.mean(medians["neutral"]) + 1.5
    assert np.mean(medians["sad"]) < np.mean(medians["neutral"]) - 1
    assert np.mean(medians["happy"]) > np.mean(medians["neutral"]) + 1.5


@pytest.mark.slow
def test_difficulty_is_neither_trivial_nor_hopeless(data: Path) -> None:
    from difficulty import fold_scores

    assert 0.40 <= np.mean(fold_scores(data)) <= 0.75


def _samples(path: Path) -> NDArray[np.float32]:
    samples, _ = soundfile.read(path, dtype="float32")
    return np.asarray(samples)


def _levels(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """dB of each 32 ms."""
    frames = samples[: len(samples) // 512 * 512].reshape(-1, 512).astype(float)
    return np.asarray(20 * np.log10(np.sqrt(np.mean(frames**2, axis=1)) + 1e-7))
