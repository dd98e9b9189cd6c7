"""Graphs against the networks that they were made from; changed, stale and foreign ones; answers without torch."""

import json
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
import soundfile
import torch
from onnx import TensorProto, helper

from ser_ops.config.model_json import GRAPH, REFERENCE, fingerprint, read_model_json, recorded_as, window_of
from ser_ops.config.params import load_preset
from ser_ops.config.services import Export
from ser_ops.errors import UserError
from ser_ops.files import sha256, write_json
from ser_ops.inference.onnx_graph import OnnxGraph, usable_graph
from ser_ops.inference.recogniser import Recogniser
from ser_ops.inference.torch_network import TorchNetwork
from ser_ops.model_table import MODELS
from ser_ops.models import architectures, model_folder
from ser_ops.models.base import EMBEDDING
from ser_ops.models.whisper_encoder import WhisperSizes
from ser_ops.onnx_export import Windows, export_model
from ser_ops.speech.detector import copy_weights

RATE = 16000
WHISPER = WhisperSizes(hidden_size=16, num_hidden_layers=2, published_layers=4, num_attention_heads=2,
                       intermediate_size=32, mel_bins=20, positions=200, dropout=0.1, input_levelled=True)


def tiny(**sections):
    """The small preset with an ensemble of two, few channels, and windows of a second."""
    small = load_preset("small")
    few = {"hidden": 16, "layers": 1, "heads": 2}
    changes = {"wav2vec": few, "vit": few, "beit": few, "features": {"seconds": 1.0}, "stacked": {"seconds": 1.0},
               "image": {}, "spectral": {"members": 2, "channels": (4, 8, 8, 16), "maps": 8}}
    return small.model_copy(update={section: getattr(small, section).model_copy(update=changes[section]
                                                                                | sections.get(section, {}))
                                    for section in changes})


def saved(folder, name, preset, backbone_config=None):
    """A model with random weights and a temperature, which tells speech from noise and knows of coverage."""
    torch.set_num_threads(1)
    model = architectures.build(name, preset, seed=1, backbone_config=backbone_config).eval()
    model_folder.save(folder, model, {
        "preset": "tiny", "speech_sha256": copy_weights(folder), "predict": {"window_hop": 0.5, "batch_size": 3},
        "conformal_scores": list(range(100, 10_000, 100))})
    return folder


def sound(seconds, seed=0):
    time = np.arange(round(seconds * RATE)) / RATE
    glide = 0.2 * np.sin(2 * np.pi * (180 + 60 * np.sin(2 * time)) * time)
    return (glide + np.random.default_rng(seed).normal(0, 0.02, len(time))).astype(np.float32)


def clips(folder, number=6):
    length = window_of(read_model_json(folder))
    samples = np.stack([sound(length / RATE, seed) for seed in range(number)])
    valid = np.linspace(length // 4, length, number).astype(np.int64)
    samples[np.arange(length) >= valid[:, None]] = 0
    return Windows(samples, valid, np.arange(number) % 7)


def by_hand(folder, weights_sha256=None, name=GRAPH):
    """A graph that takes the first seven samples of a window for logits, and a model.json that names it."""
    card = read_model_json(folder)
    nodes = [helper.make_node("Slice", ["waveforms", "first", "end", "axis"], ["logits"]),
             helper.make_node("Cast", ["logits"], ["precise"], to=TensorProto.DOUBLE),
             helper.make_node("Softmax", ["precise"], ["probabilities"], axis=1)]
    constants = [helper.make_tensor(key, TensorProto.INT64, [1], [value])
                 for key, value in (("first", 0), ("end", 7), ("axis", 1))]
    graph = helper.make_graph(nodes, "made", [
        helper.make_tensor_value_info("waveforms", TensorProto.FLOAT, ["rows", window_of(card)]),
        helper.make_tensor_value_info("valid", TensorProto.INT64, ["rows"])],
        [helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, ["rows", 7])], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(made, {"weights_sha256": weights_sha256 or sha256(folder / "weights.safetensors")})
    onnx.save(made, folder / GRAPH)
    write_json(folder / "model.json", card | {"onnx_sha256": sha256(folder / GRAPH)})


@pytest.fixture
def folder(tmp_path):
    return saved(tmp_path / "model", "spectral", tiny())


def same_answers(folder):
    """The network and its graph over recordings of any length, in noise, silence and where nobody is sure."""
    ours, theirs = (Recogniser(folder, "cpu", coverage=0.9, onnx=onnx) for onnx in (True, False))
    assert isinstance(ours.network, OnnxGraph) and isinstance(theirs.network, TorchNetwork)
    for samples in (sound(0.3), sound(4.2, 1), np.concatenate([sound(3.0, 2), np.zeros(2 * RATE, np.float32)])):
        answer, expected = ours.answer(samples, RATE), theirs.answer(samples, RATE)
        assert np.abs(answer.probabilities - expected.probabilities).max() < 1e-4
        assert [(window.start, window.end, window.emotion) for window in answer.windows] == \
            [(window.start, window.end, window.emotion) for window in expected.windows]
        assert np.abs(np.array([window.probabilities for window in answer.windows])
                      - [window.probabilities for window in expected.windows]).max() < 1e-4
        assert (answer.emotion, answer.emotions, answer.speech, answer.warnings) == \
            (expected.emotion, expected.emotions, expected.speech, expected.warnings)
    assert ours.answer(np.zeros(RATE), RATE).emotion == "no speech"


def name_in_records(folder):
    return recorded_as(read_model_json(folder), fingerprint(folder))


def test_an_exported_model_keeps_its_reference_and_its_name_in_records(folder, tmp_path):
    """In another folder, in its own, again, and from the folder that was exported to."""
    (folder / REFERENCE).write_bytes(b"what watch compares with")
    source = fingerprint(folder)
    assert name_in_records(folder) == source
    for start, out in ((folder, tmp_path / "out"), (folder, folder), (folder, folder), (tmp_path / "out",
                                                                                       tmp_path / "third")):
        export_model(start, out, clips(start), Export())
        assert name_in_records(out) == source != fingerprint(out)
        assert (out / REFERENCE).read_bytes() == b"what watch compares with"


@pytest.mark.slow
@pytest.mark.parametrize("name", list(MODELS))
def test_every_model_answers_as_its_graph(tmp_path, name):
    folder = saved(tmp_path, name, tiny())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        figures = export_model(folder, folder, clips(folder), Export())
    assert figures["largest_difference"] < 1e-5 and figures["int8"] is None
    assert [str(warning.message) for warning in said] == []
    same_answers(folder)


@pytest.mark.slow
def test_statistics_of_a_whisper_encoder_answer_as_their_graph(tmp_path):
    preset = tiny(wav2vec={"states": "statistics", "embedding": 8}, features={"seconds": 1.0, "level": "same"})
    folder = saved(tmp_path, "fusion", preset, WHISPER.record())
    export_model(folder, folder, clips(folder), Export())
    same_answers(folder)


@pytest.mark.slow
def test_integers_are_kept_where_they_cost_little_and_a_copy_holds_the_whole_model(tmp_path):
    folder, out = saved(tmp_path / "model", "lstm", tiny()), tmp_path / "out"
    before = {file.name: sha256(file) for file in folder.iterdir()}
    labelled = clips(folder, 28)
    with pytest.raises(UserError, match=r"int8 costs -?\d\.\d{3} UAR on 28 validation clips"):
        export_model(folder, out, clips(folder), Export.model_construct(difference=1e-4, int8_cost=-1.0), labelled)
    assert not out.exists()
    figures = export_model(folder, out, clips(folder), Export(int8_cost=1.5), labelled)
    assert figures["int8"]["layers"] == 2 and figures["int8"]["uar"] <= 1
    assert {file.name: sha256(file) for file in folder.iterdir()} == before
    assert {file.name for file in out.iterdir()} == {*before, GRAPH}
    source = fingerprint(folder)
    assert name_in_records(out) == source != fingerprint(out)
    answer, expected = (Recogniser(out, "cpu", onnx=onnx).answer(sound(2.0), RATE) for onnx in (True, False))
    assert 0 < np.abs(answer.probabilities - expected.probabilities).max() < 0.05


@pytest.mark.slow
def test_a_graph_that_differs_is_not_written(folder):
    with pytest.raises(UserError, match=r"differs from torch by .*, more than 1e-30"):
        export_model(folder, folder, clips(folder), Export(difference=1e-30))
    assert not (folder / GRAPH).exists() and "onnx_sha256" not in read_model_json(folder)


def test_a_model_that_resamples_is_one_line(tmp_path):
    folder = saved(tmp_path, "spectral", tiny(features={"seconds": 1.0, "sample_rate": 22050}))
    with pytest.raises(UserError) as raised:
        export_model(folder, folder, clips(folder), Export())
    assert "resample to 22050 Hz" in str(raised.value) and "\n" not in str(raised.value)


def test_a_graph_answers_where_it_stands_unless_it_is_asked_not_to(folder):
    assert usable_graph(folder) is None and isinstance(Recogniser(folder, "cpu").network, TorchNetwork)
    by_hand(folder)
    assert isinstance(Recogniser(folder, "cpu").network, OnnxGraph)
    asked_not = Recogniser(folder, "cpu", onnx=False)
    assert isinstance(asked_not.network, TorchNetwork) and asked_not.model is asked_not.network.model


def test_what_a_graph_cannot_do_is_done_by_the_network_beside_it(tmp_path):
    folder = saved(tmp_path, "fusion", tiny(wav2vec={"states": "statistics", "embedding": 8},
                                            features={"seconds": 1.0, "level": "same"}), WHISPER.record())
    by_hand(folder)
    by_graph, by_network = Recogniser(folder, "cpu"), Recogniser(folder, "cpu", onnx=False)
    assert isinstance(by_graph.network, OnnxGraph) and isinstance(by_graph.torch_network, TorchNetwork)
    assert by_graph.model is by_graph.torch_network.model
    known, expected = (recogniser.answer(sound(2.0), RATE, voice=recogniser.stranger())
                       for recogniser in (by_graph, by_network))
    assert np.array_equal(known.probabilities, expected.probabilities) and known.voice_clips == 0
    assert not np.allclose(by_graph.answer(sound(2.0), RATE).probabilities, expected.probabilities), "the graph again"


def test_embeddings_come_from_torch_change_no_answer_and_are_there_where_asked_for_alone(folder):
    by_hand(folder)
    asked, unasked = (Recogniser(folder, "cpu", onnx=onnx, embeddings=onnx) for onnx in (True, False))
    assert isinstance(asked.network, TorchNetwork)
    answer, plain = (recogniser.answer(sound(2.0), RATE) for recogniser in (asked, unasked))
    assert answer.embedding.shape == (EMBEDDING,) and np.ptp(answer.embedding) > 0
    assert plain.embedding is None and np.array_equal(answer.probabilities, plain.probabilities)


def test_embeddings_asked_for_by_several_threads_at_once_are_each_its_own(folder):
    recogniser = Recogniser(folder, "cpu", embeddings=True)
    windows = [(0, np.random.default_rng(seed).normal(0, 0.1, RATE).astype(np.float32)) for seed in range(8)]
    alone = [recogniser.answer_windows([window])[0].embedding for window in windows]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda window: recogniser.answer_windows([window])[0].embedding, windows * 5))
    for expected, actual in zip(alone * 5, together, strict=True):
        assert np.array_equal(expected, actual)


def test_a_changed_graph_is_refused(folder):
    by_hand(folder)
    with (folder / GRAPH).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(UserError, match=r"not the graph that model.json was written for"):
        Recogniser(folder, "cpu", onnx=True)


@pytest.mark.parametrize("kind", ["trained anew", "other weights", "no weights"])
def test_a_stale_graph_is_left_out_with_a_warning(folder, capsys, kind):
    by_hand(folder, "0" * 64 if kind == "other weights" else None)
    if kind == "trained anew":
        saved(folder, "spectral", tiny(spectral={"members": 1}))
    elif kind == "no weights":
        (folder / "weights.safetensors").unlink()
    assert usable_graph(folder) is None
    said = capsys.readouterr().err
    assert said.startswith(f"warning: {folder / GRAPH}: ") and said.count("\n") == 1 and "torch answers" in said


@pytest.mark.parametrize("kind", ["no graph", "another window"])
def test_what_is_no_graph_of_this_model_is_one_line(folder, tmp_path, kind):
    by_hand(folder)
    if kind == "no graph":
        (folder / GRAPH).write_bytes(b"no graph at all")
    else:
        other = saved(tmp_path / "other", "spectral", tiny(features={"seconds": 0.5}))
        by_hand(other, sha256(folder / "weights.safetensors"))
        shutil.copy(other / GRAPH, folder)
    write_json(folder / "model.json", read_model_json(folder) | {"onnx_sha256": sha256(folder / GRAPH)})
    with pytest.raises(UserError, match=r"export it again \(ser-ops export onnx\), or remove it") as raised:
        usable_graph(folder)
    assert "\n" not in str(raised.value)


_TOLD = """
import json, sys
from ser_ops.cli import main
sys.argv[1:] = ["predict", "a.wav", "--model", "model", "--json", *sys.argv[1:]]
try:
    main()
finally:
    print(json.dumps({"torch": "torch" in sys.modules, "onnxruntime": "onnxruntime" in sys.modules}))
"""


@pytest.mark.parametrize("hidden", [False, True])
def test_predict_answers_without_torch_and_without_onnxruntime_by_torch(folder, tmp_path, hidden):
    by_hand(folder)
    soundfile.write(tmp_path / "a.wav", sound(2.0), RATE)
    without = "import importlib.util as u; f = u.find_spec; u.find_spec = " \
              "lambda name, *more: None if name == 'onnxruntime' else f(name, *more)\n" if hidden else ""
    done = subprocess.run([sys.executable, "-c", without + _TOLD], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer, loaded = map(json.loads, done.stdout.splitlines())
    assert loaded == {"torch": hidden, "onnxruntime": not hidden}
    expected = Recogniser(folder, "cpu", onnx=not hidden).answer_file(tmp_path / "a.wav").record()
    assert np.allclose(list(answer["probabilities"].values()), list(expected["probabilities"].values()), atol=2e-6)
    assert len(answer["windows"]) == 3
