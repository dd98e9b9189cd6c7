"""Our mel scale and filters against librosa's."""

import librosa
import numpy as np
import pytest

from ser_ops.features.descriptors import mel_filters, mel_frequencies


@pytest.mark.parametrize(("number", "highest"), [(2, 400.0), (40, 8000.0), (259, 11025.0), (130, 22050.0)])
def test_frequencies_are_librosas(number: int, highest: float) -> None:
    np.testing.assert_allclose(mel_frequencies(number, highest), librosa.mel_frequencies(number, fmin=0, fmax=highest),
                               rtol=1e-13, atol=1e-10)


@pytest.mark.parametrize(("rate", "frame", "bands"), [(16000, 512, 80), (22050, 2048, 128), (8000, 256, 20),
                                                      (16000, 1024, 128), (44100, 4096, 40)])
@pytest.mark.filterwarnings("ignore:Empty filters")
def test_filters_are_librosas(rate: int, frame: int, bands: int) -> None:
    np.testing.assert_allclose(mel_filters(rate, frame, bands),
                               librosa.filters.mel(sr=rate, n_fft=frame, n_mels=bands), rtol=1e-6, atol=1e-9)
