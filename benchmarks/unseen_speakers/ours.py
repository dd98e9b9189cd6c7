"""Our models' side: the house's own augmentation, features, training loop and answers, fold by fold.

A model trains as sections `train` and `augment` and the chosen preset say. It first trains without the validation
speakers, where it is asked to (`checked`), to say how good the settings are on them; what answers the test then trains
on all 16 speakers, as the SVMs do. It keeps its last epoch: nothing is chosen on anybody.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.unseen_speakers import answers
from benchmarks.unseen_speakers.answers import Answer
from benchmarks.unseen_speakers.baselines import tested
from benchmarks.unseen_speakers.choices import Choices
from benchmarks.unseen_speakers.folds import Fold
from benchmarks.unseen_speakers.sound import Hearing, Sound
from ser_ops.audio.signal import fit_window as window
from ser_ops.config.training import Training
from ser_ops.dataset.examples import Examples, Stores, ordered_batches
from ser_ops.emotions import EMOTIONS
from ser_ops.evaluation.robustness import Panel
from ser_ops.features.extractor import Extractor
from ser_ops.features.standardise import Moments, Standardisation
from ser_ops.files import replacing
from ser_ops.manifest import UtteranceRow, VariantRow
from ser_ops.models import architectures, base
from ser_ops.seeds import derive_seed
from ser_ops.shards import ShardEntry, Shards, write_index, write_shard
from ser_ops.training.loop import Result, fit

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
        """The utterances of these speakers: every variant for the partition train, else the originals alone."""
        rows = [VariantRow(f"{row.utterance}#{variant}", row.utterance, variant, partition, row.emotion, row.speaker,
                           row.corpus)
                for row in self.sound.rows if row.speaker in speakers
                for variant in (self.sound.params.augment.variants if partition == "train" else ("original",))]
        return Examples(rows, self.stores, self.length)

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
        began = time.process_time()
        network, result = trained(model, heard, settings, (*fold.train, *fold.validation), fold.validation, fold)
        seconds = time.process_time() - began
        validated = trained(model, heard, settings, fold.train, fold.validation, fold)[1] if checked else None
        panel = Panel({model: (network.eval(), card(model, sound))}, torch.device("cpu"),
                      sound.params.evaluate.batch_size)
        answers.write(folder / "predictions", system, fold.number, list(_answers(panel, sound, choices, fold)), {
            "seconds_training": round(seconds, 1), "threads": 1, "trained_on": [*fold.train, *fold.validation],
            "chosen": {"epochs": len(result.history), "preset": sound.params.preset, **settings.model_dump(),
                                                                 **(beside or {})},
            "parameters": architectures.count(network),
            "validation_uar": validated and round(validated.validation_uar, 4)})
        print(f"{system} fold {fold.number}: done, {seconds:.0f} s", flush=True)


def card(model: str, sound: Sound) -> dict[str, Any]:
    """What a model's card says of how it hears."""
    return {"model": model, "sample_rate": sound.sample_rate,
            "preset_settings": sound.params.chosen.model_dump(mode="json")}


def trained(model: str, heard: ModelInput, settings: Training, speakers: Collection[str],
             validating: Collection[str], fold: Fold) -> tuple[base.EmotionModel, Result]:
    """The model as it is after training on these speakers, and the course of its training."""
    train, validation = heard.examples(speakers, "train"), heard.examples(validating, "validation")
    network = architectures.build(model, heard.sound.params.chosen, heard.standardisation(train),
                           derive_seed(settings.seed, "model"))
    return network, fit(network, train, validation, settings, torch.device("cpu"), what=f"{model} fold {fold.number}")


def probabilities(panel: Panel, sound: Sound, rows: Sequence[UtteranceRow], heard: Hearing) -> np.ndarray:
    """What one model answers to these rows of the manifest under one condition, (n, 7)."""
    return np.concatenate([panel([sound(rows[index].utterance, heard) for index in indices])[0]
                           for indices in ordered_batches(len(rows), panel.batch_size)])


def _answers(panel: Panel, sound: Sound, choices: Choices, fold: Fold) -> Iterator[Answer]:
    rows = [row for row in sound.rows if row.speaker in fold.test]
    for heard in tested(sound, choices):
        condition = heard.condition
        answered = probabilities(panel, sound, rows, heard)
        for row, each in zip(rows, answered, strict=True):
            yield Answer(condition.noise, condition.intensity, condition.seed, row.utterance, row.speaker, row.emotion,
                         EMOTIONS[int(each.argmax())], tuple(each.tolist()))
