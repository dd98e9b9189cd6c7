"""Occlusion over the waveform: mute a moment and measure what the class loses (paper 1, figure 3c)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ser_ops.config.explaining import Explain
from ser_ops.explain.question import Explanation, Question
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace


@dataclass(frozen=True)
class Occlusion:
    """Middle of each muted stretch in seconds (s,), and the probability that the class lost by it (may be below 0).

    Both float64. Stretches that overlap are not averaged: a value is what one stretch has lost.
    """

    seconds: np.ndarray
    drop: np.ndarray


def occlude(probability: Callable[[Tensor], Tensor], window: Tensor, valid: int, sample_rate: int, width: float,
            hop: float) -> Occlusion:
    """Mute `width` seconds at a time, every `hop` seconds, and measure what the class loses.

    `probability` takes windows (b, n) to the explained class's probability (b,); `window` has shape (n,), padding from
    `valid` on. Padding is silent already: the last stretch reaches into it by its own width at most, and beyond it, up
    to the end of the window, nothing is lost.
    """
    stretch, step = max(1, round(width * sample_rate)), max(1, round(hop * sample_rate))
    reach = min(len(window), valid + stretch)
    starts = np.arange(0, max(1, reach - stretch + 1), step)
    windows = window.repeat(len(starts) + 1, 1)
    for muted, start in zip(windows[1:], starts, strict=True):
        muted[start:start + stretch] = 0
    chances = probability(windows).double().cpu().numpy()
    seconds, drop = np.minimum(starts + stretch / 2, reach) / sample_rate, chances[0] - chances[1:]
    if reach < len(window):
        seconds, drop = np.append(seconds, reach / sample_rate), np.append(drop, 0.0)
    return Occlusion(seconds, drop)


def explain(question: Question) -> Explanation:
    """Loss of probability; features are computed from the muted sound, and every stream hears it."""
    clip, settings = question.clip, question.settings

    def probability(windows: Tensor) -> Tensor:
        return question.classify_windows(windows, clip.batch.valid.expand(len(windows))).double().softmax(1)[
            :, question.target]

    occlusion = occlude(probability, torch.from_numpy(clip.window), clip.valid, question.subject.sample_rate,
                        settings.occlusion_seconds, settings.occlusion_hop)
    return Explanation(Trace("occlusion", occlusion.seconds, occlusion.drop, "loss of probability"))


def blur(_subject: Subject, settings: Explain) -> float:
    """Seconds of sound behind one moment: the stretch that is muted."""
    return settings.occlusion_seconds
