"""Paper 1's figures: which are drawn, what stands in them, that the same gives the same bytes."""

import re

import numpy as np
import pytest
import torch
from explain_stand_ins import RATE, StandIn, explain_settings, features
from matplotlib.image import imread

from ser_ops.emotions import EMOTIONS
from ser_ops.explain import clip_figures, overall_figures
from ser_ops.explain.clip import WindowClassifier, class_probabilities, make_clip, waveform_contexts
from ser_ops.explain.clip_figures import (
    FIGURE_KEYS,
    active_moments,
    change_in_words,
    draw_paper_figures,
    random_changes_in_words,
)
from ser_ops.explain.deletion import counterfactual
from ser_ops.explain.figures import Sound
from ser_ops.explain.methods.shap import Attribution
from ser_ops.explain.overall_figures import ShapRow, draw_global_figures, draw_violins
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.explain.utterance import answer_entry
from ser_ops.features.index_map import describe, frames_of, index_at, shape_of, to_frames
from ser_ops.files import sha256
from ser_ops.manifest import VariantRow
from ser_ops.methods import METHODS

WAVEFORM = "the stream over the waveform, which kept hearing all of it"


def a_subject(layout: str = "frames") -> Subject:
    settings = features(layout)
    card = {"preset_settings": {"features": settings.model_dump()},
            "sample_rate": RATE, "model": "fusion", "standardisation": None}
    return Subject.of(StandIn(settings), card, torch.device("cpu"))


def a_clip(subject: Subject, seconds: float = 0.4):
    wave = np.random.default_rng(1).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)
    row = VariantRow("made/a#original", "made/a", "original", "test", "angry", "made/1", "made")
    return make_clip(subject, row, wave)


def traces() -> dict[str, Trace]:
    seconds = np.arange(16) * 512 / RATE
    return {"scorecam": Trace("scorecam", seconds, np.hanning(16), "probability", WAVEFORM),
            "shap": Trace("shap", seconds, np.sin(seconds * 20), "log odds", WAVEFORM),
            "occlusion": Trace("occlusion", np.linspace(0.05, 0.45, 9), np.linspace(-0.1, 0.3, 9), "loss")}


def attribution(subject: Subject, seed: int = 0) -> Attribution:
    values = np.random.default_rng(seed).normal(size=(*shape_of(subject.features), len(EMOTIONS)))
    return Attribution(values, np.zeros(7), values.reshape(-1, 7).sum(0))


def figures_of(subject: Subject, given: dict[str, Trace], shap: Attribution | None, *rest) -> dict[str, str]:
    """`draw_paper_figures` of the clip, with what the model answers and what muting does."""
    clip, settings = a_clip(subject), explain_settings()
    (probabilities,) = class_probabilities(subject, [clip], waveform_contexts(subject, [clip], 1))
    target = int(probabilities.argmax())
    muting = counterfactual(clip, WindowClassifier(subject, 8), clip_figures.leading_trace(given), target, RATE,
                            settings)
    return draw_paper_figures(subject, clip, answer_entry(subject, clip, probabilities, target), given, shap, muting,
                              settings, *rest)


@pytest.fixture
def captions(monkeypatch) -> dict[str, str]:
    """What `save` was asked to put below each file."""
    from ser_ops.explain import clip_figures, figures, overall_figures
    said: dict[str, str] = {}

    def kept(figure, caption, path, columns, within=False):
        said[path.name] = caption
        figures_save(figure, caption, path, columns, within)

    figures_save = figures.save_figure
    for module in (figures, clip_figures, overall_figures):
        monkeypatch.setattr(module, "save_figure", kept)
    return said


def test_every_figure_of_a_clip_says_what_it_does_not_show(tmp_path, captions):
    subject = a_subject()
    believe = {"scorecam": "Score-CAM was no better than chance.", "occlusion": "Occlusion was."}
    files = figures_of(subject, traces(), attribution(subject), tmp_path, "p/", believe)
    assert tuple(files) == FIGURE_KEYS and len(set(files.values())) == len(FIGURE_KEYS)
    for key, name in files.items():
        assert name.startswith("p/made_a_clean_0_None_") and imread(tmp_path / name[2:]).ndim == 3
        assert "Not shown: " in captions[name[2:]]
        expected = {"figure_3c": "Occlusion was.", "figure_5": ""}.get(key, "Score-CAM was no better than chance.")
        assert expected in captions[name[2:]]
        assert (WAVEFORM in captions[name[2:]]) == (key not in ("figure_3c", "figure_3e"))


def test_the_same_clip_gives_the_same_bytes(tmp_path):
    subject = a_subject()
    values = np.random.default_rng(0).normal(size=(5, 2))
    for name in ("a", "b"):
        figures_of(subject, traces(), None, tmp_path / name, "")
        overall_figures.draw_beeswarm(["RMS at 0.10 s", "ZCR at 0.20 s"], values, values, "fear", 1, "words",
                                      tmp_path / name / "4b.png")
    for file in (tmp_path / "a").iterdir():
        assert sha256(file) == sha256(tmp_path / "b" / file.name)


def test_what_a_model_does_not_give_is_left_out(tmp_path):
    subject = a_subject()
    alone = {"occlusion": traces()["occlusion"]}
    assert set(figures_of(subject, alone, None, tmp_path, "")) == set(FIGURE_KEYS) - {"figure_5"}
    both = {"gradcam": Trace("gradcam", np.arange(3.0) / 10, np.zeros(3), "logit")}
    assert set(figures_of(subject, both, None, tmp_path, "")) == \
        {"figure_2", "figure_3ab", "figure_3d", "figure_3e"}
    with pytest.raises(ValueError, match="at least one trace"):
        clip_figures.leading_trace({})


@pytest.mark.parametrize("layout", ["frames", "serial"])
def test_the_glow_follows_equation_29(layout, tmp_path, monkeypatch):
    subject = a_subject(layout)
    values = np.zeros((*shape_of(subject.features), 7))
    values.reshape(-1, 7)[index_at(2 + 4, 9, subject.features), :] = 2.0
    values.reshape(-1, 7)[index_at(0, 9, subject.features), :] = -0.5
    drawn = []
    for name in ("draw_over_waveform", "draw_aligned", "draw_occlusion", "draw_regions", "draw_masked"):
        monkeypatch.setattr(clip_figures, name, lambda *_given, **_named: None)
    monkeypatch.setattr(clip_figures, "draw_glowing", lambda _sound, trace, *_rest: drawn.append(trace))
    made = Attribution(values, np.zeros(7), np.zeros(7))
    figures_of(subject, traces(), made, tmp_path, "")
    expected = np.zeros(frames_of(subject.features))
    expected[9] = 1.5
    np.testing.assert_allclose(drawn[0].values, expected)
    assert drawn[0].seconds[9] == pytest.approx(9 * 512 / RATE)
    assert to_frames(values[..., 0], subject.features).sum() == pytest.approx(1.5)


@pytest.mark.parametrize("layout", ["frames", "serial"])
def test_features_are_named_in_words_for_each_class(layout, tmp_path, monkeypatch):
    subject = a_subject(layout)
    index = index_at(2 + 7, 12, subject.features)
    attributions = []
    for seed in (1, 2, 3):
        made = attribution(subject, seed)
        made.values.reshape(-1, 7)[index, 2] = 50.0 * (-1) ** seed
        attributions.append(made)
    rows = [ShapRow(np.full(shape_of(subject.features), 3.0), "fear", f"clip {number}") for number in range(3)]
    asked = {}
    for name in ("draw_beeswarm", "draw_violins", "draw_waterfall"):
        monkeypatch.setattr(overall_figures, name, lambda *given, name=name: asked.setdefault(name, []).append(given))
    files = draw_global_figures(subject, attributions, rows, explain_settings(top=4), tmp_path, "p/")
    assert [key for key in files if "4d" in key] == ["figure_4d_fear"] and len(files) == 15
    first = describe(index, subject.features)
    assert first == f"MFCC 7 at {12 * 512 / RATE:.2f} s"
    fear = EMOTIONS.index("fear")
    names, values, shown = asked["draw_beeswarm"][fear][:3]
    assert names[0] == first and values[:, 0].tolist() == [-50.0, 50.0, -50.0] and (shown == 3).all()
    assert asked["draw_violins"][fear][0] == names
    labels, steps, others, missed, base, score = asked["draw_waterfall"][0][:6]
    assert labels[0] == f"{first}  = 3" and others[0] == np.prod(shape_of(subject.features)) - 4
    assert base + steps.sum() + others[1] + missed == pytest.approx(score), "equation 25, with what sampling missed"
    assert not any(re.search(r"Feature \d|Time_\d", name) for name in names)


def test_what_sampling_missed_is_a_step_of_its_own(tmp_path, monkeypatch):
    subject = a_subject()
    values = np.ones((*shape_of(subject.features), 7)) / 100
    size = int(np.prod(shape_of(subject.features)))
    asked = []
    monkeypatch.setattr(overall_figures, "draw_waterfall", lambda *given: asked.append(given))
    monkeypatch.setattr(overall_figures, "draw_beeswarm", lambda *_given: None)
    monkeypatch.setattr(overall_figures, "draw_violins", lambda *_given: None)
    made = Attribution(values, np.full(7, 0.25), np.full(7, 0.25 + size / 100 + 0.4))
    row = ShapRow(np.zeros(shape_of(subject.features)), "sad", "x")
    draw_global_figures(subject, [made], [row], explain_settings(), tmp_path, "")
    assert asked[0][3] == pytest.approx(0.4)
    assert draw_global_figures(subject, [], [], explain_settings(), tmp_path, "") == {}


def test_every_global_figure_says_what_it_does_not_show(tmp_path, captions, monkeypatch):
    monkeypatch.setattr(overall_figures, "EMOTIONS", ("angry", "disgust"))
    subject = a_subject()
    made = [Attribution(attribution(subject, seed).values[..., :2], np.zeros(2), np.ones(2)) for seed in (1, 2, 3)]
    rows = [ShapRow(np.full(shape_of(subject.features), 3.0), "disgust", f"clip {number}") for number in range(3)]
    files = draw_global_figures(subject, made, rows, explain_settings(top=3), tmp_path, "p/", "SHAP did no better.")
    assert len(files) == 5
    for name in files.values():
        assert imread(tmp_path / name[2:]).ndim == 3
        assert "SHAP did no better." in captions[name[2:]] and "Not shown: " in captions[name[2:]]


def test_values_that_are_all_alike_can_be_drawn(tmp_path):
    names, zeros = ["RMS at 0.10 s", "ZCR at 0.20 s"], np.zeros((3, 2))
    draw_violins(names, zeros, "sad", "words", tmp_path / "4c.png")
    overall_figures.draw_beeswarm(names, zeros, zeros, "sad", 1, "words", tmp_path / "4b.png")
    overall_figures.draw_waterfall(names, zeros[0], (7, 0.0), 0.0, 1.0, 1.0, "x", "words", tmp_path / "4d.png")
    assert len(list(tmp_path.iterdir())) == 3


def test_numpys_generator_is_left_alone(tmp_path):
    np.random.seed(5)
    expected = np.random.random(3)
    np.random.seed(5)
    values = np.array([[1.0], [2.0]])
    overall_figures.draw_beeswarm(["RMS at 0.10 s"], values, values, "fear", 1, "words", tmp_path / "a.png")
    np.testing.assert_array_equal(np.random.random(3), expected)


def test_active_is_the_share_that_is_asked_for_and_never_below_zero():
    values = np.random.default_rng(0).normal(size=200)
    lit = active_moments(values, 0.2)
    assert lit.sum() == 40 and values[lit].min() >= values[~lit].max()
    assert active_moments(values, 0.9).sum() == (values > 0).sum()
    assert not active_moments(-np.ones(5), 0.5).any() and not active_moments(np.zeros(0), 0.5).any()


def test_columns_hold_every_sample_and_touch():
    samples = np.random.default_rng(0).normal(size=40_000).astype(np.float32)
    seconds, low, high = Sound(samples, RATE, 2.5, "").columns()
    assert len(seconds) == 1200 and low.min() == samples.min() and high.max() == samples.max()
    assert (high[:-1] >= low[1:]).all() and (low[:-1] <= high[1:]).all()
    few = Sound(samples[:10], RATE, 1.0, "").columns()
    assert len(few[0]) == 10


def test_words_of_figure_3e_are_those_of_its_numbers():
    subject = a_subject()
    made = counterfactual(a_clip(subject), WindowClassifier(subject, 8), traces()["scorecam"], 0, RATE,
                          explain_settings())
    numbers = made.numbers()
    said = change_in_words(made)
    assert ("never" in said) == (numbers["seconds"] is None)
    if numbers["seconds"]:
        assert f"{numbers['seconds']:.2f} s" in said and numbers["to"] in said
    assert random_changes_in_words(made).count(",") == explain_settings().faithfulness.random_draws - 1


def test_methods_are_told_apart_in_grey_too():
    def light(colour: str) -> float:
        red, green, blue = (int(colour[at:at + 2], 16) / 255 for at in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue
    colours = [method.colour for method in METHODS.values()]
    assert len({round(light(colour), 2) for colour in colours}) == len(colours)
