"""Shapes, layouts, resampling and batches of the extractor."""

import numpy as np
import pytest
import soxr
import torch

from ser_ops.config.models import Window
from ser_ops.config.params import load_preset, preset_names
from ser_ops.features.descriptors import decibels, mel_bands, mel_power, mfcc, power_spectrum
from ser_ops.features.extractor import Extractor
from ser_ops.features.index_map import frames_of

PRESETS = {name: load_preset(name) for name in preset_names()}


def waveforms(count: int = 3, seconds: float = PRESETS["small"].features.seconds) -> torch.Tensor:
    return 0.1 * torch.randn(count, round(16000 * seconds), generator=torch.Generator().manual_seed(3))


def test_paper_preset_has_108_frames_of_22() -> None:
    extractor = Extractor(PRESETS["paper"].features)
    assert frames_of(PRESETS["paper"].features) == 108
    assert extractor.shape == (2376,) == tuple(extractor(waveforms(1, 2.5)).shape[1:])


def test_layouts_hold_the_same_values() -> None:
    frames = PRESETS["small"].features
    grid = Extractor(frames)(waveforms())
    serial = Extractor(frames.model_copy(update={"layout": "serial"}))(waveforms())
    count = frames_of(frames)
    assert grid.shape == (3, 82, count) and serial.shape == (3, 82 * count)
    assert torch.equal(serial[:, :count], grid[:, 0]) and torch.equal(serial[:, count:2 * count], grid[:, 1])
    assert torch.equal(serial[:, 2 * count:2 * count + 80], grid[:, 2:, 0])     # all K of the first frame
    assert torch.equal(serial[:, -80:], grid[:, 2:, -1])


def test_a_gain_changes_nothing_where_levels_are_made_the_same() -> None:
    settings, batch = PRESETS["small"].features, waveforms()
    torch.testing.assert_close(Extractor(settings)(0.01 * batch), Extractor(settings)(batch), rtol=1e-3, atol=1e-3)
    kept = settings.model_copy(update={"level": "keep"})
    assert not torch.allclose(Extractor(kept)(0.01 * batch)[:, 1], Extractor(kept)(batch)[:, 1], atol=1e-3)


def test_centred_rows_have_mean_zero_and_nothing_else_changes() -> None:
    settings, batch = PRESETS["small"].features, waveforms()
    centred, kept = Extractor(settings)(batch), Extractor(settings.model_copy(update={"centre": False}))(batch)
    assert centred.mean(-1).abs().max() < 1e-3
    torch.testing.assert_close(centred, kept - kept.mean(-1, keepdim=True))


def test_bands_come_back_from_as_many_coefficients() -> None:
    settings, batch = PRESETS["small"].features, waveforms()
    bands = decibels(mel_power(power_spectrum(batch, settings), settings, 80)).transpose(1, 2)
    torch.testing.assert_close(mel_bands(mfcc(batch, settings), 80), bands, rtol=1e-4, atol=1e-3)


def test_an_utterance_does_not_depend_on_its_batch() -> None:
    extractor, batch = Extractor(PRESETS["small"].features), waveforms()
    batch[1] *= 1000        # a loud neighbour must not raise the floor of 80 dB
    torch.testing.assert_close(extractor(batch)[0], extractor(batch[:1])[0], rtol=1e-5, atol=1e-4)


def test_resamples_where_the_preset_wants_another_rate() -> None:
    settings, batch = PRESETS["paper"].features, waveforms(2, 2.5)
    expected = np.stack([soxr.resample(samples, 16000, 22050, quality="HQ") for samples in batch.numpy()])
    assert expected.shape == (2, 55125)
    direct = Extractor(settings, 22050)(torch.from_numpy(expected))
    torch.testing.assert_close(Extractor(settings)(batch), direct)


def test_refuses_windows_of_another_length() -> None:
    with pytest.raises(ValueError, match="48000"):
        Extractor(PRESETS["small"].features)(torch.zeros(2, 47999))


@pytest.mark.parametrize("settings", [PRESETS["small"].features, PRESETS["small"].stacked, PRESETS["small"].image])
def test_tables_serve_training_after_inference(settings: Window) -> None:
    settings = settings.model_copy(update={"frame": 1536})     # not cached by another test
    extractor = Extractor(settings)
    with torch.inference_mode():
        extractor(waveforms(1, settings.seconds))
    batch = waveforms(1, settings.seconds).requires_grad_()
    extractor(batch).sum().backward()
    assert batch.grad is not None and torch.isfinite(batch.grad).all()


@pytest.mark.gpu
def test_same_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    for preset in PRESETS.values():
        extractor = Extractor(preset.features)
        batch = waveforms(seconds=preset.features.seconds)
        on_gpu = extractor(batch.cuda())
        assert on_gpu.is_cuda
        torch.testing.assert_close(on_gpu.cpu(), extractor(batch), rtol=1e-3, atol=1e-2)
