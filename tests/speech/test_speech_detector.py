"""The network against the published ONNX file, on blocks of any length, and segments against a plain loop."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_ops.config.services import Speech
from ser_ops.errors import UserError
from ser_ops.speech import detector
from ser_ops.speech.detector import (
    CONTEXT,
    MOMENT,
    RATE,
    WEIGHTS,
    Detector,
    Listening,
    Segment,
    _Network,
    copy_weights,
    segments,
    spoken_seconds,
)

SHARED = Path(__file__).resolve().parents[3] / "shared"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speech")
    return folder, copy_weights(folder)


@pytest.fixture(scope="module")
def made(folder):
    return Detector(*folder)


def voice(seconds: float, seed: int = 0) -> np.ndarray:
    """Pulses of a glottis at a moving pitch through two moving resonances: enough for a detector to waver."""
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(4 * time)) / RATE
    tone = sum(np.sin(part * phase) / (1 + abs(part * 120 - 600 - 300 * np.sin(9 * time)) / 100)
               for part in range(1, 30))
    noise = np.random.default_rng(seed).normal(0, 0.01, len(time))
    return (0.1 * tone * (np.sin(6 * time) > -0.3) + noise).astype(np.float32)


def heard(made: Detector, blocks) -> np.ndarray:
    listening = made.listen()
    assert all(block is passed for block, passed in zip(blocks, listening.passing(blocks), strict=True))
    return listening.end()


def by_onnx(samples: np.ndarray) -> np.ndarray:
    """What the published ONNX file says, moment by moment as its authors call it."""
    import onnxruntime
    session = onnxruntime.InferenceSession(published("silero_vad_16k_op15.onnx"))
    state, context = np.zeros((2, 1, 128), np.float32), np.zeros(CONTEXT, np.float32)
    answers = []
    for moment in np.pad(samples, (0, -len(samples) % MOMENT)).reshape(-1, MOMENT):
        given = {"input": np.concatenate([context, moment])[None], "state": state, "sr": np.array(RATE, np.int64)}
        answer, state = session.run(None, given)
        answers.append(answer.item())
        context = moment[-CONTEXT:]
    return np.array(answers)


def published(name: str) -> Path:
    return Path(find_spec("silero_vad").submodule_search_locations[0]) / "data" / name


def test_the_network_answers_as_the_published_one():
    """The published ONNX file has weights of its own, which its TorchScript file holds too, in this order."""
    import torch
    weights = [tensor for name, tensor in torch.jit.load(published("silero_vad.jit")).state_dict().items()
               if name.startswith("_model.")]
    order = ["stft_conv.weight", *(f"conv{layer}.{part}" for layer in range(1, 5) for part in ("weight", "bias")),
             *(f"lstm_cell.{part}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")),
             "final_conv.weight", "final_conv.bias"]
    network = _Network(dict(zip(order, (tensor.numpy() for tensor in weights), strict=True)))
    listening, samples = Listening(network), voice(4.3)
    list(listening.passing([samples]))
    expected = by_onnx(samples)
    assert expected.max() > 0.5 > 0.1 > expected.min(), "the sound asks for more than one answer"
    assert np.abs(listening.end() - expected).max() < 1e-4


@settings(max_examples=25)
@given(cuts=st.lists(st.integers(0, 9000), max_size=6))
def test_blocks_of_any_length_are_heard_as_the_whole(made, cuts):
    samples = voice(9000 / RATE)
    assert np.allclose(heard(made, np.split(samples, sorted(cuts))), heard(made, [samples]), atol=1e-5)


def test_nothing_is_heard_in_nothing(made):
    assert heard(made, []).shape == (0,) and segments(np.zeros(0), Speech(), 0.0) == ()


@settings(max_examples=200)
@given(probabilities=st.lists(st.sampled_from([0.1, 0.3, 0.9]), max_size=60), least=st.sampled_from([0.03, 0.25]),
       pause=st.sampled_from([0.0, 0.04, 0.1]))
def test_segments_are_those_of_a_plain_loop(probabilities, least, pause):
    moment, seconds = MOMENT / RATE, len(probabilities) * MOMENT / RATE
    runs, begin = [], None
    for index, value in enumerate([*probabilities, 0.0]):
        if value >= 0.25 and begin is None:
            begin = index
        elif value < 0.25 and begin is not None:
            if max(probabilities[begin:index]) >= 0.4:
                runs.append([begin, index])
            begin = None
    merged = []
    for run in runs:
        if merged and (run[0] - merged[-1][1]) * moment <= pause:
            merged[-1][1] = run[1]
        else:
            merged.append(run)
    expected = [(begin * moment, end * moment) for begin, end in merged if (end - begin) * moment >= least]
    found = segments(np.array(probabilities), Speech(least=least, pause=pause), seconds)
    assert len(found) == len(expected)
    assert np.allclose([(segment.start, segment.end) for segment in found], expected)


def test_a_stop_above_the_start_is_an_error():
    with pytest.raises(ValueError, match=r"stop \(0.6\) must not exceed start \(0.4\)"):
        Speech(stop=0.6)


@pytest.mark.parametrize("fault", ["missing", "another", "cut", "model's"])
def test_weights_that_are_not_its_own_are_one_line(folder, tmp_path, fault):
    whole, digest = folder
    if fault != "missing":
        shutil.copy(whole / WEIGHTS, tmp_path)
    if fault == "another":
        digest = "0" * 64
    elif fault == "cut":
        (tmp_path / WEIGHTS).write_bytes((whole / WEIGHTS).read_bytes()[:1000])
        digest = detector.sha256(tmp_path / WEIGHTS)
    elif fault == "model's":
        import torch
        from safetensors.torch import save_file
        save_file({"head.weight": torch.zeros(3)}, tmp_path / WEIGHTS)
        digest = detector.sha256(tmp_path / WEIGHTS)
    with pytest.raises(UserError, match="restore the folder, or train the model again") as raised:
        Detector(tmp_path, digest)
    assert str(raised.value).startswith(str(tmp_path / WEIGHTS)) and "\n" not in str(raised.value)


def test_training_without_the_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(detector, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'ser-ops\[train\]'"):
        copy_weights(tmp_path)


@pytest.mark.real_speech
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared recordings are not here")
@pytest.mark.parametrize(("recording", "spoken"), [
    ("corpora/ravdess/Actor_03/03-01-01-01-01-01-03.flac", True), ("noise/railway_engine/train.flac", False),
    ("noise/fish_market/restaurant.flac", False), ("noise/children/schoolyard.flac", False)])
def test_real_speech_is_heard_and_real_noise_is_not(made, recording, spoken):
    from ser_ops.audio.reading import read_recording
    read = read_recording(SHARED / recording, RATE)
    assert bool(segments(heard(made, [read.samples]), Speech(), read.seconds)) is spoken


@given(st.lists(st.integers(0, 300), max_size=20, unique=True),
       st.lists(st.tuples(st.integers(0, 320), st.integers(0, 40)), min_size=1, max_size=10))
def test_spoken_seconds_are_those_that_each_stretch_shares_with_each_segment(edges, stretches):
    """In hundredths of a second; an odd edge is left over."""
    edges = sorted(edges)[:len(edges) // 2 * 2]
    speech = [Segment(start / 100, end / 100) for start, end in zip(edges[::2], edges[1::2], strict=True)]
    starts = np.array([start for start, _ in stretches]) / 100
    ends = np.array([start + length for start, length in stretches]) / 100
    expected = [sum(max(0.0, min(segment.end, end) - max(segment.start, start)) for segment in speech)
                for start, end in zip(starts, ends, strict=True)]
    np.testing.assert_allclose(spoken_seconds(speech, starts, ends), expected, atol=1e-9)
