"""Recordings made ready as the pipeline does it: waveforms and features in shards, rows in front of a loop."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.speed.case import Setting
from benchmarks.speed.measure import timed
from ser_ops import model_table
from ser_ops.audio.reading import read_recording
from ser_ops.config.models import Preset
from ser_ops.config.params import Params, load_preset
from ser_ops.config.training import Training
from ser_ops.dataset.examples import Examples, Stores
from ser_ops.documents import read_json
from ser_ops.emotions import EMOTIONS
from ser_ops.manifest import VariantRow
from ser_ops.models.architectures import build
from ser_ops.models.base import EmotionModel
from ser_ops.shards import Shards, write_index, write_shard
from ser_ops.stages import features

MODELS = tuple(model_table.MODELS)
_SHARE = 0.2    # of the recordings, for validation
_MADE: "dict[Path, Ready]" = {}


@dataclass(frozen=True, eq=False)
class Ready:
    """Some recordings as a model finds them after the stages ingest and features.

    Labels go round the classes: no figure of these benchmarks depends on what is learnt.
    """

    params: Params
    preset: Preset
    folder: Path
    files: tuple[Path, ...]
    rows: tuple[VariantRow, ...]
    extracted: dict[str, float] = field(default_factory=dict)   # seconds by section of the preset

    def under(self, preset: str) -> "Ready":
        """The same under another preset with the same features."""
        return replace(self, preset=load_preset(preset))

    @property
    def held(self) -> int:
        """How many of the rows, the last ones, are for validation."""
        return max(2, round(_SHARE * len(self.rows)))

    def settings(self, epochs: int) -> Training:
        """The main model's training, for so many epochs, all of them."""
        return self.params.train.training().model_copy(update={"epochs": epochs, "patience": epochs})

    def model(self, name: str) -> EmotionModel:
        """Fresh, the same each time; backbones by the preset's own sizes, nothing is downloaded."""
        return build(name, self.preset, read_json(self._features(name) / "standardisation.json"), seed=1)

    def examples(self, name: str) -> tuple[Examples, Examples]:
        """Rows to train and to validate on, as the model reads them."""
        stores = Stores(Shards(self.folder / "waveforms"), {}, Shards(self._features(name), keep_mapped=True))
        return (Examples(self.rows[:-self.held], stores, self.length(name)),
                Examples(self.rows[-self.held:], stores, self.length(name)))

    def length(self, name: str) -> int:
        """Samples of the model's window."""
        return round(self.preset.input_of(name).seconds * self.params.data.sample_rate)

    def seconds(self, name: str) -> float:
        """How long the features that a model reads took to make, once for all epochs and models."""
        section = model_table.MODELS[name].reads
        if section not in self.extracted:
            self.extracted[section] = _extract(self, section)
        return self.extracted[section]

    def _features(self, name: str) -> Path:
        self.seconds(name)
        return self.folder / model_table.MODELS[name].reads


def ready(setting: Setting, count: int) -> Ready:
    """`count` of the recordings, decoded into a store; features are made when a model asks for them."""
    folder = setting.scratch / f"ready_{count}"
    if folder not in _MADE:
        _MADE[folder] = _made(setting, setting.some(count), folder)
    return _MADE[folder]


def _made(setting: Setting, files: tuple[Path, ...], folder: Path) -> Ready:
    rate = setting.params.data.sample_rate
    rows = []
    for number in range(len(files)):
        emotion = EMOTIONS[number % len(EMOTIONS)]
        rows.append(VariantRow(f"{number}#original", str(number), "original", "train", emotion, str(number % 16),
                               "some"))
    (folder / "waveforms").mkdir(parents=True)
    samples = ((row.utterance, read_recording(path, rate).samples) for row, path in zip(rows, files, strict=True))
    write_index(folder / "waveforms", write_shard(folder / "waveforms", 0, samples))
    preset = setting.params.chosen
    parts = {name: getattr(preset, name).model_copy(update={"checkpoint": None}) for name in ("wav2vec", "vit", "beit")}
    return Ready(setting.params, preset.model_copy(update=parts), folder, files, tuple(rows))


def _extract(made: Ready, section: str) -> float:
    rows = [features.SourceRow(row.row, True, made.folder / "waveforms", row.utterance) for row in made.rows]
    alone = made.params.compute.model_copy(update={"workers": 1})
    return timed(lambda: features.extract_features(rows, made.folder / section, getattr(made.preset, section),
                                          made.params.data.sample_rate, alone))[1]
