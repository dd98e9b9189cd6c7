"""The suite over paper 2's models: methods, entries, pictures, captions, and the gate's own list of them."""

import json
import struct

import numpy as np
import pytest
import torch
from explain_stand_ins import RATE, burst, examples_of, explain_settings, explained, question, stacked_settings

from ser_ops.config.models import MelImage
from ser_ops.config.params import load_preset
from ser_ops.emotions import EMOTIONS
from ser_ops.explain import figures, grad_cam_picture
from ser_ops.explain.clip import WindowClassifier, make_clip
from ser_ops.explain.grad_cam_picture import grad_cam_figures
from ser_ops.explain.methods import gradcam
from ser_ops.explain.subject import FeatureClassifier, Subject
from ser_ops.features.index_map import frames_of
from ser_ops.features.standardise import Moments
from ser_ops.methods import admitted
from ser_ops.model_table import MODELS
from ser_ops.models.architectures import build

IMAGE = MelImage(sample_rate=RATE, seconds=2.0, frame=1024, hop=1024, mels=32)
PRESET = load_preset("small").model_copy(update={"stacked": stacked_settings(), "image": IMAGE})
TABLE = {"confidence", "mean_activation", "max_activation", "activated_area_pct", "entropy", "time_focus_range",
         "freq_focus_range", "confidence_drop", "probabilities"}


def voices(settings, emotions=("angry",)):
    """Two utterances a class, of 1.5 s: the last half second is padding."""
    return examples_of(settings, {f"r/{number}": burst(400 * (number + 1), 0.5, number)[:3 * RATE // 2]
                                  for number in range(2 * len(emotions))}, emotions)


def a_subject(name, examples):
    settings = PRESET.input_of(name)
    mean_std = Moments.of(examples.batch(range(len(examples))).features, settings).standardisation()
    standardised = mean_std if MODELS[name].reads == "stacked" else None
    model = build(name, PRESET, standardised).eval()
    return Subject(model, settings, standardised, RATE, torch.device("cpu"), 33)


def size(file):
    data = file.read_bytes()
    assert data.startswith(b"\x89PNG")
    return struct.unpack(">II", data[16:24])


@pytest.fixture()
def undrawn(monkeypatch):
    """Pictures that nobody looks at: only their files are made."""
    monkeypatch.setattr(grad_cam_picture, "draw_over_mel", lambda *parts: parts[-1].touch())


@pytest.fixture()
def captions(monkeypatch):
    """Captions by file name, as they are drawn."""
    seen = {}
    for module in (figures, grad_cam_picture):
        monkeypatch.setattr(
            module, "save_figure", lambda figure, caption, path, columns, within=False, save=figures.save_figure: (
                seen.update({path.name: caption}), save(figure, caption, path, columns, within)))
    return seen


@pytest.mark.parametrize("name", ["cnn", "lstm", "cnn_lstm", "vit", "beit"])
def test_each_model_gets_what_it_admits_complete_and_drawn(name, tmp_path, captions):
    examples = voices(PRESET.input_of(name))
    model = a_subject(name, examples)
    report = explained(model, examples, examples, tmp_path, "f/")
    json.dumps(report, allow_nan=False)
    assert [clip["emotion"] for clip in report["clips"]] == ["angry"]
    for clip in report["clips"]:
        drawn = [method for method in model.admitted if method != "shap"]
        assert clip["figure"] == clip[drawn[0]]["figure"]
        for method in drawn:
            file = clip[method]["figure"].removeprefix("f/")
            assert file == f"{method}_{clip['emotion']}_1.png"
            width, height = size(tmp_path / file)
            assert 1000 < width < 1500 and 400 < height < 900
            assert "ot show" in captions[file] and clip["predicted"] in captions[file]
        if "gradcam" in drawn:
            complete(clip, name)
    assert (report["shap"] is not None) == ("shap" in model.admitted) == (tmp_path / "shap_global.png").exists()
    if report["shap"]:
        assert all(" at " in feature["feature"] for feature in report["shap"]["top"])
        assert not any(" at " in feature["feature"] for feature in report["shap"]["kinds"])


def complete(clip, name):
    gradcam = clip["gradcam"]
    assert gradcam.keys() >= TABLE
    assert gradcam["confidence"] == pytest.approx(clip["confidence"], abs=1e-5)
    assert list(gradcam["probabilities"]) == list(EMOTIONS)
    assert sum(gradcam["probabilities"].values()) == pytest.approx(1)
    assert len(gradcam["times"]) == len(gradcam["values"]) == frames_of(PRESET.input_of(name))
    assert np.ndim(gradcam["map"]) == (2 if MODELS[name].reads == "image" else 1)
    if not gradcam["empty"]:
        assert max(gradcam["values"]) == pytest.approx(gradcam["max_activation"], abs=1e-5)
        assert gradcam["time_focus_range"][0] < gradcam["time_focus_range"][1] <= 2.0
        assert 0 < gradcam["freq_focus_range"][0] < gradcam["freq_focus_range"][1] < RATE / 2


def test_what_is_not_admitted_is_said():
    examples = {name: voices(PRESET.input_of(name)) for name in ("lstm", "vit")}
    assert "no convolution" in a_subject("lstm", examples["lstm"]).not_admitted["gradcam"]
    assert "image" in a_subject("vit", examples["vit"]).not_admitted["shap"]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_gate_asks_for_what_the_architecture_admits(name):
    model = build(name, load_preset("small"))
    subject = Subject(model, model.preset.input_of(name), None, RATE, torch.device("cpu"), 33)
    assert subject.admitted == admitted(MODELS[name].streams, MODELS[name].has_cam_layer, MODELS[name].attends)
    assert subject.has_cam_layer == MODELS[name].has_cam_layer


def test_captions_say_what_a_map_does_not_show(tmp_path, captions):
    for name in ("cnn", "vit"):
        examples = voices(PRESET.input_of(name))
        grad_cam_figures(a_subject(name, examples), examples, [0], explain_settings(), tmp_path / name, "")
        words = captions["gradcam_angry_1.png"]
        assert "Not shown" in words and "cause" in words
        assert ("over time alone" in words and "gradient times standardised input" in words) == (name == "cnn")
        assert ("cells" in words) == (name == "vit")


def test_pictures_of_the_paper_come_in_its_order(tmp_path, undrawn):
    examples = voices(PRESET.image, ("neutral", "disgust", "angry", "fear"))
    clips = grad_cam_figures(a_subject("vit", examples), examples, [0, 1, 2, 3, 5], explain_settings(), tmp_path,
                             "figures/")
    assert [clip["figure"] for clip in clips] == [f"figures/gradcam_{emotion}_{number}.png" for emotion, number in (
        ("angry", 1), ("fear", 1), ("disgust", 1), ("disgust", 2), ("neutral", 1))]
    assert {file.name for file in tmp_path.iterdir()} == {clip["figure"].removeprefix("figures/") for clip in clips}
    with pytest.raises(ValueError, match="no convolution"):
        grad_cam_figures(a_subject("lstm", voices(PRESET.stacked)), voices(PRESET.stacked), [0], explain_settings(),
                         tmp_path, "")


def test_a_map_that_is_zero_everywhere_is_drawn_in_words_and_has_no_ranges(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(grad_cam_picture, "save_figure", lambda figure, *rest: said.extend(
        text.get_text() for axes in figure.axes for text in axes.texts))
    examples = voices(PRESET.image)
    subject = a_subject("vit", examples)
    monkeypatch.setattr(subject.model, "maps", lambda output: 0 * type(subject.model).maps(subject.model, output))
    (clip,) = grad_cam_figures(subject, examples, [0], explain_settings(), tmp_path, "")
    assert clip["gradcam"]["empty"] and clip["gradcam"]["peak"] == 0
    for name in ("entropy", "time_focus_range", "freq_focus_range", "confidence_drop"):
        assert clip["gradcam"][name] is None
    assert any("the map is zero everywhere" in text for text in said) and "none" in said
    json.dumps(clip, allow_nan=False)


def test_the_share_of_a_map_on_padding_is_counted(tmp_path, monkeypatch, undrawn):
    examples = voices(PRESET.image)
    subject, where = a_subject("vit", examples), np.zeros((2, 2))
    where[:, 1] = 1.0   # the second half of two seconds, of which the last half second is padding
    monkeypatch.setattr(gradcam, "grad_cam", lambda *_: type("Cam", (), {"maps": torch.tensor(where[None])}))
    (clip,) = grad_cam_figures(subject, examples, [0], explain_settings(), tmp_path, "")
    heat = np.array(clip["gradcam"]["values"])
    times = np.array(clip["gradcam"]["times"])
    assert clip["gradcam"]["share_in_padding"] == pytest.approx(heat[times > 1.5].sum() / heat.sum(), abs=1e-3)
    assert 0.4 < clip["gradcam"]["share_in_padding"] < 0.7


def test_the_level_below_a_map_is_the_same_from_power_and_from_decibels():
    waves = {"r/0": burst(900, 0.5)}
    levels = []
    for scale in ("power", "decibels"):
        settings = stacked_settings(mel_scale=scale)
        features = examples_of(settings, waves).batch([0]).features
        levels.append(np.maximum(grad_cam_picture._spectrogram(settings, features, 2.0).level, -60))
    np.testing.assert_allclose(*levels, atol=0.01)
    assert levels[0].max() == 0


@pytest.mark.parametrize("name", ["lstm", "vit"])
def test_occlusion_hears_the_whole_sound_as_the_stored_features_do(name):
    examples = voices(PRESET.input_of(name))
    batch = examples.batch([0])
    subject = a_subject(name, examples)
    with torch.no_grad():
        torch.testing.assert_close(WindowClassifier(subject, 8)(batch.waveform, batch.valid),
                                   subject.model(batch.waveform, batch.valid, batch.features), rtol=1e-3, atol=1e-3)


def test_the_confidence_drop_is_that_of_the_masked_area(tmp_path, undrawn):
    settings = PRESET.stacked
    examples = voices(settings)
    subject = a_subject("cnn", examples)
    (clip,) = grad_cam_figures(subject, examples, [0], explain_settings(), tmp_path, "")
    batch, target = examples.batch([0]), EMOTIONS.index(clip["explained"])
    held = FeatureClassifier(subject.model, batch.waveform[0], batch.valid[0])
    row = examples.rows[0]
    asked = question(subject, make_clip(subject, row, examples.stores.waveform(row)), target, explain_settings())
    values = gradcam.heat_of(asked).values
    features = batch.features.clone()
    rows = settings.mfcc + 12
    valid = np.arange(63) * 512 / RATE <= 1.5
    for band in range(32):
        for frame in range(63):
            if values[band, frame] >= values.max() / 2:
                features[0, rows + band, frame] = batch.features[0, rows + band, valid].mean()
    with torch.no_grad():
        before, after = (held(some).softmax(1)[0, target].item() for some in (batch.features, features))
    assert clip["gradcam"]["confidence_drop"] == pytest.approx(100 * (before - after), abs=1e-3)
