"""A trained model that answers recordings."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ser_ops.audio import blocks, describe, fit, resample
from ser_ops.errors import UserError
from ser_ops.features import Extractor
from ser_ops.inference.answer import Answer, Window
from ser_ops.inference.windows import SILENCE_DBFS, silent, windows
from ser_ops.models import input_of, load

RATES = (8000, 192000)  # hertz
SHORTEST = 0.1  # seconds
LOUDEST = 16.0  # times full scale; beyond it the samples are integers, not floats


def choose_device(name: str) -> torch.device:
    """'auto' is the GPU where there is one, else the CPU. Raises UserError for a GPU that is not there.

    >>> choose_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"compute.device: {name}: torch finds no such GPU here: set auto or cpu")
    return torch.device(name)


def probabilities(model: torch.nn.Module, extractor: Extractor, batch: np.ndarray, valid: np.ndarray,
                  device: torch.device) -> np.ndarray:
    """Probabilities, float64 of shape (B, 7), each row summing to 1, of windows already cut and padded.

    batch: float32 (B, N) at the rate of the extractor's source; valid: int64 (B,), unpadded samples of each.
    The model is taken in evaluation mode.
    """
    with torch.inference_mode():
        waveforms = torch.from_numpy(np.ascontiguousarray(batch, np.float32)).to(device)
        lengths = torch.from_numpy(np.asarray(valid, np.int64)).to(device)
        logits = model(waveforms, lengths, extractor(waveforms))
        return torch.softmax(logits.double(), dim=1).cpu().numpy()


def _rate(where: str, sample_rate: int) -> None:
    if not RATES[0] <= sample_rate <= RATES[1]:
        raise UserError(f"{where}: sample rate {sample_rate} Hz is not between {RATES[0]} and {RATES[1]}: give the "
                        "rate at which it was recorded")


class Recogniser:
    """Answers recordings of any length, window by window.

    The window is the model's own (that of what it reads); a new one starts every `window_hop` seconds and the last one
    ends where the recording ends. The answer for the whole is the mean of its windows' probabilities. Windows in
    which nothing rises above -60 dBFS are left out, and that is said. A recording no longer than one window gives
    what training and evaluation give for it (`ser_ops.audio.fit`); of a longer one they look at the middle alone.
    """

    def __init__(self, source: Path | tuple[torch.nn.Module, dict[str, Any]], device: str = "auto",
                 batch_size: int = 16, window_hop: float = 1.25) -> None:
        """source: a model folder, or a model with its card. Raises UserError for a folder that is no model."""
        self.model, self.card = load(source) if isinstance(source, Path) else source
        self.device = choose_device(device)
        self.model.to(self.device).eval()
        features = input_of(self.card)
        self.sample_rate = int(self.card["sample_rate"])
        self.window = round(features.seconds * self.sample_rate)
        self.hop = max(1, round(window_hop * self.sample_rate))
        self.batch_size = batch_size
        self.extractor = Extractor(features, source_rate=self.sample_rate)

    def answer(self, samples: np.ndarray, sample_rate: int, where: str = "waveform") -> Answer:
        """Answer samples of shape (n,), mono floats in about [-1, 1], at `sample_rate` hertz.

        Raises UserError in one line for what is no such thing: empty, silent, shorter than 0.1 s, NaN.
        """
        try:
            samples = np.asarray(samples, np.float32)
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: holds something else than numbers: give mono float samples") from error
        if samples.ndim != 1:
            raise UserError(f"{where}: has shape {samples.shape}: give mono samples, one number each")
        _rate(where, sample_rate)
        if not np.isfinite(samples).all():
            raise UserError(f"{where}: holds NaN or infinite samples: record or export it again")
        self._long_enough(where, len(samples), sample_rate)
        return self._answer(where, [resample(samples, sample_rate, self.sample_rate)], sample_rate)

    def answer_file(self, path: Path) -> Answer:
        """Answer a recording in memory that does not grow with its length, but for the windows' probabilities.

        Raises UserError in one line for a file that is missing, unreadable, empty, silent, shorter than 0.1 s or
        holds NaN.
        """
        rate, _, seconds = describe(path)
        _rate(str(path), rate)
        self._long_enough(str(path), round(seconds * rate), rate)
        return self._answer(str(path), blocks(path, self.sample_rate), rate)

    @staticmethod
    def _long_enough(where: str, samples: int, rate: int) -> None:
        if samples == 0:
            raise UserError(f"{where}: holds no samples: record it again")
        if samples < SHORTEST * rate:
            raise UserError(f"{where}: {samples} samples at {rate} Hz are shorter than {SHORTEST} s: give at least one "
                            "spoken word")

    def _batches(self, found: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[list[tuple[int, int]], np.ndarray]]:
        """Spans (samples) of up to `batch_size` windows at a time, with their probabilities."""
        found = iter(found)
        while some := list(islice(found, self.batch_size)):
            fitted = [fit(one, self.window) for _, one in some]
            answers = probabilities(self.model, self.extractor, np.stack([one for one, _ in fitted]),
                                    np.array([valid for _, valid in fitted]), self.device)
            yield [(start, start + len(one)) for start, one in some], answers

    def _answer(self, where: str, stream: Iterable[np.ndarray], native_rate: int) -> Answer:
        total, quiet = 0, 0

        def checked() -> Iterator[np.ndarray]:
            nonlocal total
            for block in stream:
                if len(block) and (peak := float(np.abs(block).max())) > LOUDEST:
                    raise UserError(f"{where}: samples reach {peak:g}, full scale is 1: give floats in [-1, 1]")
                total += len(block)
                yield block

        def loud() -> Iterator[tuple[int, np.ndarray]]:
            nonlocal quiet
            for start, one in windows(checked(), self.window, self.hop):
                if silent(one):
                    quiet += 1
                else:
                    yield start, one

        answered = [Window(start / self.sample_rate, end / self.sample_rate, row)
                    for spans, rows in self._batches(loud()) for (start, end), row in zip(spans, rows, strict=True)]
        if not answered:
            raise UserError(f"{where}: silent, nothing rises above {SILENCE_DBFS:g} dBFS: check the microphone or the "
                            "export")
        mean = np.mean([one.probabilities for one in answered], axis=0)
        if not np.isfinite(mean).all():
            raise UserError(f"{where}: the model answered NaN: its weights are damaged, train or fetch it again")
        warnings = []
        if native_rate < self.sample_rate:
            warnings.append(f"recorded at {native_rate} Hz: holds nothing above {native_rate // 2} Hz (telephone "
                            f"bandwidth), the model learnt from {self.sample_rate} Hz: trust this answer less")
        if quiet:
            warnings.append(f"{quiet} of {quiet + len(answered)} windows are silent (below {SILENCE_DBFS:g} dBFS) and "
                            "are left out")
        return Answer(mean, total / self.sample_rate, answered, warnings)
