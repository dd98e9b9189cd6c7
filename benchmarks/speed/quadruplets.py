"""Quadruplets of a whole corpus, from files to training batches: ours, and a loop over files with librosa and NumPy.

Both read every recording at 16 kHz, make the paper's four variants of it, the features of params.yaml's preset for
each, and batches of one epoch in random order: windows of samples, features, labels. Ours is the pipeline's stages
ingest, augment and features and its dataset, which write everything to disk on the way; the loop holds it in memory.
Each round is a process of its own, so that memory can be read off; its processor seconds count from the first file on.
"""

import resource
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.speed import features, machine, pitch
from benchmarks.speed.case import Row, Setting
from benchmarks.speed.measure import cpu, repeated
from ser_ops.audio.admission import Clip
from ser_ops.audio.signal import without_offset
from ser_ops.config.models import Features
from ser_ops.config.params import Params
from ser_ops.emotions import EMOTIONS

ASKED = 4.0
MEGABYTES = 1500
ROUNDS = 3
VARIANTS = ("original", "noisy", "pitched", "pitched_noisy")
WARM = 4            # recordings that each process meets before it is timed


@dataclass(frozen=True)
class Made:
    """Of one process: processor seconds by part, most memory in MB, examples in batches, some original's features."""

    seconds: dict[str, float]
    megabytes: float
    examples: int
    originals: dict[str, np.ndarray]

    @property
    def total(self) -> float:
        """Seconds of all parts."""
        return sum(self.seconds.values())


class Watch:
    """Processor seconds by part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = cpu()

    def lap(self, part: str) -> None:
        """What went by since the last lap, or the start, was `part`."""
        now = cpu()
        self.seconds[part] = self.seconds.get(part, 0.0) + now - self._since
        self._since = now


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _key(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def _compared(files: Sequence[Path], rate: int) -> list[int]:
    """Every tenth recording that is not resampled: librosa rounds the length otherwise, and the window is another."""
    import soundfile
    return [index for index in range(0, len(files), 10) if soundfile.info(files[index]).samplerate == rate]


def _settings(params: Params) -> Features:
    return params.chosen.features


def ours(setting: Setting, files: Sequence[Path], noise: Sequence[Path]) -> Made:
    """The pipeline's own stages, on one core."""
    with redirect_stdout(sys.stderr):
        _ours(setting, files[:WARM], noise)
        return _ours(setting, files, noise)


def _ours(setting: Setting, files: Sequence[Path], noise: Sequence[Path]) -> Made:
    import torch

    from ser_ops.corpora.decoding import Measures, decode_recordings
    from ser_ops.dataset.examples import Examples, loader, shuffled_batches
    from ser_ops.manifest import NoiseRow, UtteranceRow, write_rows
    from ser_ops.stages import augment
    from ser_ops.stages import features as extraction

    torch.set_num_threads(1)
    whole = setting.params
    work = setting.scratch / "quadruplets"
    shutil.rmtree(work, ignore_errors=True)
    params = whole.model_copy(update={
        "paths": whole.paths.model_copy(update={"work": work}),
        "compute": whole.compute.model_copy(update={"workers": 1}),
        "augment": whole.augment.model_copy(update={"variants": VARIANTS})})
    watch, rate = Watch(), params.data.sample_rate

    def decoded(paths: Sequence[Path], store: str) -> list[Measures]:
        return decode_recordings([(_key(path), Clip(path)) for path in paths], work / "ingest" / store, rate,
                                 params.validation.silence_dbfs, params.compute.shard_megabytes, 1, store)

    measures = decoded(files, "waveforms")
    decoded(noise, "noise")
    rows = [UtteranceRow(_key(path), "one", emotion=EMOTIONS[index % len(EMOTIONS)], speaker=path.parent.name,
                         content=measured.content, seconds=measured.seconds, partition="train")
            for index, (path, measured) in enumerate(zip(files, measures, strict=True))]
    (work / "validated").mkdir()
    write_rows(work / "validated" / "manifest.csv", rows, UtteranceRow)
    write_rows(work / "validated" / "noise.csv", [NoiseRow(_key(path), category=path.parent.name, partition="train")
                                                  for path in noise], NoiseRow)
    watch.lap("ingest")
    augment.write_augmented(params, work / "augmented", everything=True, by_row=False)
    watch.lap("augment")
    extraction.extract_features(extraction.source_rows(work / "ingest", work / "augmented"),
                                work / "features" / "features",
                                _settings(params), rate, params.compute)
    watch.lap("features")
    examples = Examples.open(work, "train", "features", _settings(params).seconds, rate)
    batches = shuffled_batches(len(examples), params.train.batch_size, params.train.seed, 1)
    count = sum(len(batch) for batch in loader(examples, batches, torch.device("cpu")))
    watch.lap("batches")
    some = {key: np.array(examples.stores.features[f"{key}#original"])
            for key in (_key(files[index]) for index in _compared(files, rate))}
    return Made(watch.seconds, _peak(), count, some)


def by_librosa(setting: Setting, files: Sequence[Path], noise: Sequence[Path]) -> Made:
    """One file after another, as a script does it."""
    _by_librosa(setting, files[:WARM], noise)
    return _by_librosa(setting, files, noise)


def _by_librosa(setting: Setting, files: Sequence[Path], noise: Sequence[Path]) -> Made:
    import librosa
    import torch

    torch.set_num_threads(1)
    params = setting.params
    asked, rate = _settings(params), params.data.sample_rate
    length = round(asked.seconds * rate)
    draw = np.random.default_rng(params.augment.seed)
    watch = Watch()
    recordings: dict[str, list[np.ndarray]] = {}
    for path in noise:
        recordings.setdefault(path.parent.name, []).append(librosa.load(path, sr=rate)[0])
    betas = (0.0, 1.0, 2.0) if params.augment.stationary else ()
    kinds = [*betas, *recordings]
    windows, values, labels = [], [], []

    def stationary(beta: float, count: int) -> np.ndarray:
        noise = draw.standard_normal(count)
        if not beta:
            return noise
        frequencies = np.fft.rfftfreq(count, 1 / rate).clip(20)
        return np.fft.irfft(np.fft.rfft(noise) * frequencies ** (-beta / 2), count)

    def noisy(speech: np.ndarray) -> np.ndarray:
        kind = draw.integers(len(kinds))
        if kind < len(betas):
            added = stationary(betas[kind], len(speech))
        else:
            of_category = recordings[kinds[kind]]
            added = of_category[draw.integers(len(of_category))]
        if len(added) > len(speech):
            start = draw.integers(len(added) - len(speech) + 1)
            added = added[start:start + len(speech)]
        added = librosa.util.fix_length(added, size=len(speech))
        intensity = draw.uniform(*params.augment.intensity)
        return speech + intensity * np.abs(speech).max() * added / max(np.abs(added).max(), 1e-9)

    for index, path in enumerate(files):
        speech, _ = librosa.load(path, sr=rate)
        watch.lap("ingest")
        pitched = librosa.effects.pitch_shift(speech, sr=rate, n_steps=params.augment.semitones)
        variants = (speech, noisy(speech), pitched, noisy(pitched))
        watch.lap("augment")
        for variant in variants:
            start = max(0, (len(variant) - length) // 2)
            window = librosa.util.fix_length(variant[start:start + length], size=length)
            windows.append(window.astype(np.float32))
            labels.append(index % len(EMOTIONS))
            values.append(_by_librosa_features(window, asked, rate))
        watch.lap("features")
    order, size, count = draw.permutation(len(windows)), params.train.batch_size, 0
    for start in range(0, len(order), size):
        chosen = order[start:start + size]
        batch = (torch.from_numpy(np.stack([windows[index] for index in chosen])),
                 torch.from_numpy(np.stack([values[index] for index in chosen])),
                 torch.tensor([labels[index] for index in chosen]))
        count += len(batch[0])
    watch.lap("batches")
    some = {}
    for index in _compared(files, rate):    # of the sound that the door lets through; out of the time that was taken
        speech = without_offset(librosa.load(files[index], sr=rate)[0], rate)
        start = max(0, (len(speech) - length) // 2)
        window = librosa.util.fix_length(speech[start:start + length], size=length)
        some[_key(files[index])] = _by_librosa_features(window, asked, rate)
    return Made(watch.seconds, _peak(), count, some)


def _by_librosa_features(window: np.ndarray, settings: Features, rate: int) -> np.ndarray:
    import librosa

    if settings.sample_rate != rate:
        window = librosa.resample(window, orig_sr=rate, target_sr=settings.sample_rate)
    if settings.level == "same":
        window = 0.05 * window / max(np.sqrt(np.mean(window**2)), 1e-10)
    rows = features.by_librosa(window, settings)
    if settings.centre:
        rows = rows - rows.mean(1, keepdims=True)
    return rows if settings.layout == "frames" else np.concatenate([rows[:2].ravel(), rows[2:].T.ravel()])


def floor(setting: Setting) -> float:
    """Recordings a second of decoding them, shifting a copy, four times features, and moving the samples."""
    import soundfile

    files = setting.some(16)
    recordings = [soundfile.read(path, dtype="float32")[0] for path in files]
    decoding = repeated(lambda: [soundfile.read(path, dtype="float32") for path in files]) / len(files)
    size = 4 * float(np.mean([len(recording) for recording in recordings]))
    # Out of the decoder, into each of four variants, and from there into a batch.
    moving = (1 + 2 * len(VARIANTS)) * size / machine.copied()
    return 1 / (decoding + 1 / pitch.floor(recordings) + len(VARIANTS) / features.floor(_settings(setting.params))
                + moving)


def _alone(way: Callable[..., Made], *arguments: object) -> Made:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(way, *arguments).result()


def run(setting: Setting) -> Iterator[Row]:
    """One row, of the whole corpus."""
    files = setting.files
    noise = sorted(path for folder in setting.noise for path in folder.rglob("*.*") if path.suffix in (".wav", ".flac"))
    rounds = [(_alone(ours, setting, files, noise), _alone(by_librosa, setting, files, noise))
              for _ in range(1 if setting.short else ROUNDS)]
    mine, other = (min(made, key=lambda costs: costs.total) for made in zip(*rounds, strict=True))
    keys = sorted(mine.originals)
    first, second = (np.stack([made.originals[key].reshape(len(mine.originals[key]), -1) for key in keys])
                     for made in (mine, other))
    far = features.apart(first, second)
    most = max(made.megabytes for made, _ in rounds)
    yield Row("quadruplets, files to batches", "utterances", len(files) / mine.total, len(files) / other.total, ASKED,
              floor(setting), "decoding by libsndfile, one pitch shift, FFTs and products of four windows, samples "
              "copied nine times; between: digests of files and samples, levels, noise drawn, mixtures in float64, "
              "everything written to disk and read back",
              far <= features.LIMIT and mine.examples == other.examples == len(files) * len(VARIANTS),
              f"{mine.examples} examples each, features of the originals {far:.1e} of a deviation",
              f"{len(files)} recordings; most memory {most:.0f} MB (asked: below {MEGABYTES}), the loop's "
              f"{max(made.megabytes for _, made in rounds):.0f} MB; seconds, ours/the loop's: "
              + ", ".join(f"{part} {mine.seconds[part]:.2f}/{other.seconds[part]:.2f}" for part in mine.seconds),
              "" if most < MEGABYTES else f"most memory {most:.0f} MB",
              {f"{part}_seconds": value for part, value in mine.seconds.items()} | {"megabytes": most})
