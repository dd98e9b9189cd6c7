"""Our models' side: the house's own augmentation, features, training loop and answers, fold by fold.

A model trains as sections `train` and `augment` and the chosen preset say. It first trains without the validation
speakers, where it is asked to (`checked`), to say how good the settings are on them, and to weigh streams that answer
together, each of which then also answers alone; what answers the test then trains
on all 16 speakers, as the SVMs do. It keeps its last epoch: nothing is chosen on anybody.
"""

import resource
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.unseen_speakers import answers
from benchmarks.unseen_speakers.answers import Answer
from benchmarks.unseen_speakers.baselines import tested
from benchmarks.unseen_speakers.choices import Choices
from benchmarks.unseen_speakers.folds import Fold
from benchmarks.unseen_speakers.sound import Hearing, Sound
from ser_ops.audio.signal import fit_window as window
from ser_ops.augment.quadruplets import copy_names
from ser_ops.config.training import Training
from ser_ops.dataset.examples import Examples, Stores, ordered_batches
from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation.robustness import Panel
from ser_ops.features.extractor import Extractor
from ser_ops.features.standardise import Moments, Standardisation
from ser_ops.files import replacing
from ser_ops.manifest import UtteranceRow, VariantRow
from ser_ops.models import architectures
from ser_ops.models.base import EmotionModel
from ser_ops.models.paper1 import FusionModel, LateFusion
from ser_ops.seeds import derive_seed
from ser_ops.shards import ShardEntry, Shards, write_index, write_shard
from ser_ops.training.loop import Result, calibrate, fit
from ser_ops.training.states import with_backbone_states

CPU = torch.device("cpu")
_PER_SHARD = 64     # utterances


class ModelInput:
    """Every utterance in every variant of section `augment`, with what one model reads of it.

    Made once for all folds and kept under `folder`, by its settings: what is made of an utterance depends on no other.
    """

    def __init__(self, sound: Sound, model: str, folder: Path) -> None:
        self.sound, self.settings = sound, sound.params.chosen.input_of(model)
        self.length = round(self.settings.seconds * sound.sample_rate)
        mark = derive_seed(0, sound.mark, sound.params.augment.model_dump_json(), self.settings.model_dump_json())
        self.folder = folder / f"{mark:016x}"[:12]
        if not self.folder.exists():
            with replacing(self.folder) as made:
                self._make(made)
        waveforms = Shards(self.folder / "waveforms")
        originals = {key.partition("#")[0]: waveforms[key] for key in waveforms if key.endswith("#original")}
        self.stores = Stores(originals, waveforms, Shards(self.folder / "features"))

    def _make(self, folder: Path) -> None:
        extractor = Extractor(self.settings, self.sound.sample_rate)
        names = ("waveforms", "features")
        entries: tuple[list[ShardEntry], list[ShardEntry]] = ([], [])
        for name in names:
            (folder / name).mkdir(parents=True)
        for number, indices in enumerate(ordered_batches(len(self.sound.rows), _PER_SHARD)):
            keys, cut = [], []
            for row in (self.sound.rows[index] for index in indices):
                for variant in self.sound.variants(row.utterance):
                    keys.append(f"{row.utterance}#{variant.name}")
                    cut.append(window(variant.samples, extractor.length)[0])
            with torch.inference_mode():
                read = [array for part in torch.from_numpy(np.stack(cut)).split(_PER_SHARD)
                        for array in extractor(part).numpy()]
            for name, kept, arrays in zip(names, entries, (cut, read), strict=True):
                kept += write_shard(folder / name, number, zip(keys, arrays, strict=True))
            print(f"heard: {len(keys) * (number + 1)} of about {len(keys) * len(self.sound.rows) // len(indices)}",
                  flush=True)
        for name, kept in zip(names, entries, strict=True):
            write_index(folder / name, kept)

    def examples(self, speakers: Collection[str], partition: str) -> Examples:
        """The utterances of these speakers in every variant of their partition: train, or validation."""
        settings = self.sound.params.augment
        copies = [name for name in copy_names(settings)
                  if f"{self.sound.rows[0].utterance}#{name}" in self.stores.features]
        variants = settings.variants if partition == "train" else ("original", *copies)
        rows = [VariantRow(f"{row.utterance}#{variant}", row.utterance, variant, partition, row.emotion, row.speaker,
                           row.corpus, noise_category="validation" if variant in copies else "")
                for row in self.sound.rows if row.speaker in speakers for variant in variants]
        return Examples(rows, self.stores, self.length)

    def with_states(self, network: EmotionModel, speakers: Collection[str], partition: str) -> Examples:
        """The same, with what a frozen checkpoint makes of them in the place of waveforms.

        That is made once for the rows of all folds: what is made of a row depends on no other.
        """
        everybody = {row.speaker for row in self.sound.rows}
        every = [self.examples(everybody, name) for name in ("train", "validation")]
        stores = with_backbone_states(network, every, self.folder / "states", CPU, self.sound.params.compute)[0].stores
        examples = self.examples(speakers, partition)
        return examples if stores.states is None else examples.with_states(stores.states)

    def standardisation(self, examples: Examples) -> Standardisation:
        """Mean and deviation of each row of the features over these examples."""
        parts = (Moments.of(self.stores.features[row.row][None], self.settings) for row in examples.rows)
        return sum(parts, start=Moments.none(self.settings)).standardisation()


def run(model: str, sound: Sound, choices: Choices, folds: Sequence[Fold], folder: Path,
        settings: Training, system: str = "", checked: bool = True, beside: Mapping[str, Any] | None = None) -> None:
    """Train `model` in each fold and write its answers as `system`; what is done already is left.

    checked: also train without the validation speakers, and record their UAR; beside: what else the record says.
    """
    system = system or model
    settings = settings.model_copy(update={"keep": "last"})
    heard = ModelInput(sound, model, folder / "heard")
    for fold in folds:
        if answers.done(folder / "predictions", system, fold.number):
            continue
        began = _processor_seconds()
        validated: Result | None = None
        weights: Tensor | None = None
        if checked:
            trial, validated = trained(model, heard, settings, fold.train, fold.validation, fold)
            calibrate(trial, heard.with_states(trial, fold.validation, "validation"), settings.batch_size, CPU)
            weights = late.weights if (late := late_fusion(trial)) is not None else None
        network, result = trained(model, heard, settings, (*fold.train, *fold.validation), fold.validation, fold)
        late = late_fusion(network)
        if late is not None and weights is not None:
            late.weights.copy_(weights)
        seconds = _processor_seconds() - began
        record = {
            "seconds_training": round(seconds, 1), "threads": 1, "trained_on": [*fold.train, *fold.validation],
            "chosen": {"epochs": len(result.history), "preset": sound.params.preset, **settings.model_dump(),
                                                                 **(beside or {})},
            "parameters": architectures.count(network),
            "stream_weights": late and dict(zip(late.streams, late.weights.tolist(), strict=True)),
            "validation_uar": validated and round(validated.validation_uar, 4)}
        network.eval()
        asked = asked_by_stream(network, late, system) if isinstance(network, FusionModel) and late is not None else \
            {system: network}
        panel = Panel({name: (part, card(model, sound)) for name, part in asked.items()}, CPU,
                      sound.params.evaluate.batch_size)
        given = _answers(panel, sound, choices, fold)
        for name in reversed(asked):    # the model itself last: its record says that the fold is done
            answers.write(folder / "predictions", name, fold.number, given[name], record)
        print(f"{system} fold {fold.number}: done, {seconds:.0f} s", flush=True)


class _Asked(EmotionModel):
    """A late fusion of which one stream answers alone, or all; the others of `memory` need not hear the same again."""

    name = "fusion"

    def __init__(self, network: FusionModel, late: LateFusion, stream: str | None, memory: dict[str, Any]) -> None:
        super().__init__(network.preset)
        self.network, self.late, self.stream, self.memory = network, late, stream, memory

    def forward(self, waveform: Tensor, valid: Tensor, features: Tensor) -> Tensor:
        if self.memory.get("waveform") is not waveform:
            context = self.network.context(waveform, valid)
            self.memory.update(waveform=waveform, embeddings=self.network.embeddings(context, features))
        self.late.alone = self.stream
        return self.late(self.memory["embeddings"])


def asked_by_stream(network: FusionModel, late: LateFusion, system: str) -> dict[str, EmotionModel]:
    """The model, and each of its streams alone, by the name of the system."""
    memory: dict[str, Any] = {}
    return {f"{system}, {stream} alone" if stream else system: _Asked(network, late, stream, memory)
            for stream in (None, *late.streams)}


def late_fusion(network: EmotionModel) -> LateFusion | None:
    """The part of a model that joins its streams' answers, if that is how it answers."""
    return network.late if isinstance(network, FusionModel) else None


def _processor_seconds() -> float:
    """Processor seconds of this process and of those that it started."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def card(model: str, sound: Sound) -> dict[str, Any]:
    """What a model's card says of how it hears."""
    return {"model": model, "sample_rate": sound.sample_rate,
            "preset_settings": sound.params.chosen.model_dump(mode="json")}


def trained(model: str, heard: ModelInput, settings: Training, speakers: Collection[str],
             validating: Collection[str], fold: Fold) -> tuple[EmotionModel, Result]:
    """The model as it is after training on these speakers, and the course of its training."""
    network = architectures.build(model, heard.sound.params.chosen,
                                  heard.standardisation(heard.examples(speakers, "train")),
                                  derive_seed(settings.seed, "model"))
    train, validation = (heard.with_states(network, *part) for part in ((speakers, "train"),
                                                                        (validating, "validation")))
    return network, fit(network, train, validation, settings, CPU, what=f"{model} fold {fold.number}")


def probabilities(panel: Panel, sound: Sound, rows: Sequence[UtteranceRow], heard: Hearing) -> np.ndarray:
    """What each model answers to these rows of the manifest under one condition, (models, n, 7)."""
    return np.concatenate([panel([sound(rows[index].utterance, heard) for index in indices])
                           for indices in ordered_batches(len(rows), panel.batch_size)], axis=1)


def _answers(panel: Panel, sound: Sound, choices: Choices, fold: Fold) -> dict[str, list[Answer]]:
    rows = [row for row in sound.rows if row.speaker in fold.test]
    given: dict[str, list[Answer]] = {name: [] for name in panel.names}
    for heard in tested(sound, choices):
        condition = heard.condition
        for name, answered in zip(panel.names, probabilities(panel, sound, rows, heard), strict=True):
            given[name] += [
                Answer(condition.noise, condition.intensity, condition.seed, row.utterance, row.speaker, row.emotion,
                       EMOTIONS[int(each.argmax())], tuple(each.tolist()))
                for row, each in zip(rows, answered, strict=True)]
    return given
