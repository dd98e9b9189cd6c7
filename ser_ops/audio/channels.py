"""From several channels to one: their mean, or where that loses the speech, the channel that holds it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ser_ops.audio.decoders import Block, Decoder
from ser_ops.errors import UserError

# Between what the mean of two independent channels loses against one of them (3 dB) and what it loses where one of the
# two is silent (6 dB).
MEAN_LOSS_DB = 4.5
_FRAME_SECONDS = 0.02
_HELD_VALUES = 16_000_000       # samples times channels kept while the choice is open: 64 MB


class _Loudness:
    """Energies of each channel and of their mean, of the first difference: an offset and rumble do not count."""

    def __init__(self, channels: int) -> None:
        self.frames = 0
        self.sums, self.squares = np.zeros(channels), np.zeros(channels)
        self.mean = 0.0

    def add(self, samples: np.ndarray, rate: int) -> None:
        """Count float samples (n, channels) at `rate` hertz."""
        steps = np.diff(samples, axis=0).astype(np.float64)
        length = max(1, round(_FRAME_SECONDS * rate))
        whole = len(steps) // length * length
        if whole:
            energies = np.square(steps[:whole]).reshape(-1, length, samples.shape[1]).sum(axis=1)
            self.frames += len(energies)
            self.sums += energies.sum(axis=0)
            self.squares += np.square(energies).sum(axis=0)
            self.mean += float(np.square(steps[:whole].mean(axis=1)).sum())

    def choice(self) -> tuple[int, float] | None:
        """The channel to take and what the mean loses against the loudest one (dB); None: the mean is good.

        Speech rises and falls with its syllables, as hum and hiss do not: taken is the channel whose energy over
        frames of 20 ms varies most, by its standard deviation.
        """
        loudest = float(self.sums.max())
        if loudest <= 0:
            return None
        loss = 10 * np.log10(loudest / max(self.mean, 1e-12 * loudest))
        if loss < MEAN_LOSS_DB:
            return None
        variance = self.squares / self.frames - np.square(self.sums / self.frames)
        return int(variance.argmax()), float(loss)


class Mono:
    """One channel of a recording, block by block: the one asked for, the mean of all, or the one with the speech.

    channel: from 1 on; None leaves the choice open. Where it is open a recording of several channels is heard whole
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
        taken = self.channel
        if taken is None and self.channels > 1:
            taken, held, whole = self._choose(first, blocks)
            blocks = iter(held) if whole else self.decoder.blocks()
        else:
            yield first[0], _one(first[1], taken)
        for rate, frames in blocks:
            yield rate, _one(frames, taken)

    def _choose(self, first: Block, blocks: Iterator[Block]) -> tuple[int | None, list[Block], bool]:
        """The channel to take, None for the mean; the blocks, and whether they are all that there are."""
        loudness, held, values, whole = _Loudness(self.channels), [first], first[1].size, True
        loudness.add(first[1], first[0])
        for rate, frames in blocks:
            if frames.shape[1] == self.channels:
                loudness.add(frames, rate)
            values += frames.size
            whole = values <= _HELD_VALUES
            held = [*held, (rate, frames)] if whole else []
        choice = loudness.choice()
        if choice is None:
            return None, held, whole
        channel, loss = choice
        self._chosen.append(
            f"the mean of its {self.channels} channels is {loss:.0f} dB below the loudest of them: channel "
            f"{channel + 1}, which holds the speech, is heard alone (--channel chooses another)")
        return channel + 1, held, whole


def _one(frames: np.ndarray, channel: int | None) -> np.ndarray:
    """Channel `channel` (from 1) of float32 frames (n, channels), or the mean of all."""
    if frames.shape[1] == 1:
        return frames[:, 0]
    if channel is None or channel > frames.shape[1]:
        return frames.mean(axis=1, dtype=np.float32)
    return frames[:, channel - 1]
