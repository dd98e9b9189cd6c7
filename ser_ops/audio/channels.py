"""From several channels to one: their mean, or where that loses the speech, the channel that holds it.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from ser_ops.audio.decoders import Block, Decoder
from ser_ops.errors import UserError

# Between what the mean of two independent channels loses against one of them (3 dB) and what it loses where one of the
# two is silent (6 dB).
MEAN_LOSS_DB = 4.5
_FRAME_SECONDS = 0.02
_AS_LIKE = 0.6          # of the likeness to speech of the channel that is most like it
_HELD_VALUES = 16_000_000       # samples times channels kept while the choice is open: 64 MB


class _Loudness:
    """Energies of each channel and of their mean, of the first difference: an offset and rumble do not count."""

    def __init__(self, channels: int) -> None:
        self.frames, self.mean = 0, 0.0
        self.energies, self.amplitudes = np.zeros(channels), np.zeros(channels)

    def add(self, samples: np.ndarray, rate: int) -> None:
        """Count float samples (n, channels) at `rate` hertz."""
        steps = np.diff(samples, axis=0).astype(np.float64)
        length = max(1, round(_FRAME_SECONDS * rate))
        whole = len(steps) // length * length
        if whole:
            energies = np.square(steps[:whole]).reshape(-1, length, samples.shape[1]).sum(axis=1)
            self.frames += len(energies)
            self.energies += energies.sum(axis=0)
            self.amplitudes += np.sqrt(energies).sum(axis=0)
            self.mean += float(np.square(steps[:whole].mean(axis=1)).sum())

    def choice(self) -> tuple[int, float] | None:
        """The channel to take and what the mean loses against the loudest one (dB); None: the mean is good.

        The amplitude of speech over frames of 20 ms deviates by about as much as its mean: hum and hiss vary far less,
        a click now and then far more. Taken is the loudest of the channels that are most like that.
        """
        loudest = float(self.energies.max())
        if loudest <= 0:
            return None
        loss = 10 * np.log10(loudest / max(self.mean, 1e-12 * loudest))
        if loss < MEAN_LOSS_DB:
            return None
        powers = np.square(self.amplitudes / self.frames)
        ratios = np.divide(self.energies / self.frames, powers, out=np.ones_like(powers), where=powers > 0)
        variation = np.sqrt(np.maximum(ratios - 1, 1e-12))
        likeness = np.minimum(variation, 1 / variation)
        likely = likeness >= _AS_LIKE * likeness.max()
        return int(np.where(likely, self.energies, -1.0).argmax()), float(loss)


class Mono:
    """One channel of a recording, block by block: the one asked for, the mean of all, or the one with the speech.

    channel: from 1 on; None leaves the choice open. Where it is open a recording of several channels is decoded whole
    before its first block comes: kept in memory while it is short, decoded twice when it is long.
    """

    def __init__(self, path: Path, channel: int | None = None) -> None:
        self.path, self.channel = path, channel
        self.decoder = Decoder(path)
        self.channels = 0
        self._chosen: list[str] = []

    @property
    def warnings(self) -> list[str]:
        """What a user must know of the file and of the channel; complete when `blocks` has ended."""
        return [*self.decoder.warnings, *self._chosen]

    def blocks(self) -> Iterator[Block]:
        """Sample rate (hertz) and float32 samples (n,), in order. Raises UserError for a channel that is not there."""
        self._chosen = []
        blocks = self.decoder.blocks()
        first = next(blocks, None)
        if first is None:
            return
        self.channels = first[1].shape[1]
        if self.channel is not None and not 1 <= self.channel <= self.channels:
            raise UserError(f"{self.path}: has {self.channels} channel{'s' if self.channels > 1 else ''}, no channel "
                            f"{self.channel}: choose 1 to {self.channels}")
        taken: dict[int, int] = {} if self.channel is None else {self.channels: self.channel}
        rest = chain([first], blocks)
        if self.channel is None and (self.channels > 1 or len(self.decoder.container.parts) > 1):
            taken, held = self._choose(rest)
            rest = chain(held) if held else chain(self.decoder.blocks())
        for rate, frames in rest:
            yield rate, _one_channel(frames, taken.get(frames.shape[1]))

    def _choose(self, blocks: Iterator[Block]) -> tuple[dict[int, int], list[Block]]:
        """The channel to take by how many there are, none for the mean; the blocks, none where they are too many."""
        loudness: dict[int, _Loudness] = {}
        held, values = list[Block](), 0
        for rate, frames in blocks:
            number = frames.shape[1]
            loudness.setdefault(number, _Loudness(number)).add(frames, rate)
            values += frames.size
            if values <= _HELD_VALUES:
                held.append((rate, frames))
            else:
                held.clear()
        taken: dict[int, int] = {}
        for number, counted in loudness.items():
            if number > 1 and (choice := counted.choice()):
                taken[number] = choice[0] + 1
                self._chosen.append(
                    f"the mean of its {number} channels is {choice[1]:.0f} dB below the loudest of them: only channel "
                    f"{taken[number]}, which is most like speech, is used (--channel chooses another)")
        return taken, held


def _one_channel(frames: np.ndarray, channel: int | None) -> np.ndarray:
    """Channel `channel` (from 1) of float32 frames (n, channels), or the mean of all."""
    if frames.shape[1] == 1:
        return frames[:, 0]
    if channel is None:
        return frames.mean(axis=1, dtype=np.float32)
    return frames[:, channel - 1]
