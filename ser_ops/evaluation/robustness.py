"""The noise x intensity x seed grid on test utterances (PROTOCOL 3; table V of paper 1).

Each mixture is made once, from noise recordings of the test partition, and every model answers it. Cells are spread
over one process per core; what a cell yields depends on its own key alone, never on order or worker.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.evaluation.panel import Panel
from ser_ops.evaluation.predictions import DIGITS, Condition, Predictions
from ser_ops.noise.mixing import Level, Mixer, Mixture
from ser_ops.progress.spreading import spread
from ser_ops.shards import Shards

Mix = Callable[[str, np.ndarray, str, float, int, str], Mixture]
Answers = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Job:
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


def stores(job: Job) -> tuple[Mapping[str, np.ndarray], Mix]:
    """Waveforms by utterance, and the mixer of a job."""
    from ser_ops.corpora.table import read_csv
    mixer = Mixer(Shards(job.work / "ingest" / "noise"), read_csv(job.work / "validated" / "noise.csv"),
                  level=job.level, silent_dbfs=job.silent_dbfs)
    return Shards(job.work / "ingest" / "waveforms"), mixer


@lru_cache(maxsize=1)
def opened(job: Job) -> tuple[Panel, Mapping[str, np.ndarray], Mix]:
    """Models and stores of a job, loaded once in each process."""
    from ser_ops.device import device_of
    from ser_ops.models.model_folder import load
    panel = Panel({name: load(folder) for name, folder in job.models}, device_of(job.device), job.batch_size)
    return panel, *stores(job)


def _cell(job: Job, condition: Condition) -> Answers:
    panel, waveforms, mixer = opened(job)
    return answer(panel, waveforms, mixer, job.utterances, condition)


def answer(panel: Panel, waveforms: Mapping[str, np.ndarray], mixer: Mix | None, utterances: Sequence[str],
           condition: Condition) -> Answers:
    """Probabilities (models, utterances, 7) and SNR in dB (utterances,) under one condition; SNR is NaN when clean.

    Only one batch of mixtures is held at a time. Raises UserError when a model answers NaN.
    """
    found, snr = [], np.full(len(utterances), np.nan)
    for start in range(0, len(utterances), panel.batch_size):
        heard = []
        for number, utterance in enumerate(utterances[start:start + panel.batch_size], start):
            speech = waveforms[utterance]
            if not condition.clean:
                if mixer is None or condition.seed is None:
                    raise ValueError(f"{condition.cell}: a noisy condition needs a mixer and a seed")
                mixture = mixer(utterance, speech, condition.noise, condition.intensity, condition.seed, "test")
                speech, snr[number] = mixture.samples, mixture.snr_db if math.isfinite(mixture.snr_db) else np.nan
            heard.append(speech)
        found.append(panel(heard))
    probabilities = np.concatenate(found, axis=1).round(DIGITS)
    broken = np.flatnonzero(~np.isfinite(probabilities).all((1, 2)))
    if broken.size:
        raise UserError(f"model {panel.names[broken[0]]}: answers NaN under {condition.cell}: its weights are damaged, "
                        "train it again")
    return probabilities, snr


def predict(job: Job, true: np.ndarray, conditions: Sequence[Condition], workers: int) -> Predictions:
    """Let every model of a job answer every utterance under every condition, over `workers` processes (0: per core).

    true: class indices (utterances,). A GPU is one worker.
    """
    from ser_ops.device import device_of
    if device_of(job.device).type != "cpu":
        workers = 1
    answers = spread(partial(_cell, job), list(conditions), "evaluate", workers, unit="cell")
    names = tuple(name for name, _ in job.models)
    found = gather(names, job.utterances, true, conditions, answers)
    opened.cache_clear()
    return found


def gather(models: Sequence[str], utterances: Sequence[str], true: np.ndarray, conditions: Sequence[Condition],
           answers: Iterable[Answers]) -> Predictions:
    """Predictions from the answers to each condition, in the order of `conditions`."""
    probabilities = np.empty((len(models), len(conditions), len(utterances), len(EMOTIONS)))
    snr = np.empty((len(conditions), len(utterances)))
    for place, (one, ratios) in enumerate(answers):
        probabilities[:, place], snr[place] = one, ratios
    return Predictions(tuple(models), tuple(utterances), np.asarray(true, np.int64), tuple(conditions), probabilities,
                       snr)
