"""Validation of a manifest of 10,000 files: files a second of one core, ours and a loop with soundfile.

Both read every file, measure its duration, level, clipping and silence, and judge it by the limits of params.yaml. Ours
also brings it to 16 kHz, digests file and samples, writes the waveform, and has Great Expectations judge the table and
write its page. A corpus of fewer files is read several times, its rows told apart by name and content.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.speed import machine
from benchmarks.speed.case import Row, Setting
from benchmarks.speed.measure import cpu, repeated, timed
from ser_ops.audio.admission import Clip
from ser_ops.audio.signal import without_offset
from ser_ops.config.params import Params
from ser_ops.corpora.decoding import Measures, decode_recordings
from ser_ops.emotions import EMOTIONS
from ser_ops.manifest import UtteranceRow
from ser_ops.validation.checks import validate

FILES, SHORT = 10_000, 96
NEAR = 0.01     # dB, and shares: rounding in the manifest


def by_soundfile(paths: Sequence[Path], params: Params) -> list[dict[str, Any]]:
    """What a script would look at, for each file, and whether it is bad."""
    asked = params.validation
    verdicts = []
    for path in paths:
        samples, rate = soundfile.read(path, dtype="float32")
        samples = samples.mean(1) if samples.ndim > 1 else samples
        seconds, level = len(samples) / rate, 20 * np.log10(max(float(np.sqrt(np.mean(samples**2))), 1e-6))
        clipped = np.mean(np.abs(samples) >= 0.999)
        frame = int(0.025 * rate)
        frames = np.sqrt(np.mean(samples[:len(samples) // frame * frame].reshape(-1, frame) ** 2, axis=1))
        silent = np.mean(frames < 10 ** (asked.silence_dbfs / 20))
        bad = not (asked.seconds[0] <= seconds <= asked.seconds[1]
                   and asked.sample_rate[0] <= rate <= asked.sample_rate[1]
                   and asked.level_dbfs[0] <= level <= asked.level_dbfs[1]
                   and clipped <= asked.clipped_share and silent <= asked.silent_share)
        verdicts.append({"bad": bad})
    return verdicts


def level_of(path: Path) -> float:
    """RMS in dB of a mono recording without the offset and the rumble that the door takes out."""
    samples, rate = soundfile.read(path, dtype="float32")
    return 20 * float(np.log10(max(np.sqrt(np.mean(without_offset(samples, rate) ** 2)), 1e-6)))


def rows_of(paths: Sequence[Path], measures: Sequence[Measures], names: Sequence[str]) -> list[UtteranceRow]:
    """A manifest of one speaker a folder; content told apart by name, since files may come again."""
    return [UtteranceRow(name, "one", "ravdess", True, str(path), EMOTIONS[index % len(EMOTIONS)], path.parent.name,
                         partition="train", **vars(measured) | {"content": f"{measured.content}#{name}"})
            for index, (path, measured, name) in enumerate(zip(paths, measures, names, strict=True))]


def ours(paths: Sequence[Path], names: Sequence[str],
         setting: Setting) -> tuple[list[Measures], list[str], float]:
    """Measures of each file, the names in quarantine, and the seconds that the judging alone took."""
    params, store = setting.params, setting.scratch / "validation"
    shutil.rmtree(store, ignore_errors=True)
    clips = [(name, Clip(path)) for name, path in zip(names, paths, strict=True)]
    measures = decode_recordings(clips, store, params.data.sample_rate, params.validation.silence_dbfs,
                                 params.compute.shard_megabytes, 1, "decoding")
    shutil.rmtree(store)
    outcome, seconds = timed(lambda: validate(rows_of(paths, measures, names), [], {}, {}, params.validation, "random"))
    return measures, [entry.id for entry in outcome.quarantine], seconds


def run(setting: Setting) -> Iterator[Row]:
    """One row."""
    count = SHORT if setting.short else FILES
    paths = [setting.files[index % len(setting.files)] for index in range(count)]
    names = [f"{path.parent.name}/{path.stem}#{index}" for index, path in enumerate(paths)]
    ours(paths[:8], names[:8], setting)
    by_soundfile(paths[:8], setting.params)
    (measures, quarantined, judging), mine = timed(lambda: ours(paths, names, setting), cpu)
    verdicts, other = timed(lambda: by_soundfile(paths, setting.params), cpu)
    levels = {path: measured.rms_dbfs for path, measured in zip(paths, measures, strict=True)
              if (measured.native_rate, measured.channels) == (setting.params.data.sample_rate, 1)}
    far = max(abs(level - level_of(path)) for path, level in levels.items())
    bad = {name for name, verdict in zip(names, verdicts, strict=True) if verdict["bad"]}
    some = setting.some(16)
    decoding = repeated(lambda: [soundfile.read(path, dtype="float32") for path in some]) / len(some)
    size = 4 * float(np.mean([measured.seconds or 0.0 for measured in measures])) * setting.params.data.sample_rate
    yield Row(f"validation of {count:,} files", "files", count / mine, count / other, None,
              1 / (decoding + size / machine.hashed() + 2 * size / machine.copied()),
              "decoding by libsndfile, SHA-256 of the samples, samples copied to the store; between: levels, the write "
              "itself, Great Expectations",
              far <= NEAR and bad == set(quarantined),
              f"levels within {far:.3f} dB, {len(bad)} and {len(quarantined)} files bad",
              f"of {mine:.1f} s {judging:.1f} s are Great Expectations (its import not counted)",
              parts={"decoding_seconds": mine - judging, "judging_seconds": judging, "loop_seconds": other})
