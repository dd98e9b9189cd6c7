"""What a model gains from knowing a voice: answers to a stranger's clips after n other clips of the same speaker.

No label is used, no clip is among those by which its own speaker is known, and no other figure counts these answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ser_ops.audio.signal import fit_windows
from ser_ops.config.model_json import input_of
from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation import bootstrap
from ser_ops.features.extractor import Extractor
from ser_ops.models.base import EmotionModel
from ser_ops.models.voices import Population, population_of
from ser_ops.seeds import generator

KnownClips = list[np.ndarray]   # of each utterance, the indices of the clips by which its speaker is known


@dataclass(frozen=True)
class Clips:
    """Clean utterances of a test: names, whole waveforms by name, speakers, and true class indices (n,)."""

    utterances: Sequence[str]
    waveforms: Mapping[str, np.ndarray]
    speakers: Sequence[str]
    true: np.ndarray


def drawn_clips(clips: Clips, number: int, seed: int) -> KnownClips:
    """Of each utterance `number` other clips of its speaker, drawn by its name; all, where there are no more."""
    others = _others(clips)
    return [generator(seed, "voice", utterance).permutation(others[index])[:number]
            for index, utterance in enumerate(clips.utterances)]


def clips_of_class(clips: Clips, emotion: int) -> KnownClips:
    """Of each utterance all other clips of its speaker in one emotion."""
    return [others[clips.true[others] == emotion] for others in _others(clips)]


def _others(clips: Clips) -> KnownClips:
    """Of each utterance all other clips of its speaker."""
    others, speakers = [np.empty(0, np.int64)] * len(clips.speakers), np.asarray(clips.speakers)
    for speaker in np.unique(speakers):
        own = np.flatnonzero(speakers == speaker)
        for index in own:
            others[index] = own[own != index]
    return others


def answers_of_known(model: EmotionModel, card: Mapping[str, Any], population: Population, clips: Clips,
                     known: Sequence[KnownClips], device: torch.device, batch_size: int) -> np.ndarray:
    """Class indices (len(known), n) that the model answers to n utterances, once for each way to know the speakers."""
    extractor, model = Extractor(input_of(card), source_rate=int(card["sample_rate"])), model.to(device).eval()
    every = np.arange(len(clips.utterances))
    batches = [every[start:start + batch_size] for start in range(0, len(every), batch_size)]

    def heard(indices: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        waveforms, valid = fit_windows([clips.waveforms[clips.utterances[index]] for index in indices],
                                       extractor.length)
        return torch.from_numpy(waveforms).to(device), torch.from_numpy(valid).to(device)

    with torch.inference_mode():
        contexts = torch.cat([model.context(*heard(indices)).float() for indices in batches])
        answers = np.empty((len(known), len(clips.utterances)), np.int64)
        for indices in batches:
            features = extractor(heard(indices)[0])
            for way, clips_known in enumerate(known):   # means of a batch alone: of all they fill the memory
                numbers = torch.tensor([float(len(clips_known[index])) for index in indices], device=device)
                means = torch.stack([contexts[clips_known[index]].sum(0) for index in indices])
                context = population(contexts[indices], means / numbers.clamp_min(1)[:, None], numbers)
                answers[way, indices] = model.classify(context, features).argmax(1).cpu().numpy()
    return answers


def known_voices(model: EmotionModel, card: Mapping[str, Any], clips: Clips, numbers: Sequence[int], seed: int,
                 resamples: bootstrap.Resamples, confidence: float, device: torch.device,
                 batch_size: int) -> dict[str, Any]:
    """Figures of one model by how well it knows the voice that it hears; empty for a model that cannot.

    Args:
        model, card: a trained network and its model.json.
        clips: the test.
        numbers: of clips by which a speaker is known, in turn.
        seed: by which they are drawn.
        resamples, confidence: of the intervals.

    Returns:
        first: UAR of a stranger's clip, with its interval; after: for each number {clips, uar, uar_low, uar_high},
        over_first{,_low,_high}, the paired difference, and `fewer`, utterances whose speaker has not so many others;
        one_emotion: UAR where a speaker is known by all other clips of one emotion, the mean over emotions (uar), and
        which is the worst (emotion, worst).
    """
    population = population_of(model)
    if population is None:
        return {}
    ways = [[np.empty(0, np.int64)] * len(clips.utterances),
            *(drawn_clips(clips, number, seed) for number in numbers),
            *(clips_of_class(clips, emotion) for emotion in np.unique(clips.true))]
    answers = answers_of_known(model, card, population, clips, ways, device, batch_size)
    right = (answers == clips.true).astype(np.float64)
    uars = [bootstrap.point_uar(resamples, each) for each in right]

    def figures(way: int) -> dict[str, float]:
        low, high = bootstrap.percentile_interval(resamples.uar(right[way]), confidence)
        return {"uar": uars[way], "uar_low": low, "uar_high": high}

    after = []
    for way, number in enumerate(numbers, 1):
        over = bootstrap.compare_paired(resamples, right[0], right[way], confidence)
        after.append({"clips": number, **figures(way), "over_first": over.difference, "over_first_low": over.low,
                      "over_first_high": over.high, "fewer": sum(len(others) < number for others in ways[way])})
    by_class = dict(zip(np.unique(clips.true).tolist(), uars[1 + len(numbers):], strict=True))
    worst = min(by_class, key=lambda emotion: by_class[emotion])
    return {"first": figures(0), "after": after,
            "one_emotion": {"uar": float(np.mean(list(by_class.values()))), "emotion": EMOTIONS[worst],
                            "worst": by_class[worst]}}
