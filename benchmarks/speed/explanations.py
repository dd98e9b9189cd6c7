"""Score-CAM and SHAP of one clip in batches, against one masked input, or one sample, at a time."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.score_cam import clip, loop, model_of
from benchmarks.speed.case import Row, Setting
from benchmarks.speed.measure import Turns, by_turns
from benchmarks.speed.work import operations, peak
from ser_ops.emotions import EMOTIONS
from ser_ops.explain.methods.scorecam import score_cam
from ser_ops.explain.methods.shap import expected_gradients
from ser_ops.explain.subject import CentredScores, FeatureClassifier

_ALIKE, _EXACT = 1e-4, 1e-9
_SAMPLES, _SHORT = 400, 50


def run(setting: Setting) -> Iterator[Row]:
    """The main model of paper 1 in the preset's size, random weights."""
    preset, settings = setting.params.chosen, setting.params.explain
    model = model_of(preset)
    waveform, features = clip(preset, setting.params.data.sample_rate)
    valid, baseline, layer = torch.tensor(len(waveform)), torch.zeros_like(features), model.cam_layer()
    assert isinstance(layer, nn.Conv1d)     # the spectral stream's last one

    def whole(some: Tensor) -> Tensor:
        return model(waveform.expand(len(some), -1), valid.expand(len(some)), some)

    def cam(target: int) -> Tensor:
        return score_cam(FeatureClassifier(model, waveform, valid), layer, features, target, baseline,
                         settings.batch_size)

    # Random weights: for some classes no map speaks, and then there is nothing to compare.
    target = max(range(len(EMOTIONS)), key=lambda number: float(cam(number).max()))

    held, samples = FeatureClassifier(model, waveform, valid), _SHORT if setting.short else _SAMPLES
    with torch.no_grad():
        once = operations(lambda: held(features[None]))
    turns = by_turns(lambda: cam(target), lambda: loop(whole, layer, features, baseline, target),
                     1 if setting.short else 3)
    yield _row("Score-CAM", f"{layer.out_channels} masks, each through both streams, one at a time", 5.0, turns,
               once * layer.out_channels)

    random = torch.Generator().manual_seed(2)
    background = features + torch.randn(settings.background, *features.shape, generator=random)

    def shap(size: int) -> np.ndarray:
        return expected_gradients(CentredScores(held), features, background, samples, settings.seed, "clip",
                                  size).values

    turns = by_turns(lambda: shap(settings.batch_size), lambda: shap(1), 1 if setting.short else 2)
    row = _row(f"SHAP, {samples} samples", "shap's own explainer, one sample in a pass", None, turns,
               once * samples * (1 + len(EMOTIONS)))
    # Where two inputs of a maximum are nearly one, rounding decides which of them has the gradient. Whether both ways
    # compute the same shows in float64.
    exact = Exact(FeatureClassifier(model.double(), waveform.double(), valid))
    ours, theirs = (expected_gradients(CentredScores(exact), features, background, _SHORT, settings.seed, "clip",
                                       size).values for size in (settings.batch_size, 1))
    far = apart(ours, theirs)
    yield replace(row, equal=far <= _EXACT, apart=f"{far:.0e} of the peak apart in float64, {row.apart} in float32")


class Exact(nn.Module):
    """A network of float64 for who hands float32 over."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> Tensor:
        """Shape (b, ...) to (b, classes), float64."""
        return self.network(features.double())


def apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference as a share of the peak."""
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def _row(what: str, peer: str, asked: float | None, turns: Turns, work: int) -> Row:
    far = apart(np.asarray(turns.our_result), np.asarray(turns.peer_result))
    return Row(f"{what} of a clip", "clips", *turns.rates(1), asked, peak() / work,
               f"{work / 1e9:.2g} GFLOP, a forward pass of the spectral stream for each mask or sample, for SHAP a "
               "backward one for each class too; normalisation, pooling and shap's forward passes for each class stand "
               "between", far <= _ALIKE, f"{far:.0e} of the peak apart", f"the peer: {peer}")
