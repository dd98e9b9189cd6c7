"""Equation 29, both ways, in both layouts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_ops.config.models import Features
from ser_ops.config.params import load_preset
from ser_ops.features.extractor import Extractor
from ser_ops.features.index_map import describe, feature_at, frames_of, grid, index_at, shape_of, to_frames, to_grid

PAPER = load_preset("paper").features

any_settings = st.builds(
    Features, sample_rate=st.sampled_from([8000, 16000, 22050]), seconds=st.floats(0.2, 4.0), frame=st.just(2048),
    hop=st.integers(100, 1000), mfcc=st.integers(1, 60), mels=st.just(64),
    layout=st.sampled_from(["serial", "frames"]), level=st.just("keep"), centre=st.just(False),
    standardise=st.just(True))


def test_feature_1191_of_the_paper() -> None:
    position = feature_at(1191, PAPER)
    assert (position.kind, position.coefficient, position.frame, frames_of(PAPER)) == ("MFCC", 15, 48, 108)
    assert describe(1191, PAPER) == "MFCC 15 at 1.11 s"


@pytest.mark.parametrize(("index", "kind", "coefficient", "frame"), [
    (0, "ZCR", None, 0), (107, "ZCR", None, 107), (108, "RMS", None, 0), (215, "RMS", None, 107),
    (216, "MFCC", 0, 0), (235, "MFCC", 19, 0), (236, "MFCC", 0, 1), (2367, "MFCC", 11, 107), (2375, "MFCC", 19, 107)])
def test_equation_29_by_hand(index: int, kind: str, coefficient: int | None, frame: int) -> None:
    position = feature_at(index, PAPER)
    assert (position.kind, position.coefficient, position.frame) == (kind, coefficient, frame)
    assert position.seconds == pytest.approx(frame * 512 / 22050)


@settings(max_examples=60)
@given(any_settings, st.data())
def test_there_and_back(chosen: Features, data: st.DataObject) -> None:
    size = int(np.prod(shape_of(chosen)))
    index = data.draw(st.integers(0, size - 1))
    position = feature_at(index, chosen)
    assert index_at(position.channel, position.frame, chosen) == index == grid(chosen)[position.channel, position.frame]
    assert 0 <= position.seconds <= chosen.seconds + 1e-6


@settings(max_examples=20)
@given(any_settings)
def test_every_index_once(chosen: Features) -> None:
    indices = grid(chosen)
    assert indices.shape == (2 + chosen.mfcc, frames_of(chosen))
    assert np.array_equal(np.sort(indices.ravel()), np.arange(indices.size))


@pytest.mark.parametrize("index", [-1, 2376])
def test_outside_is_an_error(index: int) -> None:
    with pytest.raises(IndexError):
        feature_at(index, PAPER)
    with pytest.raises(IndexError):
        index_at(2, 108, PAPER)


def test_frame_sums_by_hand() -> None:
    attributions = np.zeros((2, 2376))
    attributions[0, [48, 108 + 48, 1191]] = 1.0, 2.0, 4.0      # ZCR, RMS and MFCC 15, all of frame 48
    attributions[1, 2375] = -3.0
    sums = to_frames(attributions, PAPER)
    assert sums.shape == (2, 108) and sums[0, 48] == 7.0 and sums[1, 107] == -3.0
    assert sums.sum() == attributions.sum()
    assert torch.equal(to_frames(torch.from_numpy(attributions), PAPER), torch.from_numpy(sums))


def test_grid_of_extracted_features_is_the_other_layout() -> None:
    waveforms = 0.1 * torch.randn(2, 40000, generator=torch.Generator().manual_seed(4))
    frames = Extractor(PAPER.model_copy(update={"layout": "frames"}))(waveforms)
    assert torch.equal(to_grid(Extractor(PAPER)(waveforms), PAPER), frames)
    with pytest.raises(ValueError, match="2376"):
        to_grid(frames, PAPER)
