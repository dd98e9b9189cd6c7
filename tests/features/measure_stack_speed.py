"""Utterances a second of paper 2's stack on one thread, and of librosa doing the same, turn by turn.

OMP_NUM_THREADS=1 python tests/features/measure_stack_speed.py
"""

import time
import warnings
from collections.abc import Callable
from functools import partial
from statistics import median

import librosa
import numpy as np
import torch
from feature_signals import synthetic_utterances

from ser_ops.config.models import Stacked
from ser_ops.config.params import load_preset, preset_names
from ser_ops.features.extractor import Extractor

BATCH, ROUNDS = 64, 5


def by_librosa(batch: np.ndarray, settings: Stacked) -> np.ndarray:
    size = {"sr": settings.sample_rate, "n_fft": settings.frame, "hop_length": settings.hop}
    rows = []
    for samples in batch:
        mel = librosa.feature.melspectrogram(y=samples, **size, n_mels=settings.mels)
        level = librosa.power_to_db(mel)
        rows.append(np.concatenate([
            librosa.feature.mfcc(S=level, n_mfcc=settings.mfcc), librosa.feature.chroma_stft(y=samples, **size),
            mel if settings.mel_scale == "power" else level, librosa.feature.spectral_contrast(y=samples, **size)]))
    return np.stack(rows)


def seconds(extract: Callable[[], object]) -> float:
    """Processor time, so that others on the machine count less."""
    start = time.process_time()
    extract()
    return time.process_time() - start


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name, preset in ((name, load_preset(name)) for name in preset_names()):
        settings = preset.stacked
        batch = np.stack(synthetic_utterances(settings, BATCH)[:BATCH])
        extractor, waveforms = Extractor(settings, settings.sample_rate), torch.from_numpy(batch)
        pairs = []
        for _ in range(ROUNDS + 1):
            with torch.inference_mode():
                ours = seconds(partial(extractor, waveforms))
            pairs.append((ours, seconds(partial(by_librosa, batch, settings))))
        ours, theirs = (BATCH / median(times) for times in zip(*pairs[1:], strict=True))    # the first warms up
        print(f"{name}: {ours:.0f} utterances of {settings.seconds} s at {settings.sample_rate} Hz a second, "
              f"librosa {theirs:.0f}: {ours / theirs:.1f} times")


if __name__ == "__main__":
    main()
