"""A voice activity detector: the probability that somebody speaks, for each moment of 32 ms, and segments of speech.

The network is Silero VAD 6 (Silero Team 2024, MIT licence), at 16 kHz. Its weights come from the package silero-vad,
which training needs; a model folder carries a copy, so that a model tells speech from noise everywhere alike. Here all
moments of a block go through the convolutions together. The answers are those of its ONNX file.
"""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from ser_ops.config.services import Speech
from ser_ops.errors import UserError
from ser_ops.files import replacing, sha256

RATE = 16000        # hertz
MOMENT = 512        # samples
WEIGHTS = "speech.safetensors"      # in a model folder
_CONTEXT = 64       # samples before a moment that are heard with it
_RESTORE = "restore the folder, or train the model again"


@dataclass(frozen=True)
class Segment:
    """A stretch of speech, from `start` to `end` in seconds."""

    start: float
    end: float

    def overlap(self, start: float, end: float) -> float:
        """Seconds that it shares with [start, end)."""
        return max(0.0, min(self.end, end) - max(self.start, start))


class _Network(nn.Module):
    """Magnitudes of a short Fourier transform, four convolutions, an LSTM over moments, and a logistic unit."""

    def __init__(self) -> None:
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 258, 256, 128, bias=False)
        self.conv1 = nn.Conv1d(129, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, 2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, 2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm_cell = nn.LSTM(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(self, moments: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Moments, float32 (T, _CONTEXT + MOMENT), and the state before: probabilities (T,), and the state after."""
        real, imaginary = self.stft_conv(functional.pad(moments[:, None], (0, _CONTEXT), "reflect")).chunk(2, dim=1)
        values = (real.square() + imaginary.square()).sqrt()
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            values = layer(values).relu()
        hidden, state = self.lstm_cell(values[..., 0], state)
        return self.final_conv(hidden.relu().T).sigmoid()[0], state


class Detector:
    """Tells where somebody speaks, by weights that lie in a model folder."""

    def __init__(self, folder: Path, digest: str) -> None:
        """digest: SHA-256 of the weights, as model.json has it. Raises UserError where they are not those."""
        file = folder / WEIGHTS
        self.network = _Network()
        expected = {_in_file(name): tensor for name, tensor in self.network.state_dict().items()}
        try:
            if sha256(file) != digest:
                raise UserError(f"{file}: not the weights that model.json was written for: {_RESTORE}")
            weights = load_file(file)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{file}: cannot be read ({error}): {_RESTORE}") from error
        if {name: tensor.shape for name, tensor in weights.items()} != {
                name: tensor.shape for name, tensor in expected.items()}:
            raise UserError(f"{file}: not the weights of a detector of speech: {_RESTORE}")
        self.network.load_state_dict({name: weights[_in_file(name)] for name in self.network.state_dict()})
        self.network.eval()

    def listen(self) -> "Listening":
        """Begin a recording."""
        return Listening(self.network)


class Listening:
    """One recording, block by block, in memory that grows by four bytes for each 32 ms."""

    def __init__(self, network: _Network) -> None:
        self._network = network
        self._held = np.zeros(_CONTEXT, np.float32)     # the context of the next moment, and what came of it
        self._state: tuple[Tensor, Tensor] | None = None
        self._probabilities: list[np.ndarray] = []

    def passing(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Hear blocks of samples, float32 (n,) at 16 kHz, and hand each on."""
        for block in blocks:
            self._hear(block)
            yield block

    def _hear(self, block: np.ndarray) -> None:
        self._held = np.concatenate([self._held, block])
        number = (len(self._held) - _CONTEXT) // MOMENT
        if number == 0:
            return
        heard = torch.from_numpy(self._held[:_CONTEXT + number * MOMENT].astype(np.float32, copy=False))
        with torch.inference_mode():
            answers, self._state = self._network(heard.unfold(0, _CONTEXT + MOMENT, MOMENT), self._state)
        self._probabilities.append(answers.numpy())
        self._held = self._held[number * MOMENT:]

    def end(self) -> np.ndarray:
        """The probability of speech in each moment, float32 (moments,); the last one is filled up with zeros."""
        if rest := len(self._held) - _CONTEXT:
            self._hear(np.zeros(MOMENT - rest, np.float32))
        return np.concatenate(self._probabilities) if self._probabilities else np.zeros(0, np.float32)


def segments(probabilities: np.ndarray, settings: Speech, seconds: float) -> tuple[Segment, ...]:
    """Stretches of speech in a recording.

    Args:
        probabilities: of each moment of 32 ms, (moments,).
        settings: when speech begins and ends.
        seconds: duration of the recording, where the last one ends at the latest.

    >>> heard = np.repeat([0.1, 0.4, 0.9, 0.4, 0.1], 10)
    >>> segments(heard, Speech(), 1.6)
    (Segment(start=0.32, end=1.28),)
    >>> segments(heard, Speech(start=0.95), 1.6)
    ()
    """
    above = np.diff(np.concatenate([[0], probabilities >= settings.stop, [0]]))
    spans = list[list[float]]()
    for begin, end in zip(np.flatnonzero(above > 0), np.flatnonzero(above < 0), strict=True):
        if probabilities[begin:end].max() < settings.start:
            continue
        start, stop = float(begin) * MOMENT / RATE, min(float(end) * MOMENT / RATE, seconds)
        if spans and start - spans[-1][1] <= settings.pause:
            spans[-1][1] = stop
        else:
            spans.append([start, stop])
    return tuple(Segment(start, stop) for start, stop in spans if stop - start >= settings.least)


def copy_weights(folder: Path) -> str:
    """Copy the weights of the installed package silero-vad into a model folder, and return their SHA-256.

    Raises UserError where the package is not installed.
    """
    package = find_spec("silero_vad")
    if package is None or package.submodule_search_locations is None:
        raise UserError("silero-vad is not installed, and a trained model carries its detector of speech: pip install "
                        "'ser-ops[train]'")
    source = Path(package.submodule_search_locations[0]) / "data" / "silero_vad_16k.safetensors"
    with replacing(folder / WEIGHTS) as temporary:
        shutil.copyfile(source, temporary)
    return sha256(folder / WEIGHTS)


def _in_file(name: str) -> str:
    """The name in the file of a parameter of the network: PyTorch counts the layers of an LSTM, the file has a cell."""
    return name.removesuffix("_l0")
