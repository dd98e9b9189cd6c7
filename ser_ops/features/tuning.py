"""How far an utterance is off concert pitch: librosa's estimate_tuning, for a batch.

Peaks of the spectrum vote: each is a fraction of a semitone off the nearest note of A440, and the hundredth of a
semitone with the most votes wins. Peaks: local maxima between 150 and 4,000 Hz, at least a tenth of their frame's
largest value and no weaker than the median peak of the utterance, their place refined by a parabola. An utterance
with no peak counts as in tune. librosa looks for peaks in the power spectrum here, and so does this.
"""

import math

import torch
from torch import Tensor

from ser_ops.config import Window
from ser_ops.features.sorting import ascending

STEPS = 100                 # hundredths of a semitone, from -0.5 up
_LOWEST, _HIGHEST = 150.0, 4000.0
_SHARE = 0.1                # of the frame's largest value


def tuning_step(power: Tensor, settings: Window) -> Tensor:
    """The winning hundredth of each utterance, int64 of shape (B,), 0 to 99: step s is (s - 50) / 100 of a semitone.

    power: (B, T, 1 + frame // 2). Of several steps with equally many votes the lowest wins. The votes are few, and
    rounding can move one that lies on the border of two steps: then another step, far away, may win.
    """
    utterance, hertz, height = _peaks(power, settings)
    loud = height >= _median(height, utterance, len(power))[utterance]
    utterance, hertz = utterance[loud], hertz[loud]
    semitones = torch.remainder(12 * torch.log2(hertz / 27.5), 1.0)     # 27.5: the A four octaves below 440
    semitones = torch.where(semitones >= 0.5, semitones - 1, semitones)
    edges = torch.linspace(-0.5, 0.5, STEPS + 1, dtype=torch.float64, device=power.device)
    step = (torch.bucketize(semitones.double(), edges, right=True) - 1).clamp(0, STEPS - 1)
    votes = torch.bincount(utterance * STEPS + step, minlength=len(power) * STEPS).reshape(-1, STEPS)
    lowest_first = torch.arange(STEPS - 1, -1, -1, device=power.device)
    winner = (votes * STEPS + lowest_first).argmax(1)
    return torch.where(votes.sum(1) > 0, winner, STEPS // 2)


def _peaks(power: Tensor, settings: Window) -> tuple[Tensor, Tensor, Tensor]:
    """Of every peak: its utterance (int64, rising), its frequency in hertz and its height (float32)."""
    step = settings.sample_rate / settings.frame
    highest = min(_HIGHEST, settings.sample_rate / 2)
    first, end = max(1, math.ceil(_LOWEST / step)), min(math.ceil(highest / step), power.shape[-1] - 1)
    here, before, after = power[..., first:end], power[..., first - 1:end - 1], power[..., first + 1:end + 1]
    found = (here > before) & (here >= after) & (here > _SHARE * power.amax(-1, keepdim=True))
    utterance, frame, place = found.nonzero(as_tuple=True)
    here, before, after = (one[utterance, frame, place] for one in (here, before, after))
    bend, slope = after + before - 2 * here, (after - before) / 2
    shift = torch.where(slope.abs() >= bend.abs(), 0, -slope / bend)
    return utterance, ((place + first + shift.double()) * step).float(), here + 0.5 * slope * shift


def _median(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """Median of each group's values, (groups,), infinite for one that has none; `group` rises."""
    counts = torch.bincount(group, minlength=groups)
    place = torch.arange(len(group), device=group.device) - (counts.cumsum(0) - counts)[group]
    table = values.new_full((groups, max(1, int(counts.max()))), torch.inf)
    table[group, place] = values
    table = ascending(table)
    middle = torch.stack([(counts - 1).clamp_min(0) // 2, counts // 2], dim=1)
    return table.gather(1, middle.clamp_max(table.shape[1] - 1)).mean(1)
