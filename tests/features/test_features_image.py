"""Paper 2's log-mel image against librosa, and its range."""

import librosa
import numpy as np
import pytest
import torch
from feature_signals import assert_agrees, signals, synthetic_utterances

from ser_ops.config.models import MelImage
from ser_ops.config.params import load_preset, preset_names
from ser_ops.features.extractor import Extractor
from ser_ops.features.paper2 import mel_hertz

PRESETS = {name: load_preset(name) for name in preset_names()}


def reference(samples: np.ndarray, settings: MelImage) -> np.ndarray:
    mel = librosa.feature.melspectrogram(y=samples, sr=settings.sample_rate, n_fft=settings.frame,
                                         hop_length=settings.hop, n_mels=settings.mels)
    return librosa.power_to_db(mel, ref=np.max, top_db=80)


@pytest.mark.parametrize("preset", ["small", "paper"])
def test_agrees_with_librosa(preset: str) -> None:
    settings = PRESETS[preset].image
    made = signals(settings.sample_rate, round(settings.seconds * settings.sample_rate))
    batch = np.stack([*made.values(), *synthetic_utterances(settings, 10)])
    images = Extractor(settings, settings.sample_rate)(torch.from_numpy(batch)).numpy()
    assert images.shape == (len(batch), 128, 128) and images.dtype == np.float32
    for image, samples in zip(images, batch, strict=True):
        assert_agrees(image, reference(samples, settings))
        assert image.max() == 0 and image.min() >= -80


def test_silence_is_zero_as_in_librosa() -> None:
    settings = PRESETS["small"].image
    silence = np.zeros(40000, np.float32)
    image = Extractor(settings)(torch.zeros(1, 40000))[0].numpy()
    assert np.array_equal(image, np.zeros((128, 128))) and np.array_equal(image, reference(silence, settings))


def test_gain_and_neighbours_do_not_show() -> None:
    settings = PRESETS["small"].image
    batch = torch.from_numpy(np.stack(list(signals(16000, 40000).values())))
    extractor = Extractor(settings)
    together = extractor(torch.cat([batch * 1000, batch, batch * 0.5]))[len(batch):2 * len(batch)]
    for samples, image in zip(batch, together, strict=True):
        torch.testing.assert_close(image, extractor(samples[None])[0], rtol=1e-5, atol=1e-4)
    speech = batch[3:4]
    torch.testing.assert_close(extractor(4 * speech), extractor(speech), rtol=1e-5, atol=1e-4)


def test_a_tone_stands_in_its_band_and_time() -> None:
    settings = PRESETS["small"].image
    time = np.arange(40000) / 16000
    burst = np.where((time > 1.0) & (time < 1.5), 0.5 * np.sin(2 * np.pi * 2500 * time), 0.0).astype(np.float32)
    image = Extractor(settings)(torch.from_numpy(burst)[None])[0].numpy()
    row, frame = np.unravel_index(image.argmax(), image.shape)
    assert abs(row - np.abs(mel_hertz(settings) - 2500).argmin()) <= 1 and 1.0 < frame * 313 / 16000 < 1.5
