"""Small models with the interface of ser_ops.models, and examples in memory."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ser_ops.audio.signal import fit_window
from ser_ops.config.explaining import Explain
from ser_ops.config.models import Features, MelImage, Stacked, Window
from ser_ops.config.params import load_params
from ser_ops.dataset.examples import Examples, Stores
from ser_ops.emotions import EMOTIONS
from ser_ops.explain.background import Background
from ser_ops.explain.clip import Clip, make_clip
from ser_ops.explain.explanations import choose_per_class
from ser_ops.explain.overall_figures import feature_importance
from ser_ops.explain.question import Question, explain_clip
from ser_ops.explain.subject import Subject
from ser_ops.explain.trace import Trace
from ser_ops.explain.utterance import OutputFolders, clip_entry, explain_utterance
from ser_ops.features.extractor import Extractor
from ser_ops.features.index_map import shape_of
from ser_ops.features.paper2 import mel_rows
from ser_ops.manifest import VariantRow
from ser_ops.seeds import generator

RATE = 16000


def features(layout: str = "frames") -> Features:
    """Half a second, ten coefficients: 16 frames of 12 kinds."""
    return Features(sample_rate=RATE, seconds=0.5, frame=1024, hop=512, mfcc=10, mels=128,
                    layout=layout, level="keep", centre=False, standardise=True)


def explain_settings(**changes: object) -> Explain:
    """Section explain of params.yaml, with the numbers of it small."""
    small = {"seed": 1, "per_class": 1, "background": 4, "shap_samples": 20, "top": 5, "batch_size": 8}
    return Explain(**load_params().explain.model_dump() | small | changes)


class Spectral(nn.Module):
    """Two convolutions over time; the serial layout is one long channel."""

    receptive_field = 33    # not its own, as a number to recognise

    def __init__(self, settings: Features) -> None:
        super().__init__()
        self.serial = settings.layout == "serial"
        self.first = nn.Conv1d(1 if self.serial else 2 + settings.mfcc, 8, 3, padding=1)
        self.last_convolution = nn.Conv1d(8, 6, 3, padding=1)

    def forward(self, values: Tensor) -> Tensor:
        values = values[:, None] if self.serial else values
        pooled = nn.functional.max_pool1d(torch.relu(self.first(values)), 2)
        return torch.relu(self.last_convolution(pooled)).flatten(1)


class StandIn(nn.Module):
    """Fusion of a mean over the waveform and the small spectral stream."""

    def __init__(self, settings: Features, streams: tuple[str, ...] = ("wav2vec", "spectral")) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.streams = streams
        self.contexts = 0
        if "wav2vec" in streams:
            self.heard = nn.Linear(4, 5)
        if "spectral" in streams:
            self.spectral = Spectral(settings)
        self.head = nn.LazyLinear(len(EMOTIONS))
        self(torch.zeros(1, RATE // 2), torch.tensor([RATE // 2]), torch.zeros(1, *shape_of(settings)))

    def context(self, waveform: Tensor, valid: Tensor) -> Tensor:
        self.contexts += 1
        if "wav2vec" not in self.streams:
            return waveform.new_zeros(len(waveform), 0)
        return self.heard(waveform.reshape(len(waveform), 4, -1).abs().mean(-1))

    def classify(self, context: Tensor, values: Tensor) -> Tensor:
        return self.head(torch.cat([context, self.spectral(values)], 1) if "spectral" in self.streams else context)

    def cam_layer(self) -> nn.Module:
        if "spectral" not in self.streams:
            raise ValueError("no convolution")
        return self.spectral.last_convolution

    def forward(self, waveform: Tensor, valid: Tensor, values: Tensor) -> Tensor:
        return self.classify(self.context(waveform, valid), values)


def examples(settings: Features, partition: str, per_class: int = 2) -> Examples:
    """Utterances of 0.3 to 0.7 s, with features that are noise."""
    rows, waves, values = [], {}, {}
    for emotion in EMOTIONS:
        for number in range(per_class):
            name = f"made/{partition}_{emotion}_{number}"
            random = generator(1, name)
            rows.append(VariantRow(f"{name}#original", name, "original", partition, emotion, "made/1", "made"))
            waves[name] = random.normal(0, 0.1, int(RATE * random.uniform(0.3, 0.7))).astype(np.float32)
            values[rows[-1].row] = random.normal(size=shape_of(settings)).astype(np.float32)
    return Examples(rows, Stores(waves, {}, values), RATE // 2)


def stacked_settings(**changes: object) -> Stacked:
    """Two seconds, 32 bands: 63 frames."""
    return Stacked(**{"sample_rate": RATE, "seconds": 2.0, "frame": 1024, "hop": 512, "mfcc": 10, "mels": 32,
                      "mel_scale": "decibels", "standardise": True} | changes)


def image_settings() -> MelImage:
    """Two seconds, 64 bands by 64 frames."""
    return MelImage(sample_rate=RATE, seconds=2.0, frame=1024, hop=507, mels=64)


class OverTime(nn.Module):
    """Class 0 is how loud one band is, heard through convolution, pooling and convolution, none of them padded."""

    streams = ("stacked",)

    def __init__(self, settings: Stacked, band: int, standardisation: dict[str, list[float]]) -> None:
        super().__init__()
        self.mean, self.std = (torch.tensor(standardisation[name])[:, None] for name in ("mean", "std"))
        row = mel_rows(settings).start + band
        self.first, self.second = nn.Conv1d(shape_of(settings)[0], 2, 3), nn.Conv1d(2, 2, 5)
        for layer in (self.first, self.second):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.first.weight.data[0, row] = 1 / 3
        self.second.weight.data[0, 0, 2] = 1.0
        self.first.bias.data.fill_(-1.0)    # deviations above the mean, below which the band does not count

    def context(self, waveform: Tensor, valid: Tensor) -> Tensor:
        return waveform.new_zeros(len(waveform), 0)

    def classify(self, context: Tensor, values: Tensor) -> Tensor:
        values = (values - self.mean) / self.std
        heard = self.second(nn.functional.max_pool1d(torch.relu(self.first(values)), 2))
        return nn.functional.pad(heard[:, :1].sum(2), (0, 6))

    def cam_layer(self) -> nn.Module:
        return self.second

    def maps(self, output: Tensor) -> Tensor:
        return output

    def forward(self, waveform: Tensor, valid: Tensor, values: Tensor) -> Tensor:
        return self.classify(self.context(waveform, valid), values)


class OverImage(OverTime):
    """Class 0 is how much of each patch of 8 by 8 is loud."""

    streams = ("image",)

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.patches = nn.Conv2d(1, 2, 8, stride=8)
        nn.init.constant_(self.patches.weight, 1 / 64)
        nn.init.zeros_(self.patches.bias)

    def classify(self, context: Tensor, values: Tensor) -> Tensor:
        loud = torch.relu(values[:, None] / 80 + 0.5)
        return nn.functional.pad(self.patches(loud).square().sum((1, 2, 3))[:, None], (0, 6))

    def cam_layer(self) -> nn.Module:
        return self.patches


def question(subject: Subject, clip: Clip, target: int, settings: Explain, **more: object) -> Question:
    """As `explain_utterance` asks: `more` are further fields of Question."""
    return Question(subject, clip, target, settings, **{"samples": settings.shap_samples} | more)


def traces(subject: Subject, clip: Clip, target: int, background: Tensor | None, settings: Explain,
           only: Collection[str] | None = None, **more: object) -> dict[str, Trace]:
    """What every method gives to each moment."""
    asked = question(subject, clip, target, settings, background=background, **more)
    return {name: explanation.trace for name, explanation in explain_clip(asked, only).items()}


def explained(subject: Subject, test: Examples, train: Examples, folder: Path, prefix: str,
              settings: Explain | None = None, classes: int = len(EMOTIONS)) -> dict[str, Any]:
    """As the stage without noise, one utterance of each of the first classes of `test`: clips, heard and shap."""
    settings, output = settings or explain_settings(), OutputFolders(folder, prefix, folder, prefix)
    ground = Background.of(subject, train.batch(range(len(train))), 8, "made") if subject.needs_background else None
    made = [explain_utterance(subject, [make_clip(subject, row, test.stores.waveform(row))], ground, settings)
            for row in (test.rows[position] for position in choose_per_class(test.rows, 1, settings.seed)[:classes])]
    values = [utterance.attribution for utterance in made if utterance.attribution is not None]
    return {"clips": [clip_entry(utterance, output, f"{utterance.entries[0]['emotion']}_1") for utterance in made],
            "heard": [utterance.entries[0] for utterance in made],
            "shap": feature_importance(subject, values, [utterance.entries[0]["explained"] for utterance in made],
                                       settings, len(train), folder / "shap_global.png") if values else None}


def burst(hertz: float, start: float | None, seed: int = 1) -> np.ndarray:
    """Two seconds of faint noise with a tone of 0.2 s from `start`, or without: float32 (n,)."""
    time, tone = np.arange(2 * RATE) / RATE, np.zeros(2 * RATE)
    if start is not None:   # faded in and out: a sudden edge would sound at every frequency
        first, last = round(start * RATE), round((start + 0.2) * RATE)
        tone[first:last] = 0.5 * np.hanning(last - first) * np.sin(2 * np.pi * hertz * time[first:last])
    return (tone + generator(seed, "burst").normal(0, 0.001, len(time))).astype(np.float32)


def examples_of(settings: Window, waves: dict[str, np.ndarray], emotions: tuple[str, ...] = EMOTIONS) -> Examples:
    """Examples whose features are made of their waveforms; names of `waves` are utterances, emotions go round."""
    length, values = round(settings.seconds * RATE), {}
    rows = [VariantRow(f"{name}#original", name, "original", "test", emotions[number % len(emotions)], "made/1", "made")
            for number, name in enumerate(waves)]
    extract = Extractor(settings, RATE)
    for row in rows:
        values[row.row] = extract(torch.from_numpy(fit_window(waves[row.utterance], length)[0])[None])[0].numpy()
    return Examples(rows, Stores(waves, {}, values), length)
