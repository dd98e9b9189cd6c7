"""Recordings of any length and rate, and what is none."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from ser_ops.audio.reading import admit_samples
from ser_ops.audio.signal import fit_window, resample
from ser_ops.config.params import load_preset
from ser_ops.device import device_of
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.features.extractor import Extractor
from ser_ops.files import write_json
from ser_ops.inference.recogniser import Recogniser
from ser_ops.model_table import MODELS
from ser_ops.models.architectures import build
from ser_ops.models.model_folder import save

SECONDS = 0.5
RATE = 16000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A fusion model with random weights, windows of half a second."""
    torch.set_num_threads(1)
    small = load_preset("small")
    preset = small.model_copy(update={
        "features": small.features.model_copy(update={"seconds": SECONDS, "mfcc": 13}),
        "wav2vec": small.wav2vec.model_copy(update={"hidden": 16, "layers": 1, "heads": 2,
                                                    "convolutions": ((8, 20, 10), (16, 8, 4), (16, 8, 4), (16, 4, 2))}),
        "spectral": small.spectral.model_copy(update={"channels": (8,) * 4, "embedding": 8})})
    folder = tmp_path_factory.mktemp("model")
    save(folder, build("fusion", preset, seed=1), {"preset": "tiny"})
    return folder


@pytest.fixture(scope="module")
def recogniser(folder):
    return Recogniser(folder, "cpu", batch_size=4, window_hop=0.3)


def speech(seconds, rate=RATE, seed=0):
    """A tone that glides, with noise: something different in each window."""
    time = np.arange(round(seconds * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * (150 + 200 * np.sin(time)) * time)
    return (tone + np.random.default_rng(seed).normal(0, 0.02, len(time))).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.5])
def test_a_recording_within_one_window_gets_the_answer_that_evaluation_gives(recogniser, seconds):
    samples = admit_samples("speech", speech(seconds), RATE, RATE)
    window, valid = fit_window(samples, round(SECONDS * RATE))
    waveform = torch.from_numpy(window)[None]
    features = Extractor(recogniser.torch_network.extractor.settings)(waveform)
    with torch.no_grad():
        expected = recogniser.model(waveform, torch.tensor([valid]), features).double().softmax(1)[0].numpy()
    for answer in (recogniser.answer(speech(seconds), RATE), recogniser.answer(samples, RATE, cleaned=True)):
        assert np.allclose(answer.probabilities, expected, atol=1e-9)
        assert [(window.start, window.end) for window in answer.windows] == [(0.0, seconds)]
        assert answer.seconds == seconds and len(answer.warnings) == (seconds == 0.1)


def test_the_whole_is_the_mean_of_its_windows_and_each_is_what_it_would_be_alone(recogniser):
    samples = admit_samples("speech", speech(2.0), RATE, RATE)
    answer = recogniser.answer(speech(2.0), RATE)
    spans = [(window.start, window.end) for window in answer.windows]
    assert spans == [(0.0, 0.5), (0.3, 0.8), (0.6, 1.1), (0.9, 1.4), (1.2, 1.7), (1.5, 2.0)]
    assert np.allclose(answer.probabilities, np.mean([window.probabilities for window in answer.windows], 0))
    assert answer.probabilities.sum() == pytest.approx(1) and answer.emotion in EMOTIONS
    for window in answer.windows:
        alone = recogniser.answer(samples[round(window.start * RATE):round(window.end * RATE)], RATE, cleaned=True)
        assert np.allclose(alone.probabilities, window.probabilities, atol=1e-6)
    assert len({tuple(window.probabilities.round(6)) for window in answer.windows}) > 1


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (48000, 2), (8000, 1)])
def test_a_file_gets_the_answer_of_its_samples(recogniser, tmp_path, rate, channels):
    samples = speech(25.3, rate)
    soundfile.write(tmp_path / "a.wav", np.stack([samples] * channels, 1), rate, "FLOAT")
    answer = recogniser.answer_file(tmp_path / "a.wav")
    whole = recogniser.answer(samples, rate)
    assert len(answer.windows) == len(whole.windows)
    assert np.allclose([window.probabilities for window in answer.windows],
                       [window.probabilities for window in whole.windows],
                       atol=2e-3)  # a stream is resampled in blocks
    assert answer.warnings == whole.warnings and bool(answer.warnings) == (rate < RATE)
    assert json.loads(json.dumps(answer.record()))["emotion"] == answer.emotion


@pytest.mark.parametrize("name", list(MODELS))
def test_every_model_answers_recordings_of_any_length(tmp_path, name):
    small = load_preset("small")
    few = {"hidden": 16, "layers": 1, "heads": 2}
    preset = small.model_copy(update={"wav2vec": small.wav2vec.model_copy(update=few), **{
        family: getattr(small, family).model_copy(update=few) for family in ("vit", "beit")}})
    save(tmp_path, build(name, preset, seed=1), {"preset": "tiny"})
    recogniser = Recogniser(tmp_path, "cpu", batch_size=4, window_hop=1.25)
    assert recogniser.torch_network.extractor.settings == preset.input_of(name)
    answer = recogniser.answer(speech(5.0), RATE)
    ends, first = [window.end for window in answer.windows], preset.input_of(name).seconds
    assert answer.probabilities.sum() == pytest.approx(1) and ends == [first, first + 1.25, 5.0]
    assert np.isfinite(recogniser.answer(speech(0.3), RATE).probabilities).all()


def test_telephone_speech_is_answered_with_a_warning(recogniser):
    samples = speech(1.0, 8000)
    answer = recogniser.answer(samples, 8000)
    assert len(answer.warnings) == 1 and "4000 Hz" in answer.warnings[0] and "telephone" in answer.warnings[0]
    assert np.allclose(answer.probabilities, recogniser.answer(resample(samples, 8000, RATE), RATE).probabilities)


def test_silent_windows_are_left_out_and_that_is_said(recogniser):
    samples = np.concatenate([speech(1.0), np.zeros(RATE, np.float32)])
    answer = recogniser.answer(samples, RATE)
    assert max(window.end for window in answer.windows) < 1.5 and answer.seconds == 2.0
    assert "windows are silent" in answer.warnings[0]
    assert np.allclose(answer.probabilities, np.mean([window.probabilities for window in answer.windows], 0))


@pytest.mark.parametrize(("samples", "rate", "words"), [
    ([], RATE, "holds no samples"),
    (np.zeros(RATE), RATE, "silent"),
    (np.full(RATE, 0.5), RATE, "silent"),
    (speech(1.0) * 1e-3, RATE, "silent"),
    ([0.5], RATE, "0.000 s are shorter than 0.1 s"),
    (speech(0.099), RATE, "shorter than 0.1 s"),
    (np.append(speech(1.0), np.nan), RATE, "NaN or infinite"),
    (np.append(speech(1.0), np.inf), RATE, "NaN or infinite"),
    (speech(1.0) * 32767, RATE, "give floats in [-1, 1]"),
    (np.zeros((2, RATE)), RATE, "mono"),
    (["a", "b"], RATE, "values that are not numbers"),
    ([[0.1], [0.1, 0.2]], RATE, "values that are not numbers"),
    (speech(1.0), 7999, "sample rate 7999 Hz"),
    (speech(1.0), 200000, "sample rate 200000 Hz"),
])
def test_what_is_no_recording_is_one_line(recogniser, samples, rate, words):
    with pytest.raises(UserError) as raised:
        recogniser.answer(samples, rate)
    assert words in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "no samples", "silent", "one sample", "nan", "folder"])
def test_what_is_no_recorded_file_is_one_line_with_its_path(recogniser, tmp_path, kind):
    path = tmp_path / "a.wav"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("no audio")
    elif kind == "folder":
        path.mkdir()
    elif kind != "missing":
        samples = {"no samples": [], "silent": np.zeros(RATE), "one sample": [0.5], "nan": np.full(RATE, np.nan)}[kind]
        soundfile.write(path, np.asarray(samples, np.float32), RATE, "FLOAT")
    with pytest.raises(UserError) as raised:
        recogniser.answer_file(path)
    assert str(raised.value).startswith(str(path)) and "\n" not in str(raised.value)


def test_a_model_that_answers_nan_is_told(folder):
    broken = Recogniser(folder, "cpu")
    with torch.no_grad():
        for weights in broken.model.parameters():
            weights.fill_(float("nan"))
    with pytest.raises(UserError, match="answered NaN"):
        broken.answer(speech(0.5), RATE)


def test_a_folder_that_is_no_model_is_one_line(tmp_path):
    with pytest.raises(UserError):
        Recogniser(tmp_path)
    write_json(tmp_path / "model.json", {"format": 1})
    with pytest.raises(UserError):
        Recogniser(tmp_path)


@pytest.mark.parametrize("address", ["models:/ser-fusion@staging", "runs:/0123/model", Path("models:/ser-fusion/3")])
def test_an_address_in_a_registry_says_what_fetches_it(address):
    with pytest.raises(UserError, match=rf"^{address}: is an address .* ser_ops\.model_folder\('{address}'\) returns$"):
        Recogniser(address)


def test_a_folder_that_is_not_there_has_a_remedy_that_exists(tmp_path):
    with pytest.raises(UserError, match="train the model, or name a folder that holds one"):
        Recogniser(tmp_path / "nowhere")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_one_line():
    assert device_of("auto") == torch.device("cpu")
    with pytest.raises(UserError, match="is not on this machine"):
        device_of("cuda")


HOUR = """
import re, sys
from pathlib import Path
from ser_ops.inference.recogniser import Recogniser
import torch
torch.set_num_threads(1)
answer = Recogniser(Path(sys.argv[1]), "cpu", 16, 1.25).answer_file(Path(sys.argv[2]))
# Not getrusage: its peak is that of the process that started this one, where that was larger.
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(len(answer.windows), answer.seconds, peak)
"""


@pytest.mark.slow
def test_an_hour_is_answered_in_bounded_memory(folder, tmp_path):
    path, block = tmp_path / "hour.wav", speech(60.0, RATE)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for _ in range(60):
            file.write(block)
    done = subprocess.run([sys.executable, "-c", HOUR, str(folder), str(path)], capture_output=True, text=True,
                          check=True)
    windows, seconds, kilobytes = done.stdout.split()
    print(f"an hour: {windows} windows, {int(kilobytes) / 1024:.0f} MiB")
    assert int(windows) == 7200 and float(seconds) == 3600   # a window of half a second: no hop is longer
    assert int(kilobytes) < 1024 * 1024, "peak memory of 1 GB"
