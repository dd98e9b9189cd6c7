"""'No speech', 'not sure', and settings that a model carries along."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ser_ops.config.params import load_preset
from ser_ops.config.services import Predict
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.inference.recogniser import NO_SPEECH, NOT_SURE, Recogniser
from ser_ops.models import architectures, model_folder
from ser_ops.speech.detector import MOMENT, Listening, Segment, copy_weights

RATE = 16000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model with random weights and windows of a second, whose calibration was of 99 answers."""
    torch.set_num_threads(1)
    folder, demo = tmp_path_factory.mktemp("model"), load_preset("demo")
    preset = demo.model_copy(update={"features": demo.features.model_copy(update={"seconds": 1.0})})
    model_folder.save(folder, architectures.build("spectral", preset, seed=1), {
        "speech_sha256": copy_weights(folder), "predict": {"window_hop": 0.5},
        "conformal_scores": list(range(100, 10_000, 100))})
    return folder


def spoken_at(monkeypatch, *spans: tuple[float, float]) -> None:
    """Let the detector hear speech in these spans (seconds), whatever sounds."""
    def end(listening: Listening) -> np.ndarray:
        times = np.arange(10_000) * MOMENT / RATE
        return np.any([(times >= start) & (times < stop) for start, stop in spans], axis=0).astype(np.float32)
    monkeypatch.setattr(Listening, "end", end)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


@pytest.mark.parametrize("samples", [noise(3.0), 0.3 * np.sin(np.arange(3 * RATE, dtype=np.float32) / 8)])
def test_noise_and_a_tone_are_no_speech(folder, samples):
    answer = Recogniser(folder, "cpu").answer(samples, RATE)
    assert answer.emotion == NO_SPEECH and answer.speech == () and answer.likeliest in EMOTIONS
    assert {window.emotion for window in answer.windows} == {NO_SPEECH} and answer.record()["speech"] == []
    assert np.allclose(answer.probabilities, np.mean([window.probabilities for window in answer.windows], 0))


def test_silence_is_no_speech_of_samples_and_of_a_file(folder, tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(2 * RATE), RATE)
    made = Recogniser(folder, "cpu")
    for answer in (made.answer(np.zeros(2 * RATE), RATE), made.answer_file(tmp_path / "silence.wav")):
        assert answer.emotion == NO_SPEECH and answer.seconds == 2.0 and answer.windows == []
        assert answer.probabilities.sum() == pytest.approx(1) and "silent" in answer.warnings[0]
    with pytest.raises(UserError, match="silent"):
        Recogniser((made.model, made.card), "cpu").answer(np.zeros(2 * RATE), RATE)


def test_windows_without_speech_are_left_out_of_the_mean(folder, monkeypatch):
    spoken_at(monkeypatch, (0.0, 0.96), (1.6, 1.92))
    answer = Recogniser(folder, "cpu").answer(noise(4.0), RATE)
    assert answer.speech == (Segment(0.0, 0.96), Segment(1.6, 1.92))
    spoken = [window.start for window in answer.windows if window.spoken]
    assert spoken == [0.0, 0.5, 1.0, 1.5] and [window.start for window in answer.windows][-1] == 3.0
    assert np.allclose(answer.probabilities, np.mean([answer.windows[index].probabilities for index in range(4)], 0))
    assert "in 3 of 7 windows nobody speaks" in answer.warnings[0]


def test_speech_between_two_windows_is_in_one_of_them(folder, monkeypatch):
    spoken_at(monkeypatch, (0.86, 1.12))
    answer = Recogniser(folder, "cpu", window_hop=1.0).answer(noise(2.0), RATE)
    assert any(window.spoken for window in answer.windows)


def test_a_set_of_one_is_an_answer_and_any_other_is_not_sure(folder):
    unsure = Recogniser(folder, "cpu", coverage=0.95)
    unsure.detector = None
    answer = unsure.answer(noise(1.0), RATE)
    assert len(answer.emotions) > 1 and answer.emotion == NOT_SURE and answer.emotions[0] == answer.likeliest
    with torch.no_grad():
        for layer in unsure.model.modules():
            if isinstance(layer, torch.nn.Linear) and layer.out_features == 7:
                layer.weight.mul_(1000)
    answer = unsure.answer(noise(1.0), RATE)
    assert answer.emotions == (answer.likeliest,) and answer.emotion == answer.likeliest
    assert Recogniser(folder, "cpu").answer(noise(1.0), RATE).emotions is None


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1.0, float("nan")])
def test_a_coverage_that_is_no_share_is_one_line(folder, coverage):
    with pytest.raises(UserError, match="is a share between 0 and 1"):
        Recogniser(folder, "cpu", coverage=coverage)


def test_a_model_that_was_not_calibrated_promises_nothing(folder):
    made = Recogniser(folder, "cpu")
    card = {name: value for name, value in made.card.items() if name != "conformal_scores"}
    with pytest.raises(UserError, match="has no scores of validation"):
        Recogniser((made.model, card), "cpu", coverage=0.9)


def test_a_model_answers_by_the_settings_that_it_carries_unless_others_are_given(folder):
    assert Recogniser(folder, "cpu").hop == RATE // 2 and Recogniser(folder, "cpu").batch_size == 16
    assert Recogniser(str(folder), "cpu", predict=Predict(window_hop=0.75, batch_size=3)).hop == 3 * RATE // 4
    assert Recogniser(folder, "cpu", 5, 0.25, predict=Predict()).batch_size == 5
    assert Recogniser(folder, "cpu", window_hop=0.25, predict=Predict()).hop == RATE // 4


def test_the_names_of_the_package_are_those_of_their_rooms():
    import ser_ops
    assert ser_ops.Recogniser is Recogniser and {"Answer", "Recogniser", "UserError"} <= set(dir(ser_ops))
    with pytest.raises(AttributeError, match="no attribute 'Recognizer'"):
        ser_ops.Recognizer  # noqa: B018


def test_settings_outside_of_a_project_are_those_of_params_yaml():
    from ser_ops.config.params import load_params, load_params_anywhere
    committed, elsewhere = load_params(), load_params_anywhere(Path("nowhere/params.yaml"))
    assert elsewhere.predict == committed.predict and elsewhere.compute.device == committed.compute.device
    assert (elsewhere.tracking.timeout, elsewhere.tracking.outage) == (
        committed.tracking.timeout, committed.tracking.outage)
