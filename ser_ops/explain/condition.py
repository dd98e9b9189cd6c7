"""One utterance as a model hears it under one condition, and the model's answer to sound rather than to features.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ser_ops.audio.signal import fit, fit_all
from ser_ops.dataset.examples import Batch, assemble
from ser_ops.dataset.rows import Row
from ser_ops.explain.subject import Subject
from ser_ops.features.extractor import Extractor
from ser_ops.noise.mixing import Mixture

CLEAN = "clean"    # the condition without noise

Mix = Callable[[str, np.ndarray, str, float, int, str], Mixture]


@dataclass(frozen=True)
class Heard:
    """The window of one clip: float32 (N,) at the subject's sample rate, zero padded beyond `valid` samples.

    clean: the same window without the noise, (N,). noise is CLEAN where none was added; snr_db is None then. batch is
    the clip as the model takes it, a batch of one on the subject's device. start: of the window in its utterance, in
    seconds.
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
    start: float = 0.0

    @property
    def key(self) -> str:
        """Names the clip and its condition: what seeds are derived from."""
        return f"{self.row.utterance}|{self.noise}|{self.intensity:g}|{self.seed}"


def hear(subject: Subject, row: Row, speech: np.ndarray, mix: Mix | None = None, noise: str = CLEAN,
         intensity: float = 0.0, seed: int | None = None) -> Heard:
    """The middle window of an utterance (n,), mixed as evaluation mixes it: the whole utterance first, then the window.

    mix: what `noise.mixing.Mixer` is; noise recordings of the test partition are taken. A row without an emotion, as of
    a recording that nobody has labelled, has the label -1.
    """
    return hear_all(subject, row, speech, [(noise, intensity)], mix, seed)[0]


def hear_all(subject: Subject, row: Row, speech: np.ndarray, conditions: Sequence[tuple[str, float]],
             mix: Mix | None = None, seed: int | None = None) -> list[Heard]:
    """`hear` under each condition, a noise (CLEAN for none) and its intensity; features are made in one go."""
    extractor, mixtures = Extractor(subject.features, subject.sample_rate), list[Mixture | None]()
    for noise, intensity in conditions:
        if noise != CLEAN and (mix is None or seed is None):
            raise ValueError(f"{noise}: a noisy condition needs a mixer and a seed")
        mixtures.append(None if noise == CLEAN or mix is None or seed is None
                        else mix(row.utterance, speech, noise, intensity, seed, "test"))
    samples = [speech if mixture is None else mixture.samples for mixture in mixtures]
    windows, valid = fit_all(samples, extractor.length)     # copies: no part of the store's memory map
    clean, label = fit(speech, extractor.length)[0].copy(), np.array([row.label if row.emotion else -1], np.int64)
    with torch.inference_mode():
        features = extractor(torch.from_numpy(windows).to(subject.device)).cpu()
    start = max(0, len(speech) - extractor.length) // 2 / subject.sample_rate
    return [Heard(row, noise, intensity, None if mixture is None else seed,
                  None if mixture is None else mixture.snr_db, windows[place], clean, int(valid[place]),
                  assemble([samples[place]], features[place:place + 1].clone(), [row], label,
                           extractor.length).to(subject.device), start)
            for place, ((noise, intensity), mixture) in enumerate(zip(conditions, mixtures, strict=True))]


@torch.no_grad()
def contexts(subject: Subject, clips: Sequence[Heard], batch_size: int) -> Tensor:
    """What the model's waveform stream makes of each clip: (n, H), H is 0 for a model without one."""
    batches = [one.batch for one in clips]
    return torch.cat([subject.model.context(torch.cat([one.waveform for one in batches[first:first + batch_size]]),
                                            torch.cat([one.valid for one in batches[first:first + batch_size]]))
                      for first in range(0, len(batches), batch_size)])


@torch.no_grad()
def answers(subject: Subject, clips: Sequence[Heard], context: Tensor) -> np.ndarray:
    """Probabilities of the seven classes of each clip, float64 (n, 7); `context` (n, H) as `contexts` gives it."""
    logits = subject.model.classify(context, torch.cat([one.batch.features for one in clips]))
    return logits.double().softmax(-1).cpu().numpy()


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
