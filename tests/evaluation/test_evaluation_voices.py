"""What a known voice is worth, on planted speakers: each says an emotion beside an offset that is his own."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from ser_ops.config.params import load_preset
from ser_ops.evaluation import voices
from ser_ops.evaluation.bootstrap import resample_speakers
from ser_ops.evaluation.voices import Clips, answers_of_known, clips_of_class, drawn_clips, known_voices
from ser_ops.models.base import EmotionModel
from ser_ops.models.voices import Population

CPU = torch.device("cpu")
SPEAKERS, CLASSES, TAKES = 6, 7, 3


class Planted(EmotionModel):
    """The context is the first sample, and the emotion the whole number next to it."""

    name = "wav2vec"

    def __init__(self) -> None:
        super().__init__(load_preset("small"))
        self.population = Population(1, prior=0.5)
        self.population.mean.fill_(3.0)     # of speakers without an offset

    def context(self, waveform: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        return waveform[:, :1] * 1000

    def classify(self, context: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return -(context - torch.arange(7.0)).abs()


@pytest.fixture(scope="module")
def clips() -> Clips:
    """Speaker s adds 0.7 s - 1.5 to each emotion's number."""
    names = [(speaker, emotion, take) for speaker in range(SPEAKERS) for emotion in range(CLASSES)
             for take in range(TAKES)]
    length = round(load_preset("small").features.seconds * 16000)
    waveforms = {f"{speaker}-{emotion}-{take}": np.full(length, (emotion + 0.7 * speaker - 1.5) / 1000, np.float32)
                 for speaker, emotion, take in names}
    return Clips(tuple(waveforms), waveforms, [f"s{speaker}" for speaker, _, _ in names],
                 np.array([emotion for _, emotion, _ in names]))


def card(model: EmotionModel) -> dict[str, Any]:
    return {"model": "wav2vec", "sample_rate": 16000, "preset_settings": model.preset.model_dump(mode="json")}


def test_a_voice_is_known_by_other_clips_of_its_speaker(clips: Clips) -> None:
    for number in (1, 5, 1000):
        for index, others in enumerate(drawn_clips(clips, number, seed=1)):
            assert index not in others and len(set(others)) == len(others) == min(number, CLASSES * TAKES - 1)
            assert {clips.speakers[other] for other in others} == {clips.speakers[index]}
    for others in clips_of_class(clips, 2):
        assert set(clips.true[others]) == {2}
    assert not all(np.array_equal(*pair) for pair in zip(drawn_clips(clips, 5, 1), drawn_clips(clips, 5, 2),
                                                         strict=True))


def test_clips_are_drawn_without_labels(clips: Clips) -> None:
    unlabelled = Clips(clips.utterances, clips.waveforms, clips.speakers, np.zeros(len(clips.true), np.int64))
    for clip, other in zip(drawn_clips(clips, 4, 1), drawn_clips(unlabelled, 4, 1), strict=True):
        assert np.array_equal(clip, other)


def test_a_known_voice_is_understood_and_one_emotion_misleads(clips: Clips) -> None:
    model, resamples = Planted(), resample_speakers(clips.true, clips.speakers, 200, seed=1)
    figures = known_voices(model, card(model), clips, (1, 4, 20), 1, resamples, 0.95, CPU, 16)
    first, after = figures["first"]["uar"], {known["clips"]: known for known in figures["after"]}
    assert first == pytest.approx(np.mean(np.abs(0.7 * np.arange(SPEAKERS) - 1.5) < 0.5), abs=0.15)
    assert after[20]["uar"] > 0.95 > after[4]["uar"] > after[1]["uar"]
    assert after[20]["over_first"] == pytest.approx(after[20]["uar"] - first)
    assert after[20]["over_first_low"] <= after[20]["over_first"] <= after[20]["over_first_high"]
    assert (after[1]["fewer"], after[20]["fewer"]) == (0, 0)
    assert figures["one_emotion"]["worst"] <= figures["one_emotion"]["uar"] < after[20]["uar"]


def test_a_speaker_of_fewer_clips_is_counted(clips: Clips) -> None:
    model, resamples = Planted(), resample_speakers(clips.true, clips.speakers, 200, seed=1)
    known = known_voices(model, card(model), clips, (21,), 1, resamples, 0.95, CPU, 16)["after"][0]
    assert known["fewer"] == len(clips.utterances)


def test_answers_do_not_depend_on_the_batch(clips: Clips) -> None:
    model, ways = Planted(), [drawn_clips(clips, 3, 1), clips_of_class(clips, 6)]
    answers = [answers_of_known(model, card(model), model.population, clips, ways, CPU, size) for size in (5, 1000)]
    assert np.array_equal(*answers) and answers[0].shape == (2, len(clips.utterances))


def test_a_model_that_cannot_use_it_has_no_figures(clips: Clips) -> None:
    network = cast(EmotionModel, torch.nn.Linear(1, 1))
    assert voices.known_voices(network, {}, clips, (1,), 1, cast(Any, SimpleNamespace()), 0.95, CPU, 16) == {}
