"""Exact Shapley values of a model's streams: what each of them adds to the score of one clip.

Shapley, 1953: with n streams there are 2^n coalitions. All of them are asked (16 for Wav2Vec 2.0, MFCC, ZCR and RMS),
so nothing is sampled. Paper 1 claims that its fusion 'shifts attention between temporal and spectral cues'; these
numbers test that claim.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import factorial

import numpy as np
import torch
from torch import Tensor

from ser_ops.config.models import Features, Stacked, Window
from ser_ops.explain.background import Background
from ser_ops.explain.clip import Clip
from ser_ops.explain.subject import Subject
from ser_ops.features.index_map import grid, shape_of
from ser_ops.features.paper2 import CHROMA, mel_rows

WAVEFORM = "wav2vec"
UNIT = "log odds (logit less the mean of all seven)"


@dataclass(frozen=True)
class StreamValues:
    """Shapley values by stream, in the unit of the score; base + sum of phi = score.

    base: the score with every stream absent; score: with all of them, the model's own.
    """

    phi: dict[str, float]
    base: float
    score: float
    unit: str = UNIT


def stream_shapley(subject: Subject, clips: Sequence[Clip], context: Tensor, target: int, background: Background,
                   batch_size: int) -> list[StreamValues] | None:
    """Shapley values of the streams of each clip for class `target`: all coalitions of all clips, batch by batch.

    context: (n, H), as `clip.waveform_contexts` gives it. The score is the class's logit less the mean of all seven.
    An absent kind of features is the background's mean of each of its values, an absent waveform stream the mean of the
    background's contexts: what a stream says of no utterance in particular. Such a mixture may be like no real sound.
    None for a model without streams to compare (`stream_masks`).
    """
    masks = stream_masks(subject)
    if masks is None:
        return None
    features = torch.cat([clip.batch.features for clip in clips])
    return shapley_of_inputs(subject.model.classify, masks, features, context, background, target, batch_size)


def stream_masks(subject: Subject) -> dict[str, Tensor | None] | None:
    """The streams of a model: where each lies in the features, bool (*shape_of(features)); None for the waveform's.

    None for a model that hears one stream alone, or an image.
    """
    settings, masks = subject.features, dict[str, Tensor | None]()
    if "spectral" in subject.model.streams and isinstance(settings, Features):
        if WAVEFORM in subject.model.streams:
            masks[WAVEFORM] = None
        rows = {"mfcc": slice(2, None), "zcr": slice(0, 1), "rms": slice(1, 2)}
        return masks | {name: _mask_of(settings, grid(settings)[kinds]) for name, kinds in rows.items()}
    if "stacked" in subject.model.streams and isinstance(settings, Stacked):
        mel, index = mel_rows(settings), np.arange(int(np.prod(shape_of(settings)))).reshape(shape_of(settings))
        stack = {"mfcc": slice(0, settings.mfcc), "chroma": slice(settings.mfcc, settings.mfcc + CHROMA), "mel": mel,
                 "contrast": slice(mel.stop, None)}
        return {name: _mask_of(settings, index[kinds]) for name, kinds in stack.items()}
    return None


def _mask_of(settings: Window, indices: np.ndarray) -> Tensor:
    flat = torch.zeros(int(np.prod(shape_of(settings))), dtype=torch.bool)
    flat[torch.from_numpy(indices.reshape(-1))] = True
    return flat.reshape(shape_of(settings))


@torch.no_grad()
def shapley_of_inputs(classify: Callable[[Tensor, Tensor], Tensor], masks: dict[str, Tensor | None], features: Tensor,
                      context: Tensor, background: Background, target: int, batch_size: int = 64) -> list[StreamValues]:
    """Shapley values of the streams with these `stream_masks`, for features (n, ...) and context (n, H)."""
    present = coalitions(len(masks))
    absent_features, absent_context = background.features.mean(0), background.context.mean(0)
    clips = np.repeat(np.arange(len(features)), len(present))
    absent = torch.from_numpy(~np.tile(present, (len(features), 1))).to(features.device)
    scores = list[Tensor]()
    for first in range(0, len(clips), batch_size):
        rows, without = torch.from_numpy(clips[first:first + batch_size]), absent[first:first + batch_size]
        mixed, contexts = features[rows], context[rows].clone()
        for player, mask in enumerate(masks.values()):
            if mask is None:
                contexts[without[:, player]] = absent_context
            else:
                player_absent = without[:, player].reshape(-1, *[1] * mask.ndim)
                mixed = torch.where(mask.to(features.device) & player_absent, absent_features, mixed)
        logits = classify(contexts, mixed).double()
        scores.append((logits - logits.mean(1, keepdim=True))[:, target])
    values = torch.cat(scores).reshape(len(features), len(present)).cpu().numpy()
    return [StreamValues({name: float(phi) for name, phi in zip(masks, shapley_values(clip_values), strict=True)},
                         float(clip_values[0]), float(clip_values[-1])) for clip_values in values]


def coalitions(players: int) -> np.ndarray:
    """Who is present in each of the 2^n coalitions: bool (2^n, n); row r holds player p where bit p of r is set.

    >>> coalitions(2).tolist()
    [[False, False], [True, False], [False, True], [True, True]]
    """
    return (np.arange(2 ** players)[:, None] >> np.arange(players) & 1).astype(bool)


def shapley_values(values: np.ndarray) -> np.ndarray:
    """Shapley values (n,) from the value of every coalition, (2^n,) in the order of `coalitions`.

    >>> shapley_values(np.array([1.0, 3.0, 1.0, 7.0]))     # player 0 adds 2 alone and 6 beside the other player
    array([4., 2.])
    """
    players = len(values).bit_length() - 1
    if len(values) != 2 ** players:
        raise ValueError(f"{len(values)} values are not those of all coalitions: there are a power of 2 of these")
    present = coalitions(players)
    sizes, rows = present.sum(1), np.arange(len(values))
    phi = np.empty(players)
    for player in range(players):
        without = rows[~present[:, player]]
        weight = np.array([factorial(s) * factorial(players - s - 1) for s in sizes[without]]) / factorial(players)
        phi[player] = weight @ (values[without | 1 << player] - values[without])
    return phi
