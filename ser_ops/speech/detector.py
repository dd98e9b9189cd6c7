"""A voice activity detector: the probability that somebody speaks, for each moment of 32 ms, and segments of speech.

The network is Silero VAD 6 (Silero Team 2024, MIT licence), at 16 kHz. Its weights come from the package silero-vad,
which training needs; a model folder carries a copy, so that a model tells speech from noise everywhere alike. Here all
moments of a block go through the convolutions together; with the weights of its ONNX file it answers as that file does.
NumPy computes it, so that prediction without torch hears the same.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ser_ops.config.services import Speech
from ser_ops.errors import UserError
from ser_ops.files import replacing, sha256

RATE = 16000        # hertz
MOMENT = 512        # samples
WEIGHTS = "speech.safetensors"      # in a model folder
CONTEXT = 64        # samples before a moment that are heard with it
_RESTORE = "restore the folder, or train the model again"


@dataclass(frozen=True)
class Segment:
    """A stretch of speech, from `start` to `end` in seconds."""

    start: float
    end: float


_State = tuple[np.ndarray, np.ndarray]      # of the LSTM: hidden and cell, float32 (128,) each


class _Network:
    """Magnitudes of a short Fourier transform, four convolutions, an LSTM over moments, and a logistic unit."""

    SHAPES: Mapping[str, tuple[int, ...]] = {
        "stft_conv.weight": (258, 1, 256), "conv1.weight": (128, 129, 3), "conv1.bias": (128,),
        "conv2.weight": (64, 128, 3), "conv2.bias": (64,), "conv3.weight": (64, 64, 3), "conv3.bias": (64,),
        "conv4.weight": (128, 64, 3), "conv4.bias": (128,), "lstm_cell.weight_ih": (512, 128),
        "lstm_cell.weight_hh": (512, 128), "lstm_cell.bias_ih": (512,), "lstm_cell.bias_hh": (512,),
        "final_conv.weight": (1, 128, 1), "final_conv.bias": (1,)}
    _STRIDES = (1, 2, 2, 1)

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        """weights: float32 arrays of SHAPES."""
        self._transform = np.ascontiguousarray(weights["stft_conv.weight"][:, 0].T)
        self._convolutions = [(np.ascontiguousarray(weights[f"conv{number}.weight"].transpose(2, 1, 0)),
                               weights[f"conv{number}.bias"], stride) for number, stride in enumerate(self._STRIDES, 1)]
        # Three of the four gates are logistic, which is the hyperbolic tangent of half the value, moved.
        halved = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], np.float32), 128)
        self._from_input = np.ascontiguousarray(weights["lstm_cell.weight_ih"].T * halved)
        self._from_hidden = weights["lstm_cell.weight_hh"] * halved[:, None]
        self._bias = (weights["lstm_cell.bias_ih"] + weights["lstm_cell.bias_hh"]) * halved
        self._last, self._last_bias = weights["final_conv.weight"][0, :, 0], weights["final_conv.bias"]

    def __call__(self, moments: np.ndarray, state: _State) -> tuple[np.ndarray, _State]:
        """Moments, float32 (T, CONTEXT + MOMENT), and the state before: probabilities (T,), and the state after."""
        sound = np.concatenate([moments, moments[:, -2:-2 - CONTEXT:-1]], axis=1)   # reflected at the end
        frames = np.ascontiguousarray(sliding_window_view(sound, 256, 1)[:, ::128])
        real, imaginary = np.split(frames.reshape(-1, 256) @ self._transform, 2, axis=1)
        values = np.sqrt(real * real + imaginary * imaginary).reshape(len(moments), -1)
        for weight, bias, stride in self._convolutions:
            values = _convolved(values, weight, stride)
            values += np.tile(bias, values.shape[1] // len(bias))
            np.maximum(values, 0, out=values)
        hidden, state = self._recurrent(values @ self._from_input + self._bias, state)
        return _logistic(np.maximum(hidden, 0) @ self._last + self._last_bias), state

    def _recurrent(self, inputs: np.ndarray, state: _State) -> tuple[np.ndarray, _State]:
        """Hidden states (T, 128) of an LSTM for the inputs of its gates (T, 512): input, forget, cell and output."""
        hidden, cell = state
        states = np.empty((len(inputs), len(hidden)), np.float32)
        for moment, gates in enumerate(inputs):
            gates = np.tanh(gates + self._from_hidden @ hidden)
            opened = np.float32(0.5) * gates + np.float32(0.5)
            cell = opened[128:256] * cell + opened[:128] * gates[256:384]
            hidden = states[moment] = opened[384:] * np.tanh(cell)
        return states, (hidden, cell)


def _convolved(values: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    """A convolution of three frames, zero beyond the first and the last: (T, frames * inputs) to (T, frames * outputs).

    weight: (3, inputs, outputs). Each frame is one matrix product with what is there, without a padded copy.
    """
    inputs, outputs = weight.shape[1:]
    count = values.shape[1] // inputs
    result = np.empty((len(values), -(-count // stride) * outputs), np.float32)
    for number, frame in enumerate(range(0, count, stride)):
        first, last = max(frame - 1, 0), min(frame + 2, count)
        heard = weight[first - frame + 1:last - frame + 1].reshape(-1, outputs)
        result[:, number * outputs:(number + 1) * outputs] = values[:, first * inputs:last * inputs] @ heard
    return result


def _logistic(values: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-x), by the hyperbolic tangent, which overflows nowhere."""
    return np.float32(0.5) * np.tanh(np.float32(0.5) * values) + np.float32(0.5)


class Detector:
    """Tells where somebody speaks, by weights that lie in a model folder."""

    def __init__(self, folder: Path, digest: str) -> None:
        """digest: SHA-256 of the weights, as model.json has it. Raises UserError where they are not those."""
        file = folder / WEIGHTS
        try:
            if sha256(file) != digest:
                raise UserError(f"{file}: not the weights that model.json was written for: {_RESTORE}")
            weights = load_file(file)
        except (OSError, SafetensorError) as error:
            raise UserError(f"{file}: cannot be read ({error}): {_RESTORE}") from error
        if {name: tensor.shape for name, tensor in weights.items()} != _Network.SHAPES:
            raise UserError(f"{file}: not the weights of a detector of speech: {_RESTORE}")
        self.network = _Network(weights)

    def listen(self) -> "Listening":
        """Begin a recording."""
        return Listening(self.network)


class Listening:
    """One recording, block by block, in memory that grows by four bytes for each 32 ms."""

    def __init__(self, network: _Network) -> None:
        self._network = network
        self._held = np.zeros(CONTEXT, np.float32)     # the context of the next moment, and what came of it
        self._state: _State = (np.zeros(128, np.float32), np.zeros(128, np.float32))
        self._probabilities: list[np.ndarray] = []

    def passing(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Hear blocks of samples, float32 (n,) at 16 kHz, and hand each on."""
        for block in blocks:
            self._hear(block)
            yield block

    def _hear(self, block: np.ndarray) -> None:
        self._held = np.concatenate([self._held, block])
        number = (len(self._held) - CONTEXT) // MOMENT
        if number == 0:
            return
        heard = sliding_window_view(self._held[:CONTEXT + number * MOMENT].astype(np.float32, copy=False),
                                    CONTEXT + MOMENT)[::MOMENT]
        answers, self._state = self._network(heard, self._state)
        self._probabilities.append(answers)
        self._held = self._held[number * MOMENT:]

    def end(self) -> np.ndarray:
        """The probability of speech in each moment, float32 (moments,); the last one is filled up with zeros."""
        if rest := len(self._held) - CONTEXT:
            self._hear(np.zeros(MOMENT - rest, np.float32))
        return np.concatenate(self._probabilities) if self._probabilities else np.zeros(0, np.float32)


def segments(probabilities: np.ndarray, settings: Speech, seconds: float) -> tuple[Segment, ...]:
    """Stretches of speech in a recording.

    Args:
        probabilities: of each moment of 32 ms, (moments,).
        settings: when speech begins and ends.
        seconds: duration of the recording, where the last one ends at the latest.

    >>> heard = np.repeat([0.1, 0.3, 0.9, 0.3, 0.1], 10)
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


def spoken_seconds(speech: Sequence[Segment], starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Seconds of speech between starts and ends, all in seconds, (n,).

    speech: in order and apart, as `segments` gives it.

    >>> spoken_seconds([Segment(1.0, 2.0), Segment(3.0, 3.5)], np.array([0.0, 1.5, 2.0]), np.array([1.25, 3.25, 3.0]))
    array([0.25, 0.75, 0.  ])
    """
    edges = np.array([(segment.start, segment.end) for segment in speech]).reshape(-1, 2)
    if not len(edges):
        return np.zeros(len(starts))
    until = np.cumsum(np.diff(edges, prepend=edges[:, :1]))     # of speech, up to each edge
    return np.interp(ends, edges.ravel(), until) - np.interp(starts, edges.ravel(), until)


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
