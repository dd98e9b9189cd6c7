"""A trained model that answers recordings.

What a recogniser answers: the whole recording and each of its windows.

Windows over a stream of samples, holding no more than one block and one window.

What a model answers for windows of sound: one row of probabilities each.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ser_ops.audio.admission import SILENCE_DBFS, bandwidth, padding, silent
from ser_ops.audio.reading import Listening, clean
from ser_ops.audio.signal import fit
from ser_ops.caveats import Caveat, caveats
from ser_ops.config.model_json import input_of
from ser_ops.device import device_of
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.features.extractor import Extractor
from ser_ops.models.model_folder import load


def _named(probabilities: np.ndarray) -> dict[str, float]:
    return {emotion: round(float(value), 6) for emotion, value in zip(EMOTIONS, probabilities, strict=True)}


@dataclass(frozen=True)
class Window:
    """One window: start and end in seconds, and probabilities, float64 of shape (7,) that sum to 1."""

    start: float
    end: float
    probabilities: np.ndarray

    @property
    def emotion(self) -> str:
        """The likeliest of the seven."""
        return EMOTIONS[int(self.probabilities.argmax())]


@dataclass(frozen=True)
class Answer:
    """The answer for one recording.

    probabilities: float64 of shape (7,), the mean over `windows`; seconds: duration of the recording;
    windows: those that hold a signal; warnings: sentences a user should read before relying on it; caveats: what the
    model's card says of every answer that it gives.
    """

    probabilities: np.ndarray
    seconds: float
    windows: list[Window]
    warnings: list[str] = field(default_factory=list)
    caveats: tuple[Caveat, ...] = ()

    @property
    def emotion(self) -> str:
        """The likeliest of the seven."""
        return EMOTIONS[int(self.probabilities.argmax())]

    def record(self) -> dict[str, Any]:
        """As plain values for JSON.

        >>> window = Window(0.0, 2.0, np.eye(7)[3])
        >>> Answer(np.eye(7)[3], 2.0, [window]).record()["windows"][0]["emotion"]
        'happy'
        """
        return {"emotion": self.emotion, "probabilities": _named(self.probabilities), "seconds": round(self.seconds, 3),
                "windows": [{"start": round(one.start, 3), "end": round(one.end, 3), "emotion": one.emotion,
                             "probabilities": _named(one.probabilities)} for one in self.windows],
                "warnings": list(self.warnings), "caveats": [caveat.sentence for caveat in self.caveats]}


def windows(blocks: Iterable[np.ndarray], length: int, hop: int) -> Iterator[tuple[int, np.ndarray]]:
    """Start (samples) and samples of each window of a stream: the windows of `ser_ops.audio.spans`.

    All have `length` samples, except that a stream no longer than that is one window as long as itself.

    >>> [(start, len(one)) for start, one in windows([np.zeros(5), np.zeros(4)], 4, 3)]
    [(0, 4), (3, 4), (5, 4)]
    """
    held, origin, following, total = np.zeros(0, np.float32), 0, 0, 0
    for block in blocks:
        held = np.concatenate([held, block])
        total += len(block)
        while following + length <= total:
            yield following, held[following - origin:following - origin + length]
            following += hop
        keep = max(origin, min(following, total - length))  # the last window needs the last `length` samples
        held, origin = held[keep - origin:], keep
    if total < length:
        yield 0, held
    elif following - hop + length < total:
        yield total - length, held[-length:]


def quiet(samples: np.ndarray) -> bool:
    """Whether nothing in samples (n,), as the door gives them, rises above -60 dBFS.

    >>> quiet(np.full(100, 0.0005, np.float32)), quiet(np.array([0.0, -0.01], np.float32))
    (True, False)
    """
    return silent(float(np.abs(samples).max(initial=0.0)))


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
        self.device = device_of(device)
        self.model.to(self.device).eval()
        self.caveats = caveats(self.card)
        features = input_of(self.card)
        self.sample_rate = int(self.card["sample_rate"])
        self.window = round(features.seconds * self.sample_rate)
        self.hop = max(1, min(round(window_hop * self.sample_rate), self.window))   # so that all of it is heard
        self.batch_size = batch_size
        self.extractor = Extractor(features, source_rate=self.sample_rate)

    def answer(self, samples: np.ndarray, sample_rate: int, where: str = "waveform", cleaned: bool = False) -> Answer:
        """Answer samples of shape (n,), mono floats in about [-1, 1], at `sample_rate` hertz.

        cleaned: they came through the door already, which removes offset and rumble, at the model's own rate. Raises
        UserError in one line for what the door does not admit: empty, silent, shorter than 0.1 s, NaN.
        """
        try:
            samples = np.asarray(samples, np.float32)
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: holds something else than numbers: give mono float samples") from error
        if samples.ndim != 1:
            raise UserError(f"{where}: has shape {samples.shape}: give mono samples, one number each")
        answer = self._answer(where, [clean(where, samples, sample_rate, self.sample_rate, cleaned)])
        return self._warned(answer, sample_rate)

    def answer_file(self, path: Path, channel: int | None = None) -> Answer:
        """Answer a recording in memory that does not grow with its length, but for the windows' probabilities.

        channel: of several, from 1 on; None lets the door choose. Raises UserError in one line for a file that the door
        does not admit (`ser_ops.audio.Listening`).
        """
        listening = Listening(path, self.sample_rate, channel=channel)
        answer = self._answer(str(path), listening)
        return self._warned(answer, listening.native_rate, listening.warnings)

    def _batches(self, found: Iterable[tuple[int, np.ndarray]]) -> Iterator[tuple[list[tuple[int, int]], np.ndarray]]:
        """Spans (samples) of up to `batch_size` windows at a time, with their probabilities."""
        found = iter(found)
        while some := list(islice(found, self.batch_size)):
            fitted = [fit(one, self.window) for _, one in some]
            answers = probabilities(self.model, self.extractor, np.stack([one for one, _ in fitted]),
                                    np.array([valid for _, valid in fitted]), self.device)
            yield [(start, start + len(one)) for start, one in some], answers

    def _answer(self, where: str, stream: Iterable[np.ndarray]) -> Answer:
        """The answer to blocks of samples at the model's rate."""
        total, silent = 0, 0

        def counted() -> Iterator[np.ndarray]:
            nonlocal total
            for block in stream:
                total += len(block)
                yield block

        def loud() -> Iterator[tuple[int, np.ndarray]]:
            nonlocal silent
            for start, window in windows(counted(), self.window, self.hop):
                if quiet(window):
                    silent += 1
                else:
                    yield start, window

        answered = [Window(start / self.sample_rate, end / self.sample_rate, row)
                    for spans, rows in self._batches(loud()) for (start, end), row in zip(spans, rows, strict=True)]
        mean = np.mean([window.probabilities for window in answered], axis=0)
        if not np.isfinite(mean).all():
            raise UserError(f"{where}: the model answered NaN: its weights are damaged, train or fetch it again")
        warnings = [f"{silent} of {silent + len(answered)} windows are silent (below {SILENCE_DBFS:g} dBFS) and are "
                    "left out"] if silent else []
        return Answer(mean, total / self.sample_rate, answered, warnings, self.caveats)

    def _warned(self, answer: Answer, native_rate: int, warnings: Sequence[str] = ()) -> Answer:
        """The answer with what the door said, and what rate and length mean for this model."""
        of_model = (bandwidth(native_rate, self.sample_rate), padding(answer.seconds, self.window / self.sample_rate))
        return replace(answer, warnings=[*warnings, *filter(None, of_model), *answer.warnings])
