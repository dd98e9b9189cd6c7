"""One clip: the window of an utterance that a model hears under one condition, and what the model answers to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ser_ops.audio.signal import fit_window, fit_windows
from ser_ops.dataset.examples import Batch, assemble
from ser_ops.explain.subject import Subject
from ser_ops.features.extractor import Extractor
from ser_ops.manifest import VariantRow
from ser_ops.noise.mixing import Mixture

CLEAN = "clean"    # the condition without noise

Mix = Callable[[str, np.ndarray, str, float, int, str], Mixture]


@dataclass(frozen=True)
class Clip:
    """A window of an utterance under one condition.

    noise      CLEAN where none was added; seed and snr_db are None then
    intensity  of the noise, as the protocol counts it
    snr_db     of the mixture
    window     float32 (N,) at the subject's sample rate, zero padded beyond `valid` samples
    clean      the same window without the noise, (N,)
    batch      the clip as the model takes it: a batch of one on the subject's device
    start      of the window in its utterance, in seconds
    """

    row: VariantRow
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
        """Names the utterance and its condition: seeds are derived from it."""
        return f"{self.row.utterance}|{self.noise}|{self.intensity:g}|{self.seed}"


def make_clip(subject: Subject, row: VariantRow, speech: np.ndarray, mix: Mix | None = None, noise: str = CLEAN,
              intensity: float = 0.0, seed: int | None = None) -> Clip:
    """The middle window of an utterance (n,), mixed as evaluation mixes it: the whole utterance first, then the window.

    mix: a `noise.mixing.Mixer`, which is asked for noise recordings of the test partition. A row without an emotion, as
    of a recording that nobody has labelled, has the label -1. Raises ValueError for noise without a mixer and a seed.
    """
    return make_clips(subject, row, speech, [(noise, intensity)], mix, seed)[0]


def make_clips(subject: Subject, row: VariantRow, speech: np.ndarray, conditions: Sequence[tuple[str, float]],
               mix: Mix | None = None, seed: int | None = None) -> list[Clip]:
    """`make_clip` under each condition, a noise (CLEAN for none) and its intensity; features are computed in one batch.
    """
    extractor, mixtures = Extractor(subject.features, subject.sample_rate), list[Mixture | None]()
    for noise, intensity in conditions:
        if noise != CLEAN and (mix is None or seed is None):
            raise ValueError(f"{noise}: a noisy condition needs a mixer and a seed")
        mixtures.append(None if noise == CLEAN or mix is None or seed is None
                        else mix(row.utterance, speech, noise, intensity, seed, "test"))
    samples = [speech if mixture is None else mixture.samples for mixture in mixtures]
    windows, valid = fit_windows(samples, extractor.length)     # copies: no part of the store's memory map
    clean = fit_window(speech, extractor.length)[0].copy()
    label = np.array([row.label if row.emotion else -1], np.int64)
    with torch.inference_mode():
        features = extractor(torch.from_numpy(windows).to(subject.device)).cpu()
    start = max(0, len(speech) - extractor.length) // 2 / subject.sample_rate
    clips = []
    for i, ((noise, intensity), mixture) in enumerate(zip(conditions, mixtures, strict=True)):
        batch = assemble([samples[i]], features[i:i + 1].clone(), [row], label, extractor.length).to(subject.device)
        clips.append(Clip(row, noise, intensity, None if mixture is None else seed,
                          None if mixture is None else mixture.snr_db, windows[i], clean, int(valid[i]), batch, start))
    return clips


@torch.no_grad()
def waveform_contexts(subject: Subject, clips: Sequence[Clip], batch_size: int) -> Tensor:
    """What the model's waveform stream makes of each clip: (n, H); H is 0 for a model without one."""
    contexts = []
    for first in range(0, len(clips), batch_size):
        batches = [clip.batch for clip in clips[first:first + batch_size]]
        contexts.append(subject.model.context(torch.cat([batch.waveform for batch in batches]),
                                              torch.cat([batch.valid for batch in batches])))
    return torch.cat(contexts)


@torch.no_grad()
def class_probabilities(subject: Subject, clips: Sequence[Clip], context: Tensor) -> np.ndarray:
    """Probabilities of the seven classes for each clip, float64 (n, 7).

    context: (n, H), as `waveform_contexts` gives it.
    """
    logits = subject.model.classify(context, torch.cat([clip.batch.features for clip in clips]))
    return logits.double().softmax(-1).cpu().numpy()


class WindowClassifier:
    """Windows float32 (b, N) and their valid samples (b,) to logits (b, 7): features are computed from each window."""

    def __init__(self, subject: Subject, batch_size: int) -> None:
        self.subject, self.batch_size = subject, batch_size
        self.extractor = Extractor(subject.features, subject.sample_rate)

    @torch.no_grad()
    def __call__(self, windows: Tensor, valid: Tensor) -> Tensor:
        logits = []
        for first in range(0, len(windows), self.batch_size):
            batch = windows[first:first + self.batch_size].to(self.subject.device)
            lengths = valid[first:first + self.batch_size].to(self.subject.device)
            logits.append(self.subject.model(batch, lengths, self.extractor(batch)))
        return torch.cat(logits)
