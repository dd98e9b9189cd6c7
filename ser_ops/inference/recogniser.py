"""A trained model that answers recordings of any length, window by window, in bounded memory."""

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ser_ops.audio.admission import SILENCE_DBFS, SilentRecording, bandwidth_warning, is_silent_peak, padding_warning
from ser_ops.audio.reading import RecordingStream, admit_samples
from ser_ops.audio.signal import clipped_samples, fit_window
from ser_ops.caveats import Caveat, caveats
from ser_ops.config.model_json import MODEL_JSON, SCHEMES, predict_of, window_of
from ser_ops.config.services import Predict
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.extras import naming_extras
from ser_ops.inference.onnx_graph import OnnxGraph, usable_graph
from ser_ops.models import conformal
from ser_ops.speech.detector import RATE, Detector, Segment, segments, spoken_seconds
from ser_ops.speech.sound import Sound, SoundMeter

if TYPE_CHECKING:       # torch takes seconds to import, and an ONNX graph answers without it
    from torch import nn

    from ser_ops.inference.torch_network import TorchNetwork
    from ser_ops.models.voices import Voice

NO_SPEECH, NOT_SURE = "no speech", "not sure"


@dataclass(frozen=True)
class WindowAnswer:
    """The answer for one window: start and end in seconds; probabilities, float64 of shape (7,), sum to 1.

    spoken: whether somebody speaks in it, as far as the model can tell; context: what the pretrained stream made of it,
    float32 (H,), where a voice was given; embedding: where it lies for the model (`ser_ops.models.base.embedding`),
    None where none was asked for, or a voice was given.
    """

    start: float
    end: float
    probabilities: np.ndarray
    spoken: bool = True
    context: np.ndarray | None = field(default=None, repr=False, compare=False)
    embedding: np.ndarray | None = field(default=None, repr=False, compare=False)

    @property
    def emotion(self) -> str:
        """The likeliest of the seven, or 'no speech'."""
        return EMOTIONS[int(self.probabilities.argmax())] if self.spoken else NO_SPEECH


@dataclass(frozen=True)
class Answer:
    """The answer for one recording.

    probabilities: float64 of shape (7,), the mean over the windows in which somebody speaks, over all `windows` where
    nobody does, and equal where there is none; seconds: duration of the recording; windows: those that hold a signal;
    warnings: sentences a user should read before relying on it; caveats: what the model's card says of every answer
    that it gives; speech: where somebody speaks, None for a model without a detector of speech; emotions: the set that
    holds the truth in the promised share of cases, likeliest first, None where no share was asked for or nobody speaks;
    voice_clips: the clips by which the speaker's voice was known, None where no voice was given; sound: figures of what
    was heard, those that were asked for.
    """

    probabilities: np.ndarray
    seconds: float
    windows: list[WindowAnswer]
    warnings: list[str] = field(default_factory=list)
    caveats: tuple[Caveat, ...] = ()
    speech: tuple[Segment, ...] | None = None
    emotions: tuple[str, ...] | None = None
    voice_clips: int | None = None
    sound: Sound = field(default=Sound(), repr=False, compare=False)

    @property
    def embedding(self) -> np.ndarray | None:
        """Where the recording lies for the model, float32 (EMBEDDING,): the mean over windows with speech, else all."""
        windows = [window for window in self.windows if window.spoken] or self.windows
        known = [window.embedding for window in windows if window.embedding is not None]
        return np.mean(known, axis=0) if known else None

    @property
    def context(self) -> np.ndarray | None:
        """What a voice learns of this recording (`Voice.with_clip`), float32 (H,): the mean over windows with speech.

        None where no voice was given, or where nobody speaks.
        """
        contexts = [window.context for window in self.windows if window.spoken and window.context is not None]
        return np.mean(contexts, axis=0) if contexts else None

    @property
    def likeliest(self) -> str:
        """The likeliest of the seven."""
        return EMOTIONS[int(self.probabilities.argmax())]

    @property
    def emotion(self) -> str:
        """The likeliest of the seven, 'no speech', or 'not sure' where the promised set does not hold one alone."""
        if self.speech == ():
            return NO_SPEECH
        return self.likeliest if self.emotions is None or len(self.emotions) == 1 else NOT_SURE

    def record(self) -> dict[str, Any]:
        """As plain values for JSON.

        >>> window = WindowAnswer(0.0, 2.0, np.eye(7)[3])
        >>> Answer(np.eye(7)[3], 2.0, [window]).record()["windows"][0]["emotion"]
        'happy'
        >>> Answer(np.eye(7)[3], 2.0, [window], speech=()).record()["emotion"]
        'no speech'
        """
        return {"emotion": self.emotion, "probabilities": _named(self.probabilities), "seconds": round(self.seconds, 3),
                "emotions": None if self.emotions is None else list(self.emotions),
                **({} if self.voice_clips is None else {"voice_clips": self.voice_clips}),
                "speech": None if self.speech is None else [
                    {"start": round(segment.start, 3), "end": round(segment.end, 3)} for segment in self.speech],
                "windows": [{"start": round(window.start, 3), "end": round(window.end, 3), "emotion": window.emotion,
                             "probabilities": _named(window.probabilities)} for window in self.windows],
                "warnings": list(self.warnings), "caveats": [caveat.sentence for caveat in self.caveats]}


Window = tuple[int, np.ndarray]     # where it starts, in samples at the model's rate, and its samples, float32 (n,)
Answering = Generator[list[Window], list[WindowAnswer], Answer]     # asks for windows' answers, ends with the whole


def _named(probabilities: np.ndarray) -> dict[str, float]:
    return {emotion: round(float(value), 6) for emotion, value in zip(EMOTIONS, probabilities, strict=True)}


class Recogniser:
    """Answers recordings of any length, window by window.

    The window is the model's own (that of what it reads); a new one starts every `window_hop` seconds and the last one
    ends where the recording ends. The answer for the whole is the mean of the probabilities of those windows in which
    somebody speaks. Windows in which nothing rises above -60 dBFS are left out, and what is left out is said. A
    recording no longer than one window gives what training and evaluation give for it
    (`ser_ops.audio.signal.fit_window`); of a longer one they look at the middle alone.
    """

    def __init__(self, source: "str | os.PathLike[str] | tuple[nn.Module, dict[str, Any]]", device: str = "auto",
                 batch_size: int | None = None, window_hop: float | None = None, *, predict: Predict | None = None,
                 coverage: float | None = None, onnx: bool = True, embeddings: bool = False,
                 sound: bool = True) -> None:
        """Load a model.

        Args:
            source: A model folder (`ser_ops.model_folder` fetches one from a registry), or a model with its card, which
                then has no detector of speech.
            device: auto, cpu, cuda or cuda:N.
            batch_size: Windows that are answered together; by default as `predict` says.
            window_hop: Seconds between windows; by default as `predict` says.
            predict: Settings; by default those that the model carries from its training.
            coverage: Share of cases, in (0, 1), in which the set of emotions shall hold the truth; by default as
                `predict` says.
            onnx: Whether the folder's model.onnx answers, on the CPU and without torch, where it stands there,
                ONNX Runtime is installed and neither a GPU nor embeddings are asked for. It starts sooner; voices are
                answered by torch all the same.
            embeddings: Whether each window has its embedding, which records keep.
            sound: Whether each answer has figures of its sound, which records keep too.

        Raises:
            UserError: An address in a registry, a folder that is no model, a device that is not here, an extra that is
                not installed, a coverage out of range or for a model that was not calibrated for sets.
        """
        folder = None if isinstance(source, tuple) else _folder(source)
        self._source, self._device = source, device
        by_graph = onnx and not embeddings and not device.startswith("cuda")
        graph = usable_graph(folder) if by_graph and folder else None
        self.network: OnnxGraph | TorchNetwork = graph or _torch_network(source, device)
        self.card, self.embeddings, self._sound = self.network.card, embeddings, sound
        settings = predict or predict_of(self.card)
        self.caveats = caveats(self.card)
        self.sample_rate = int(self.card["sample_rate"])
        self.window = window_of(self.card)
        hop = settings.window_hop if window_hop is None else window_hop
        self.hop = max(1, min(round(hop * self.sample_rate), self.window))   # no sample is skipped
        self.batch_size = settings.batch_size if batch_size is None else batch_size
        self.speech = settings.speech
        digest = self.card.get("speech_sha256")
        self.detector = Detector(folder, digest) if folder and digest and self.sample_rate == RATE else None
        self.coverage = settings.coverage if coverage is None else coverage
        self._highest_score = self._score_for(self.coverage, folder)

    @cached_property
    def torch_network(self) -> "TorchNetwork":
        """The network in torch, for voices and explanations; where model.onnx answers, loaded when it is asked for."""
        return _torch_network(self._source, self._device) if isinstance(self.network, OnnxGraph) else self.network

    @property
    def model(self) -> "nn.Module":
        """The network itself, as `torch_network` gives it."""
        return self.torch_network.model

    def _score_for(self, coverage: float | None, folder: Path | None) -> float | None:
        if coverage is None:
            return None
        if not 0 < coverage < 1:
            raise UserError(f"coverage {coverage:g}: is a share between 0 and 1, such as 0.9")
        if (scores := self.card.get("conformal_scores")) is None:
            raise UserError(f"{(folder or Path()) / MODEL_JSON}: has no scores of validation, by which a coverage "
                            "could be promised: train the model again, or ask without one")
        return conformal.threshold(scores, coverage)

    def stranger(self) -> "Voice":
        """A voice of which nothing is known yet.

        Raises UserError for a model that cannot make use of a voice.
        """
        return self.torch_network.stranger()

    def answer(self, samples: np.ndarray, sample_rate: int, where: str = "waveform", cleaned: bool = False,
               voice: "Voice | None" = None) -> Answer:
        """Answer samples of shape (n,), mono floats in about [-1, 1], at `sample_rate` hertz.

        cleaned: they were admitted already, without offset and rumble, at the model's own rate; voice: what is known of
        the speaker, from `stranger` on. Raises UserError in one line for what is not admitted: empty, shorter than
        0.1 s, NaN; silent, where the model cannot tell speech.
        """
        return self._drive(self.answering(samples, sample_rate, where, cleaned), voice)

    def answer_file(self, path: str | os.PathLike[str], channel: int | None = None,
                    voice: "Voice | None" = None) -> Answer:
        """Answer a recording in memory that does not grow with its length, but for what its windows say.

        channel: of several, from 1 on; None lets `ser_ops.audio.reading.RecordingStream` choose; voice: what is known
        of the speaker, from `stranger` on. Raises UserError in one line for a file that it does not admit.
        """
        return self._drive(self.answering_file(path, channel), voice)

    def answering(self, samples: np.ndarray, sample_rate: int, where: str = "waveform",
                  cleaned: bool = False) -> Answering:
        """`answer`, step by step: a generator that asks for the answers to at most `batch_size` windows at a time.

        Who drives it sends the answers, those of `answer_windows` or of a batch shared with others; it returns the
        whole. Raises as `answer`, in the step that finds the fault.
        """
        try:
            samples = np.asarray(samples, np.float32)
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: holds values that are not numbers: give mono float samples") from error
        if samples.ndim != 1:
            raise UserError(f"{where}: has shape {samples.shape}: give mono samples, one number each")
        try:
            admitted = admit_samples(where, samples, sample_rate, self.sample_rate, cleaned)
        except SilentRecording:
            if self.detector is None:
                raise
            return self._silent(len(samples) / sample_rate)
        answer = yield from self._answering(where, [admitted], None)
        return self._warned(answer, sample_rate, clipped_samples(samples) / len(samples))

    def answering_file(self, path: str | os.PathLike[str], channel: int | None = None, longest: float | None = None,
                       start: float = 0.0, end: float | None = None) -> Answering:
        """`answer_file`, step by step as `answering`, of [start, end) seconds of the recording.

        Raises UserError for more than `longest` seconds.
        """
        stream = RecordingStream(Path(path), self.sample_rate, start=start, end=end, channel=channel)
        try:
            answer = yield from self._answering(str(path), stream, longest)
        except SilentRecording:
            if self.detector is None:
                raise
            return self._silent(stream.seconds)
        return self._warned(answer, stream.native_rate, stream.clipped_share, stream.warnings)

    def _drive(self, steps: Answering, voice: "Voice | None") -> Answer:
        """The answer of a generator that has the model to itself."""
        try:
            asked = next(steps)
            while True:
                asked = steps.send(self.answer_windows(asked, voice))
        except StopIteration as ended:
            answer: Answer = ended.value
            return answer if voice is None else replace(answer, voice_clips=voice.clips)

    def _silent(self, seconds: float) -> Answer:
        """The answer to a recording in which nothing sounds."""
        return Answer(np.full(len(EMOTIONS), 1 / len(EMOTIONS)), seconds, [],
                      [f"silent, nothing rises above {SILENCE_DBFS:g} dBFS"], self.caveats, (),
                      sound=Sound(speech_share=0.0))

    def _answering(self, where: str, blocks: Iterable[np.ndarray], longest: float | None) -> Answering:
        """The answer to blocks of samples at the model's rate, as `answering`."""
        length, silent_windows, batch, answers = 0, 0, list[Window](), list[WindowAnswer]()
        listening = self.detector.listen() if self.detector else None
        heard = listening.passing(blocks) if listening else blocks
        meter = SoundMeter(self.sample_rate) if self._sound else None
        heard = meter.passing(heard) if meter else heard
        for start, samples in windows(heard, self.window, self.hop):
            length = start + len(samples)
            if longest is not None and length > longest * self.sample_rate:
                raise UserError(f"{where}: lasts more than {longest:g} s, the most that is answered here: cut it into "
                                "parts")
            if is_silent(samples):
                silent_windows += 1
                continue
            batch.append((start, samples))
            if len(batch) == self.batch_size:
                answers += yield batch
                batch = []
        if batch:
            answers += yield batch
        seconds = length / self.sample_rate
        speech = segments(listening.end(), self.speech, seconds) if listening else None
        answers = self._spoken(speech, answers)
        spoken = [answer for answer in answers if answer.spoken]
        mean = np.mean([answer.probabilities for answer in spoken or answers], axis=0)
        if not np.isfinite(mean).all():
            raise UserError(f"{where}: the model answered NaN: its weights are damaged, train or fetch it again")
        number = silent_windows + len(answers)
        warnings = [f"{silent_windows} of {number} windows are silent (below {SILENCE_DBFS:g} dBFS) and are left out"
                    ] if silent_windows else []
        if 0 < len(spoken) < len(answers):
            warnings.append(f"in {len(answers) - len(spoken)} of {number} windows nobody speaks: they are left out")
        emotions = None
        if self._highest_score is not None and speech != ():
            emotions = conformal.emotion_set(mean, self._highest_score)
        return Answer(mean, seconds, answers, warnings, self.caveats, speech, emotions,
                      sound=meter.end(speech) if meter else Sound())

    def _spoken(self, speech: Sequence[Segment] | None, answers: list[WindowAnswer]) -> list[WindowAnswer]:
        """Each window with whether somebody speaks in it. Of a stretch between two, one holds at least a half."""
        if speech is None:
            return answers
        seconds = spoken_seconds(speech, np.array([answer.start for answer in answers]),
                                 np.array([answer.end for answer in answers]))
        return [replace(answer, spoken=bool(heard >= self.speech.least / 2))
                for answer, heard in zip(answers, seconds, strict=True)]

    def answer_windows(self, batch: Sequence[Window], voice: "Voice | None" = None) -> list[WindowAnswer]:
        """The answers to windows, of one recording or of several of the same voice, in one pass of the model."""
        fitted = [fit_window(samples, self.window) for _, samples in batch]
        windows, valid = np.stack([samples for samples, _ in fitted]), np.array([number for _, number in fitted])
        contexts: np.ndarray | list[None] = [None] * len(batch)
        marks: np.ndarray | list[None] = [None] * len(batch)
        if voice is not None:
            rows, contexts = self.torch_network.probabilities_of_voice(windows, valid, voice)
        elif self.embeddings:
            rows, marks = self.torch_network.probabilities_and_embeddings(windows, valid)
        else:
            rows = self.network.probabilities(windows, valid)
        return [WindowAnswer(start / self.sample_rate, (start + len(samples)) / self.sample_rate, row, context=context,
                             embedding=mark)
                for (start, samples), row, context, mark in zip(batch, rows, contexts, marks, strict=True)]

    def _warned(self, answer: Answer, native_rate: int, clipped: float, warnings: Sequence[str] = ()) -> Answer:
        """The answer with the warnings of reading, what rate and length mean for this model, and the clipped share."""
        of_model = (bandwidth_warning(native_rate, self.sample_rate),
                    padding_warning(answer.seconds, self.window / self.sample_rate))
        return replace(answer, warnings=[*warnings, *filter(None, of_model), *answer.warnings],
                       sound=replace(answer.sound, clipped_share=clipped))


def _folder(source: "str | os.PathLike[str]") -> Path:
    """The folder that somebody named. Raises UserError for an address in a registry."""
    if (address := os.fspath(source)).startswith(SCHEMES):
        raise UserError(f"{address}: is an address in a registry, and a folder is taken here: give what "
                        f"ser_ops.model_folder({address!r}) returns")
    return Path(source)


def _torch_network(source: "str | os.PathLike[str] | tuple[nn.Module, dict[str, Any]]", device: str) -> "TorchNetwork":
    """The network of a model folder, or a network with its card, on a device."""
    with naming_extras():
        from ser_ops.inference.torch_network import TorchNetwork
        from ser_ops.models.model_folder import load
        return TorchNetwork(*(source if isinstance(source, tuple) else load(Path(source))), device)


def windows(blocks: Iterable[np.ndarray], length: int, hop: int) -> Iterator[tuple[int, np.ndarray]]:
    """Start (in samples) and samples of each window of a stream: the windows of `ser_ops.audio.signal.window_spans`.

    blocks: float32 samples (n,), one after another; length, hop: of a window and from start to start, in samples. All
    windows have `length` samples, except that a stream no longer than that is one window as long as itself. Holds no
    more than one block and one window.

    >>> [(start, len(samples)) for start, samples in windows([np.zeros(5), np.zeros(4)], 4, 3)]
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


def is_silent(samples: np.ndarray) -> bool:
    """Whether nothing in cleaned samples (n,) rises above -60 dBFS.

    >>> is_silent(np.full(100, 0.0005, np.float32)), is_silent(np.array([0.0, -0.01], np.float32))
    (True, False)
    """
    return is_silent_peak(float(np.abs(samples).max(initial=0.0)))
