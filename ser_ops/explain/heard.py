"""One utterance as a model hears it under one condition, and the model's answer to sound rather than to features."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ser_ops.audio.window import fit
from ser_ops.dataset.examples import Batch, assemble
from ser_ops.dataset.rows import Row
from ser_ops.explain.subject import Subject
from ser_ops.features.extractor import Extractor
from ser_ops.noise.mixing import Mixture

Mix = Callable[[str, np.ndarray, str, float, int, str], Mixture]


@dataclass(frozen=True)
class Heard:
    """The window of one clip: float32 (N,) at the subject's sample rate, zero padded beyond `valid` samples.

    clean: the same window without the noise, (N,). noise is "clean" where none was added; snr_db is None then. batch is
    the clip as the model takes it, a batch of one on the subject's device.
    """

    row: Row
    noise: str
    intensity: float
    seed: int | None
    snr_db: float | None
    window: np.ndarray
    clean: np.ndarray
    valid: int
    batch: Batch

    @property
    def key(self) -> str:
        """Names the clip and its condition: what seeds are derived from."""
        return f"{self.row.utterance}|{self.noise}|{self.intensity:g}|{self.seed}"


def hear(subject: Subject, row: Row, speech: np.ndarray, mix: Mix | None = None, noise: str = "clean",
         intensity: float = 0.0, seed: int | None = None) -> Heard:
    """The middle window of an utterance (n,), mixed as evaluation mixes it: the whole utterance first, then the window.

    mix: what `noise.mixing.Mixer` is; noise recordings of the test partition are taken. A row without an emotion, as of
    a recording that nobody has labelled, has the label -1.
    """
    extractor, mixture = Extractor(subject.features, subject.sample_rate), None
    if noise != "clean":
        if mix is None or seed is None:
            raise ValueError(f"{noise}: a noisy condition needs a mixer and a seed")
        mixture = mix(row.utterance, speech, noise, intensity, seed, "test")
    samples = speech if mixture is None else mixture.samples
    (window, valid), (clean, _) = fit(samples, extractor.length), fit(speech, extractor.length)
    window, clean = window.copy(), clean.copy()     # not a part of the store's memory map
    with torch.inference_mode():
        features = extractor(torch.from_numpy(window)[None].to(subject.device)).cpu()
    batch = assemble([samples], features.clone(), [row],
                     np.array([row.label if row.emotion else -1], np.int64), extractor.length)
    return Heard(row, noise, intensity, seed, None if mixture is None else mixture.snr_db, window, clean, int(valid),
                 batch.to(subject.device))


class Answering:
    """Windows float32 (b, N) and their valid samples (b,) to logits (b, 7): features are made anew of each window."""

    def __init__(self, subject: Subject, batch_size: int) -> None:
        self.subject, self.batch_size = subject, batch_size
        self.extractor = Extractor(subject.features, subject.sample_rate)

    @torch.no_grad()
    def __call__(self, windows: Tensor, valid: Tensor) -> Tensor:
        found = []
        for start in range(0, len(windows), self.batch_size):
            some = windows[start:start + self.batch_size].to(self.subject.device)
            lengths = valid[start:start + self.batch_size].to(self.subject.device)
            found.append(self.subject.model(some, lengths, self.extractor(some)))
        return torch.cat(found)
