"""Whether a model of the table has all that the rest needs of a model: tried out at small size, a line a check."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ser_ops.config.explaining import Explain
from ser_ops.config.models import Preset
from ser_ops.emotions import EMOTIONS
from ser_ops.explain.clip import Clip, make_clip
from ser_ops.explain.question import Question, method_module
from ser_ops.explain.subject import Subject
from ser_ops.manifest import VariantRow
from ser_ops.methods import METHODS
from ser_ops.model_table import MODELS, Model
from ser_ops.models.architectures import build, count, network
from ser_ops.models.base import EmotionModel, member_examples
from ser_ops.models.model_folder import load, save
from ser_ops.seeds import generator

_RATE = 16000       # hertz of the synthetic clips
_CLIPS = 4
_MOST = {"hidden": 64, "layers": 2, "heads": 4, "channels": 16, "maps": 16, "embedding": 32, "attention": 16,
         "members": 2}      # of the sizes of a preset's parts; what is smaller stays


class _Failure(Exception):
    """What the model lacks, in words; ends the check."""


@dataclass(frozen=True)
class Check:
    """What was checked, whether it passed, and the result in words."""

    what: str
    passed: bool
    words: str


def check_model(name: str, preset: Preset, settings: Explain) -> Iterator[Check]:
    """Check everything that the rest asks of a model; what needs a network is left out when there is none.

    settings: section explain; methods with sampling draw as few samples as possible. Raises UserError for a name that
    is not in the table of models.
    """
    checks = _Checks(name, at_small_size(preset), settings)
    first = _check("network", checks.network)
    yield first
    if not first.passed:
        return
    for what, check in (("answer", checks.answer), ("gradients", checks.gradients), ("streams", checks.streams),
                        ("folder", checks.folder), ("cam_layer", checks.cam_layer)):
        yield _check(what, check)
    for method in METHODS.values():
        yield _check(method.title, lambda method=method: checks.method(method.name))  # type: ignore[misc]


def at_small_size(preset: Preset) -> Preset:
    """The preset with narrow and few layers, random weights, and all else as it is: its windows, layouts and designs.

    >>> from ser_ops.config.params import load_preset
    >>> at_small_size(load_preset("paper")).wav2vec.hidden
    64
    """
    settings = preset.model_dump()
    for name in ("wav2vec", "spectral", "head", "vit", "beit"):
        part = settings[name]
        if "checkpoint" in part:
            part |= {"checkpoint": None, "revision": None}
        for key, most in _MOST.items():
            if isinstance(part.get(key), int):
                part[key] = min(part[key], most)
            elif key in part:
                part[key] = [min(own, most) for own in part[key]]
    settings["wav2vec"]["convolutions"] = [(min(channels, _MOST["hidden"]), kernel, stride)
                                           for channels, kernel, stride in settings["wav2vec"]["convolutions"]]
    return Preset(**settings)


def _check(what: str, check: Callable[[], str]) -> Check:
    try:
        return Check(what, True, check())
    except _Failure as error:
        return Check(what, False, str(error))
    except Exception as error:  # a network that somebody is writing may raise anything
        return Check(what, False, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no words'}")


class _Checks:
    """A model with synthetic clips. Each check returns its result in words, or raises."""

    def __init__(self, name: str, preset: Preset, settings: Explain) -> None:
        self.name, self.preset = name, preset
        few = {"shap_samples": 4, "occlusion_hop": settings.occlusion_seconds, "batch_size": 16}
        self.settings = settings.model_copy(update=few)
        self.network_class = network(name)       # raises UserError for an unknown name

    @property
    def described(self) -> Model:
        return MODELS[self.name]

    def network(self) -> str:
        if not issubclass(self.network_class, EmotionModel):
            raise _Failure(f"{self.network_class.__name__} is no EmotionModel: derive it from that class")
        if (own := getattr(self.network_class, "name", None)) != self.name:
            raise _Failure(f"{self.network_class.__name__}.name is {own!r}: set it to {self.name!r}")
        self.model = build(self.name, self.preset, seed=1).eval()
        self.subject = Subject(self.model, self.preset.input_of(self.name), None, _RATE, torch.device("cpu"),
                               self.model.spectral.receptive_field if "spectral" in self.model.streams else 1)
        self.clips = [self._clip(number) for number in range(_CLIPS)]
        batches = [clip.batch for clip in self.clips]
        self.waveform, self.valid, self.features = (
            torch.cat([getattr(batch, part) for batch in batches]) for part in ("waveform", "valid", "features"))
        return f"{self.network_class.__name__}, {count(self.model):,} parameters at small size"

    def _clip(self, number: int) -> Clip:
        draw, seconds = generator(number, "made-up clip"), self.preset.input_of(self.name).seconds
        time = np.arange(round(_RATE * seconds * (1 if number % 2 else 0.8))) / _RATE
        wave = 0.2 * np.sin(2 * np.pi * (150 + 90 * number) * time) * (1 + np.sin(9 * time)) + draw.normal(
            0, 0.02, len(time))
        row = VariantRow(f"{number}#original", str(number), "original", "test", EMOTIONS[number], "", "")
        return make_clip(self.subject, row, wave.astype(np.float32))

    @torch.no_grad()
    def _logits(self, waveform: Tensor, features: Tensor, model: nn.Module | None = None) -> Tensor:
        return (model or self.model)(waveform, self.valid, features)

    @torch.no_grad()
    def answer(self) -> str:
        logits = self._logits(self.waveform, self.features)
        if logits.shape != (_CLIPS, len(EMOTIONS)):
            raise _Failure(f"forward gives {tuple(logits.shape)}: give logits of ({_CLIPS}, {len(EMOTIONS)}) for "
                           f"{_CLIPS} clips")
        if not torch.isfinite(logits).all():
            raise _Failure("forward gives logits that are not finite")
        context = self.model.context(self.waveform, self.valid)
        apart = float((self.model.classify(context, self.features) - logits).abs().max())
        if apart > 1e-4:
            raise _Failure(f"classify(context(...)) is not forward: logits differ by {apart:.2g}, and explanations ask "
                           "for both")
        return f"logits {tuple(logits.shape)}, finite"

    def gradients(self) -> str:
        model = build(self.name, self.preset, seed=1).train()
        labels = torch.arange(_CLIPS) % len(EMOTIONS)
        logits = model(self.waveform, self.valid, self.features)
        nn.functional.cross_entropy(*member_examples(logits, labels)).backward()
        trainable = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        without = [name for name, weight in trainable.items() if weight.grad is None]
        if without:
            raise _Failure(f"{len(without)} of {len(trainable)} trainable parameters get no gradient, the first is "
                           f"{without[0]}: use it in classify or leave it out")
        wrong = [name for name, weight in trainable.items()
                 if weight.grad is not None and not torch.isfinite(weight.grad).all()]
        if wrong:
            raise _Failure(f"gradients of {wrong[0]} are not finite")
        return f"all {len(trainable)} trainable parameters get one, finite"

    def streams(self) -> str:
        logits = self._logits(self.waveform, self.features)
        hears = not torch.equal(logits, self._logits(self.waveform.flip(1), self.features))
        reads = not torch.equal(logits, self._logits(self.waveform, self.features.flip(0)))
        declared = self.described.streams
        for stream, used, where in (("wav2vec", hears, "waveform"), ("another stream", reads, "features")):
            expected = "wav2vec" in declared if stream == "wav2vec" else bool(set(declared) - {"wav2vec"})
            if expected != used:
                raise _Failure(f"the table says streams {', '.join(declared)}, and the answer "
                               f"{'changes' if used else 'does not change'} with the {where}")
        return f"{', '.join(declared)}, reads section {self.described.reads} of a preset"

    def folder(self) -> str:
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder), self.model, {"preset": "small"})
            loaded, _ = load(Path(folder))
        apart = float((self._logits(self.waveform, self.features, loaded.eval())
                       - self._logits(self.waveform, self.features)).abs().max())
        if apart > 1e-6:
            raise _Failure(f"saved and loaded again its logits differ by {apart:.2g}: keep all that it knows in "
                           "parameters and buffers")
        return "saved and loaded again it answers the same"

    def cam_layer(self) -> str:
        if self.subject.has_cam_layer != self.described.has_cam_layer:
            raise _Failure(f"the table says has_cam_layer={self.described.has_cam_layer}, and the network's "
                           f"cam_layer() {'names a layer' if self.subject.has_cam_layer else 'raises ValueError'}")
        return "a layer with a place in time" if self.subject.has_cam_layer else "no layer with a place in time"

    def method(self, name: str) -> str:
        if why := METHODS[name].lacks(self.described.streams, self.described.has_cam_layer, self.subject.attends):
            return f"not admitted: {why}"
        question = Question(self.subject, self.clips[0], 0, self.settings, self.features[1:], samples=4)
        trace = method_module(name).explain(question).trace
        if len(trace.values) != len(trace.seconds) or not np.isfinite(trace.values).all():
            raise _Failure("its values over time are not finite, or not as many as moments")
        return f"runs, {len(trace.values)} moments"
