"""The noise x intensity x seed grid on test utterances (docs/explanation/protocol.md, 3; table V of paper 1).

Beside the grid: clean test utterances over telephone lines and in rooms.

Each mixture is made once, from noise recordings of the test partition, and every model answers it. Cells are spread
over one process per core; what a cell yields depends on its own key alone, never on order or worker.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ser_ops.audio.signal import fit_window
from ser_ops.config.model_json import input_of
from ser_ops.config.models import Window
from ser_ops.config.params import Params
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.evaluation.predictions import DIGITS, Condition, Predictions
from ser_ops.features.extractor import Extractor
from ser_ops.manifest import VariantRow, validated_noise
from ser_ops.models.base import EmotionModel
from ser_ops.models.wav2vec_backbone import Backbone
from ser_ops.noise.mixing import Level, Mixer, Mixture
from ser_ops.progress.spreading import parallel_map
from ser_ops.shards import Shards
from ser_ops.transmission.conditions import transmit

Mix = Callable[[str, np.ndarray, str, float, int, str], Mixture]
Answers = tuple[np.ndarray, np.ndarray]


class Panel:
    """Models with their cards, ready on one device in evaluation mode, that answer the same waveforms.

    Models that read the same input share it: a waveform is cut and its features are computed once. So do models with
    the same frozen encoder: its states are computed once. A card needs `model`, `sample_rate` (hertz, the same of all)
    and `preset_settings`.
    """

    def __init__(self, models: Mapping[str, tuple[EmotionModel, Mapping[str, Any]]], device: torch.device,
                 batch_size: int) -> None:
        self.names = tuple(models)
        self.device, self.batch_size = device, batch_size
        rates = {int(card["sample_rate"]) for _, card in models.values()}
        if len(rates) != 1:
            raise ValueError(f"models at {sorted(rates)} Hz cannot share waveforms")
        self.sample_rate = rates.pop()
        self._models = [model.to(device).eval() for model, _ in models.values()]
        self._groups: dict[Window, list[int]] = {}
        for index, (_, card) in enumerate(models.values()):
            self._groups.setdefault(input_of(card), []).append(index)
        self._encoders = [self._encoder_of(index) for index in range(len(self._models))]
        self._extractors = {window: Extractor(window, source_rate=self.sample_rate) for window in self._groups}

    def __call__(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        """Probabilities, float64 (models, n, 7), of n waveforms, each float32 (samples,) mono at `sample_rate`.

        Of each the middle window is heard, zero padded where it is shorter (`ser_ops.audio.signal.fit_window`).
        """
        answers = [self._answer(waveforms[start:start + self.batch_size])
                   for start in range(0, len(waveforms), self.batch_size)]
        return np.concatenate(answers, axis=1)

    def _encoder_of(self, index: int) -> Backbone | None:
        """The speech encoder of a model, or an earlier model's that gives the same states; None without one."""
        *earlier, own = [getattr(model, "backbone", None) for model in self._models[:index + 1]]
        if not isinstance(own, Backbone):
            return None
        return next((encoder for encoder in earlier if isinstance(encoder, Backbone) and encoder.same_states(own)), own)

    def _answer(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        answers: list[np.ndarray] = [np.empty(0)] * len(self._models)
        with torch.inference_mode():
            for settings, members in self._groups.items():
                extractor = self._extractors[settings]
                fitted = [fit_window(waveform, extractor.length) for waveform in waveforms]
                batch = torch.from_numpy(np.stack([window for window, _ in fitted])).to(self.device)
                valid = torch.tensor([length for _, length in fitted]).to(self.device)
                read = any(set(self._models[index].streams) - {"wav2vec"} for index in members)
                features = extractor(batch) if read else batch[:, :0]  # a stream that no model has costs nothing
                states: dict[Backbone, torch.Tensor] = {}
                for index in members:
                    heard, encoder = batch, self._encoders[index]
                    if encoder is not None and self._encoders.count(encoder) > 1:
                        if encoder not in states:
                            states[encoder] = encoder.states(batch, valid)
                        heard = states[encoder]
                    logits = self._models[index](heard, valid, features)
                    answers[index] = torch.softmax(logits.double(), dim=1).cpu().numpy()
        return np.stack(answers)


@dataclass(frozen=True)
class EvaluationJob:
    """What a process needs to answer cells: model folders by name, the pipeline's work folder, test utterances.

    level, silent_dbfs: how mixtures are made (section augment). Opening raises UserError where a folder is no model or
    a store is missing.
    """

    models: tuple[tuple[str, Path], ...]
    work: Path
    utterances: tuple[str, ...]
    device: str
    batch_size: int
    level: Level
    silent_dbfs: float


def evaluation_job(params: Params, folders: Mapping[str, Path], rows: Sequence[VariantRow]) -> EvaluationJob:
    """The models in `folders`, by name, asked about the utterances of `rows`, with the project's settings."""
    return EvaluationJob(tuple(folders.items()), params.paths.work, tuple(row.utterance for row in rows),
                         params.compute.device, params.evaluate.batch_size, params.augment.level,
                         params.augment.silent_crop_dbfs)


def predict_grid(job: EvaluationJob, speakers: Sequence[str], true: np.ndarray, conditions: Sequence[Condition],
                 workers: int) -> Predictions:
    """Let every model of a job answer every utterance under every condition, over `workers` processes (0: per core).

    speakers, true: of each utterance, class indices in `true`, (utterances,). A GPU is one worker.
    """
    from ser_ops.device import device_of
    if device_of(job.device).type != "cpu":
        workers = 1
    answers = parallel_map(partial(_answer_condition, job), list(conditions), "evaluate", workers, unit="cell")
    names = tuple(name for name, _ in job.models)
    predictions = gather_predictions(names, job.utterances, speakers, true, conditions, answers)
    open_job.cache_clear()
    return predictions


def _answer_condition(job: EvaluationJob, condition: Condition) -> Answers:
    panel, waveforms, mixer = open_job(job)
    return answer_condition(panel, waveforms, mixer, job.utterances, condition)


@lru_cache(maxsize=1)
def open_job(job: EvaluationJob) -> tuple[Panel, Mapping[str, np.ndarray], Mix]:
    """Models and stores of a job, loaded once in each process."""
    from ser_ops.device import device_of
    from ser_ops.models.model_folder import load
    panel = Panel({name: load(folder) for name, folder in job.models}, device_of(job.device), job.batch_size)
    return panel, *open_stores(job)


def open_stores(job: EvaluationJob) -> tuple[Mapping[str, np.ndarray], Mixer]:
    """Waveforms by utterance, and the mixer of a job."""
    mixer = Mixer(Shards(job.work / "ingest" / "noise"), validated_noise(job.work),
                  level=job.level, silent_dbfs=job.silent_dbfs)
    return Shards(job.work / "ingest" / "waveforms"), mixer


def answer_condition(panel: Panel, waveforms: Mapping[str, np.ndarray], mixer: Mix | None, utterances: Sequence[str],
                     condition: Condition) -> Answers:
    """Probabilities (models, utterances, 7) and SNR in dB (utterances,) under one condition; SNR is NaN without noise.

    Only one batch of mixtures is held at a time. Raises UserError when a model answers NaN.
    """
    batches, snr = [], np.full(len(utterances), np.nan)
    for start in range(0, len(utterances), panel.batch_size):
        batch = []
        for index, utterance in enumerate(utterances[start:start + panel.batch_size], start):
            speech = waveforms[utterance]
            if condition.transmitted:
                speech = transmit(speech, condition.noise, panel.sample_rate, condition.seed or 0, utterance)
            elif not condition.clean:
                if mixer is None or condition.seed is None:
                    raise ValueError(f"{condition.cell}: a noisy condition needs a mixer and a seed")
                mixture = mixer(utterance, speech, condition.noise, condition.intensity, condition.seed, "test")
                speech, snr[index] = mixture.samples, mixture.snr_db if math.isfinite(mixture.snr_db) else np.nan
            batch.append(speech)
        batches.append(panel(batch))
    probabilities = np.concatenate(batches, axis=1).round(DIGITS)
    broken = np.flatnonzero(~np.isfinite(probabilities).all((1, 2)))
    if broken.size:
        raise UserError(f"model {panel.names[broken[0]]}: answers NaN under {condition.cell}: its weights are damaged, "
                        "train it again")
    return probabilities, snr


def gather_predictions(models: Sequence[str], utterances: Sequence[str], speakers: Sequence[str], true: np.ndarray,
                       conditions: Sequence[Condition], answers: Iterable[Answers]) -> Predictions:
    """Predictions from the answers to each condition, in the order of `conditions`."""
    probabilities = np.empty((len(models), len(conditions), len(utterances), len(EMOTIONS)))
    snr = np.empty((len(conditions), len(utterances)))
    for index, (cell_probabilities, cell_snr) in enumerate(answers):
        probabilities[:, index], snr[index] = cell_probabilities, cell_snr
    return Predictions(tuple(models), tuple(utterances), tuple(speakers), np.asarray(true, np.int64),
                       tuple(conditions), probabilities, snr)
