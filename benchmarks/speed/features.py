"""ZCR, RMS and 40 MFCC of 3 s at 16 kHz: utterances a second of one core, ours and librosa's."""

from collections.abc import Iterator

import librosa
import numpy as np
import torch

from benchmarks.speed import machine
from benchmarks.speed.case import Row, Setting
from benchmarks.speed.measure import by_turns
from ser_ops.audio.reading import read_recording
from ser_ops.audio.signal import fit_window
from ser_ops.config.models import Features
from ser_ops.features.extractor import Extractor
from ser_ops.features.index_map import frames_of
from ser_ops.progress.spreading import use_one_thread

ASKED = 6.0
LIMIT = 1e-3    # of each feature's standard deviation: librosa too computes in float32
COUNT = 64
# What librosa does when it is told nothing else.
SETTINGS = Features(sample_rate=16000, seconds=3.0, frame=2048, hop=512, mfcc=40, mels=128, layout="frames",
                    level="keep", centre=False, standardise=True)


def by_librosa(samples: np.ndarray, settings: Features) -> np.ndarray:
    """Rows ZCR, RMS, MFCC 0, ... of one utterance (n,), float32 (2 + K, T)."""
    size = {"frame_length": settings.frame, "hop_length": settings.hop}
    return np.concatenate([
        librosa.feature.zero_crossing_rate(samples, **size), librosa.feature.rms(y=samples, **size),
        librosa.feature.mfcc(y=samples, sr=settings.sample_rate, n_mfcc=settings.mfcc, n_fft=settings.frame,
                             hop_length=settings.hop, n_mels=settings.mels)]).astype(np.float32)


def apart(ours: np.ndarray, peer: np.ndarray) -> float:
    """Largest difference of features (B, rows, T), as a share of the standard deviation of its row."""
    return float((np.abs(ours - peer).max((0, 2)) / peer.std((0, 2))).max())


def floor(settings: Features) -> float:
    """Utterances a second of their FFTs and matrix products alone."""
    frames = frames_of(settings)
    filters = librosa.filters.mel(sr=settings.sample_rate, n_fft=settings.frame, n_mels=settings.mels)
    products = 2 * frames * (np.count_nonzero(filters) + settings.mels * settings.mfcc)
    return 1 / (frames / machine.ffts(settings.frame) + products / machine.multiplications(512, 512, 512))


def run(setting: Setting) -> Iterator[Row]:
    """One row: windows of real recordings in memory, in one batch."""
    use_one_thread()    # as the stage does
    extractor = Extractor(SETTINGS)
    files = setting.some(16 if setting.short else COUNT)
    windows = np.stack([fit_window(read_recording(path, SETTINGS.sample_rate).samples, extractor.length)[0]
                        for path in files])
    batch = torch.from_numpy(windows)
    with torch.inference_mode():
        turns = by_turns(lambda: extractor(batch).numpy(),
                         lambda: np.stack([by_librosa(window, SETTINGS) for window in windows]),
                         3 if setting.short else 9)
    ours, peer = turns.rates(len(files))
    far = apart(turns.our_result, turns.peer_result)
    yield Row("ZCR, RMS, 40 MFCC of 3 s", "utterances", ours, peer, ASKED, floor(SETTINGS),
              f"{frames_of(SETTINGS)} real FFTs of {SETTINGS.frame}, the mel filters' non-zero products and the DCT; "
              "between: framing and window, power, logarithm, crossings and RMS, each one pass through the cache",
              far <= LIMIT, f"{far:.1e} of a deviation")
