"""Traces of every method: one time axis, the models that admit them, and a burst that each of them must point at."""

import numpy as np
import pytest
import torch
from explain_stand_ins import (
    RATE,
    OverImage,
    OverTime,
    StandIn,
    burst,
    explain_settings,
    features,
    image_settings,
    stacked_settings,
    traces,
)

from ser_ops.explain.clip import Clip, make_clip
from ser_ops.explain.methods.scorecam import score_cam
from ser_ops.explain.methods.shap import expected_gradients
from ser_ops.explain.subject import CentredScores, FeatureClassifier, Subject
from ser_ops.features.extractor import Extractor
from ser_ops.features.index_map import shape_of, to_frames
from ser_ops.features.paper2 import mel_edges_hertz
from ser_ops.features.standardise import Moments
from ser_ops.manifest import VariantRow

CPU = torch.device("cpu")
ROW = VariantRow("made/a#original", "made/a", "original", "test", "fear", "made/1", "made")


def spectral_subject(layout="frames", streams=("wav2vec", "spectral")) -> Subject:
    settings = features(layout)
    return Subject(StandIn(settings, streams).eval(), settings, None, RATE, CPU, 33)


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 0.1, int(RATE * seconds)).astype(np.float32)


@pytest.mark.parametrize("layout", ["frames", "serial"])
def test_a_fusion_has_three_methods_on_the_time_axis_of_the_clip(layout):
    subject = spectral_subject(layout)
    clip = make_clip(subject, ROW, noise(0.3))
    background = torch.randn(3, *shape_of(subject.features))
    traces_by_method = traces(subject, clip, 2, background, explain_settings())
    assert list(traces_by_method) == ["scorecam", "shap", "occlusion"] == list(subject.admitted)
    for name in ("scorecam", "shap"):
        assert traces_by_method[name].method == name and "over the waveform" in traces_by_method[name].held
        np.testing.assert_allclose(traces_by_method[name].seconds, np.arange(16) * 512 / RATE)
        assert traces_by_method[name].values.shape == (16,) and traces_by_method[name].values.dtype == np.float64
    assert traces_by_method["scorecam"].values.min() >= 0
    assert traces_by_method["occlusion"].held == ""
    assert traces_by_method["occlusion"].values[-1] == 0 and np.all(np.diff(traces_by_method["occlusion"].seconds) > 0)


@pytest.mark.parametrize("layout", ["frames", "serial"])
def test_they_are_what_the_methods_alone_give(layout):
    subject, settings = spectral_subject(layout), explain_settings()
    clip = make_clip(subject, ROW, noise(0.5))
    held = FeatureClassifier(subject.model, clip.batch.waveform[0], clip.batch.valid[0])
    background = torch.randn(3, *shape_of(subject.features))
    traces_by_method = traces(subject, clip, 4, background, settings, only=["scorecam", "shap"])
    cam = score_cam(held, subject.model.cam_layer(), clip.batch.features[0], 4, torch.zeros(1)).numpy()
    np.testing.assert_allclose(traces_by_method["scorecam"].values,
                               to_frames(cam, subject.features) if layout == "serial" else cam, rtol=1e-5, atol=1e-8)
    whole = expected_gradients(CentredScores(held), clip.batch.features[0], background, settings.shap_samples,
                               settings.seed, clip.key, settings.batch_size)
    np.testing.assert_allclose(traces_by_method["shap"].values, to_frames(whole.values[..., 4], subject.features),
                               rtol=1e-4, atol=1e-7)


def test_chance_is_in_shap_alone_and_keyed():
    subject = spectral_subject()
    clip = make_clip(subject, ROW, noise(0.5))
    background = torch.randn(3, *shape_of(subject.features))
    first, same, other = (traces(subject, clip, 0, background, explain_settings(), seed_key=key)
                          for key in ("", "", "again"))
    for name in first:
        np.testing.assert_array_equal(first[name].values, same[name].values)
    assert not np.array_equal(first["shap"].values, other["shap"].values)
    np.testing.assert_array_equal(first["scorecam"].values, other["scorecam"].values)
    np.testing.assert_array_equal(first["occlusion"].values, other["occlusion"].values)


def test_without_a_background_there_is_no_shap():
    subject = spectral_subject()
    assert list(traces(subject, make_clip(subject, ROW, noise(0.5)), 0, None, explain_settings())) == ["scorecam",
                                                                                                       "occlusion"]


class Loudness(torch.nn.Module):
    """Class 0 is how loud the waveform is."""

    streams = ("wav2vec",)

    def cam_layer(self):
        raise ValueError("no convolution")

    def context(self, waveform, valid):
        return waveform.abs().mean(1, keepdim=True)

    def classify(self, context, values):
        return torch.nn.functional.pad(20 * context, (0, 6))

    def forward(self, waveform, valid, values):
        return self.classify(self.context(waveform, valid), values)


def points_at(trace, start: float, end: float) -> None:
    positive = np.maximum(trace.values, 0)
    assert start - 0.1 <= trace.seconds[positive.argmax()] <= end + 0.1


def clip(subject: Subject) -> Clip:
    return make_clip(subject, ROW, burst(1500, 0.8))


def test_occlusion_of_a_waveform_model_points_at_the_burst():
    settings = features().model_copy(update={"seconds": 2.0})
    subject = Subject(Loudness(), settings, None, RATE, CPU, 33)
    traces_by_method = traces(subject, clip(subject), 0, None, explain_settings())
    assert list(traces_by_method) == ["occlusion"]
    points_at(traces_by_method["occlusion"], 0.8, 1.0)
    quiet = np.abs(traces_by_method["occlusion"].seconds - 0.9) > 0.2
    assert np.abs(traces_by_method["occlusion"].values[quiet]).max() < 0.05 * traces_by_method["occlusion"].values.max()


def test_every_method_of_a_model_of_stacked_features_points_at_the_burst():
    settings = stacked_settings()
    band = int(np.searchsorted(mel_edges_hertz(settings), 1500)) - 1
    values = Extractor(settings, RATE)(torch.from_numpy(burst(1500, 0.8))[None])
    mean_std = Moments.of(values, settings).standardisation()
    subject = Subject(OverTime(settings, band, mean_std).eval(), settings, mean_std, RATE, CPU, 33)
    background = make_clip(subject, ROW, burst(1500, None)).batch.features
    traces_by_method = traces(subject, clip(subject), 0, background, explain_settings())
    assert list(traces_by_method) == ["gradcam", "shap", "occlusion"]
    for trace in traces_by_method.values():
        points_at(trace, 0.8, 1.0)
        assert trace.held == ""


def test_an_image_model_has_gradcam_and_occlusion():
    subject = Subject(OverImage(), image_settings(), None, RATE, CPU, 33)
    traces_by_method = traces(subject, clip(subject), 0, None, explain_settings())
    assert list(traces_by_method) == ["gradcam", "occlusion"]
    assert traces_by_method["gradcam"].values.min() >= 0 and len(traces_by_method["gradcam"].values) == 64
