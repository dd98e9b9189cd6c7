"""Corpora of any size: recordings of a base, and copies of them with a little noise by speakers of their own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from ser_ops.config.params import Params
from ser_ops.corpora import corpus, csv_manifest
from ser_ops.corpora.csv_manifest import OPTIONAL, REQUIRED
from ser_ops.corpora.utterance import Utterance
from ser_ops.errors import UserError
from ser_ops.files import replacing
from ser_ops.seeds import derive_seed, generator
from ser_ops.tables import read_csv, write_csv

_STEP = 1 / 2**15       # of 16 bit: less noise would leave some copies as their original is
_PIECE_SECONDS = 0.05   # a third of a frame of the fingerprint by which the leak audit knows a copy


def base(params: Params, count: int, seed: int) -> list[Utterance]:
    """`count` recordings of the corpora that params.yaml names, drawn without regard to corpus, speaker or emotion.

    A smaller count gives the first of a larger one. Raises UserError where there are fewer.
    """
    folder = params.paths.data / "corpora"
    recordings = [utterance for name in params.data.corpora
                  for utterance in corpus.scan_corpus(folder, name, params.data.calm).utterances]
    recordings += [utterance for manifest in params.data.manifests for utterance in csv_manifest.scan_manifest(
        params.paths.data / "manifests", manifest.name, manifest.labels)[1].utterances]
    if len(recordings) < count:
        raise UserError(f"growth: {count} recordings are wanted and {len(recordings)} are there: choose fewer")
    return sorted(recordings, key=lambda recording: derive_seed(seed, recording.utterance))[:count]


def shuffled(samples: np.ndarray, rate: int, random: np.random.Generator) -> np.ndarray:
    """Samples (n,) or (n, channels) whose pieces of 50 ms come in another order: no copy that the leak audit knows."""
    pieces = np.array_split(samples, max(1, round(len(samples) / (_PIECE_SECONDS * rate))))
    return np.concatenate([pieces[number] for number in random.permutation(len(pieces))])


def noisy(samples: np.ndarray, noise_db: float, random: np.random.Generator) -> np.ndarray:
    """Samples (n,) or (n, channels) with white noise so many dB beside their RMS, at least a step of 16 bit."""
    level = np.sqrt(np.mean(np.square(samples, dtype=np.float64))) * 10 ** (noise_db / 20)
    return np.clip(samples + random.standard_normal(samples.shape) * max(level, _STEP), -1, 1 - _STEP)


def manifest(parent: Path, originals: Sequence[Utterance], count: int, noise_db: float, seed: int) -> Path:
    """A manifest of the first `count` recordings of a corpus below `parent`; those that are not there yet are made.

    Recording k is number k modulo the number of `originals`, as it is in the first round, in pieces and with noise in
    each further one, where every speaker has another name. FLAC of 16 bit at the recording's own rate.
    """
    mark = derive_seed(seed, noise_db, *(original.utterance for original in originals))
    rows, folder = [], parent / f"corpus-{mark:016x}"
    for number in range(count):
        turn, index = divmod(number, len(originals))
        original, path = originals[index], folder / f"{number:06d}.flac"
        if not path.exists():
            samples, rate = soundfile.read(original.path)
            if turn:
                random = generator(seed, original.utterance, turn)
                samples = noisy(shuffled(samples, rate, random), noise_db, random)
            with replacing(path) as made:
                soundfile.write(made, samples, rate, "PCM_16")
        rows.append({"path": path.name, "emotion": original.emotion, "speaker": f"{original.speaker}-{turn}",
                     "gender": original.gender, "language": original.language, "intensity": original.intensity,
                     "text": original.text})
    file = folder / csv_manifest.MANIFEST_FILE      # of now: another count gives another one
    write_csv(file, rows, [*REQUIRED, *OPTIONAL])
    return file


def seconds(manifest: Path) -> float:
    """Of all recordings of a manifest together."""
    return sum(soundfile.info(manifest.parent / row["path"]).duration for row in read_csv(manifest))
