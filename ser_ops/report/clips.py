"""A few test utterances to listen to, clean and in noise, as they were answered: reports/clips and clips.json."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ser_ops.config.evaluation import Report
from ser_ops.files import replacing
from ser_ops.manifest import UtteranceRow
from ser_ops.noise.mixing import Mixture
from ser_ops.seeds import derive_seed

Mix = Callable[[str, np.ndarray, str, float, int, str], Mixture]
Answer = Callable[[str, str, float, int | None], Mapping[str, Any]]

PEAK = 0.9          # of full scale, of the louder one of a pair
LONGEST = 15.0      # seconds of an utterance that are kept


def choose(rows: Sequence[UtteranceRow], number: int, seed: int) -> list[UtteranceRow]:
    """`number` of the rows by a keyed choice, another emotion each as long as there are some.

    >>> rows = [UtteranceRow(f"u{i}", emotion=emotion) for i, emotion in enumerate(["sad", "sad", "fear"])]
    >>> sorted(row.emotion for row in choose(rows, 2, seed=1))
    ['fear', 'sad']
    """
    left = sorted(rows, key=lambda row: derive_seed(seed, "clip", row.utterance))
    chosen: list[UtteranceRow] = []
    while left and len(chosen) < number:
        heard = {row.emotion for row in chosen}
        chosen.append(next((row for row in left if row.emotion not in heard), left[0]))
        left.remove(chosen[-1])
    return chosen


def write_clips(folder: Path, rows: Sequence[UtteranceRow], waveforms: Mapping[str, np.ndarray], sample_rate: int,
          mix: Mix, noises: Sequence[str], mixture_seed: int, answer: Answer, settings: Report) -> list[dict[str, Any]]:
    """Write <folder>/<n>_clean.wav and <n>_noisy.wav (16 bit) for some test utterances.

    Both of a pair are scaled by the same factor, so that the noise is as loud beside the speech as it was.

    Args:
        folder: replaced as a whole.
        rows: test utterances of the manifest, of which settings.clips are chosen.
        waveforms: samples by utterance, float32 in [-1, 1].
        sample_rate: of the waveforms, hertz.
        mix: makes a mixture of (utterance, samples, noise, intensity, seed, partition).
        noises: categories; each clip has the next, at settings.clip_intensity.
        mixture_seed: of the mixtures.
        answer: what the model answered to (utterance, noise, intensity, seed), {predicted, confidence}, or {} where it
            was not asked; noise is 'clean', intensity 0 and seed None without noise.
        settings: section report.

    Returns:
        An entry of clips.json for each pair.
    """
    clips = []
    with replacing(folder) as files:
        files.mkdir()
        for number, row in enumerate(choose(rows, settings.clips, settings.seed), 1):
            utterance, intensity = row.utterance, settings.clip_intensity
            noise = noises[(number - 1) % len(noises)]
            clean = waveforms[utterance]
            mixture = mix(utterance, clean, noise, intensity, mixture_seed, "test")
            peak = max(float(np.abs(clean).max(initial=0)), float(np.abs(mixture.samples).max(initial=0)))
            gain, kept = PEAK / peak if peak > 0 else 1.0, round(LONGEST * sample_rate)
            for kind, samples in (("clean", clean), ("noisy", mixture.samples)):
                file = os.fsencode(files / f"{number}_{kind}.wav")
                soundfile.write(file, samples[:kept] * gain, sample_rate, "PCM_16")
            clips.append({
                "utterance": utterance, "corpus": row.corpus, "synthetic": row.synthetic,
                "emotion": row.emotion, "seconds": len(clean) / sample_rate, "gain": gain,
                "clean": {"file": f"{folder.name}/{number}_clean.wav", **answer(utterance, "clean", 0.0, None)},
                "noisy": {"file": f"{folder.name}/{number}_noisy.wav", "noise": noise, "intensity": intensity,
                          "seed": mixture_seed, "recording": mixture.recording,
                          "snr_db": mixture.snr_db if np.isfinite(mixture.snr_db) else None,
                          **answer(utterance, noise, intensity, mixture_seed)}})
    return clips
