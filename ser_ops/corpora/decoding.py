"""Decode recordings into one store of waveforms and measure each, on all cores, in bounded memory.

Recordings that are one sound are found by their fingerprints: copies at another gain, polarity, rate or format, from
another channel, or cut from one.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.fft import rfft

from ser_ops.audio.admission import Clip
from ser_ops.audio.reading import read_clip
from ser_ops.audio.signal import measure_levels, resample
from ser_ops.errors import UserError
from ser_ops.files import sha256
from ser_ops.progress.spreading import parallel_map
from ser_ops.shards import ShardEntry, write_index, write_shard

_FILES = 128            # of one shard at most
_RATE = 4000
_FRAME = 720            # samples at _RATE, 0.18 s; a copy that starts between two frames is 8 ms off at most
_HOP = 64
_BANDS = 33
_HERTZ = (300.0, 1800.0)    # what every telephone, codec and microphone passes on
_LOUD = 1e-3            # of the loudest frame's power: below lies what a codec or a quieter copy rounds away
_SHARE = 0.75           # of the shorter recording's loud frames that must lie in both
_NEIGHBOURS = 8         # recordings of one key that each is held against; groups are joined through the others
# Share of bits that may differ. Two recordings of one person who says one sentence differ in 0.25 or more (1,200 of
# RAVDESS, 1,400 of TESS, 480 of SAVEE), the nearest two of one synthetic voice in 0.22; copies in MP3, in Vorbis or at
# 8 kHz through GSM differ less, as the tests hold. Few frames must agree better.
_DIFFERENT = 0.2
_FEW = 2.0
_SAMPLE, _SAMPLED_DIFFERENT = 32, 0.3
_WINDOW = np.hanning(_FRAME).astype(np.float32)
_EDGES = (np.geomspace(*_HERTZ, _BANDS + 1) / _RATE * _FRAME).astype(int)


@dataclass(frozen=True)
class Measures:
    """What is known of a recording once it was read, or why it was not.

    sha256: of the file. content: SHA-256 of the decoded samples. native_rate: hertz. clipped_share: of the samples at
    the native rate. silent_share: of the frames. warnings: of reading, joined by "; ". sound: the first name of all
    recordings that are one sound with it, "" where it is alone. error: "", or why it is not admitted; what could not be
    measured is then "" or None.
    """

    sha256: str
    content: str = ""
    native_rate: int | None = None
    channels: int | None = None
    seconds: float | None = None
    peak_dbfs: float | None = None
    rms_dbfs: float | None = None
    clipped_share: float | None = None
    silent_share: float | None = None
    warnings: str = ""
    sound: str = ""
    error: str = ""


@dataclass(frozen=True)
class Fingerprint:
    """Loud frames of a recording: their numbers, int32 (n,), and for each 32 bits, uint32 (n,)."""

    frames: np.ndarray
    bits: np.ndarray


@dataclass(frozen=True)
class _Shard:
    number: int
    folder: Path
    clips: tuple[tuple[str, Clip], ...]
    sample_rate: int
    silence_dbfs: float


def decode_recordings(clips: Sequence[tuple[str, Clip]], folder: Path, sample_rate: int, silence_dbfs: float,
                      megabytes: int, workers: int, what: str) -> list[Measures]:
    """Bring recordings to mono float32 at `sample_rate` hertz and write them as a store of arrays into `folder`.

    clips: what is decoded, each under a name. silence_dbfs: level below which a frame counts as silent. what: named in
    the progress bar. Returns the measures of each clip, in their order. A recording that is not admitted has no array,
    and the others go on. Shards hold about `megabytes` each and are cut the same for any number of workers.
    """
    folder.mkdir(parents=True)
    entries: list[ShardEntry] = []
    measures: list[Measures] = []
    fingerprints: dict[str, Fingerprint] = {}
    shards = [_Shard(number, folder, part, sample_rate, silence_dbfs)
              for number, part in enumerate(_cut(clips, megabytes * 1_000_000))]
    for part_entries, part_measures, part_fingerprints in parallel_map(_decode, shards, what, workers, "shard"):
        entries += part_entries
        measures += part_measures
        fingerprints |= part_fingerprints
    write_index(folder, entries)
    sounds = same_sounds(fingerprints)
    return [replace(measure, sound=sounds.get(name, "")) for (name, _), measure in zip(clips, measures, strict=True)]


def _cut(clips: Sequence[tuple[str, Clip]], size: int) -> Iterator[tuple[tuple[str, Clip], ...]]:
    """Neighbours together: at most 128 files, and about `size` bytes as float32 if a file is 16 bit at that rate."""
    part: list[tuple[str, Clip]] = []
    held = 0
    for name, clip in clips:
        expected = 2 * clip.path.stat().st_size if clip.path.is_file() else 0
        if part and (len(part) == _FILES or held + expected > size):
            yield tuple(part)
            part, held = [], 0
        part.append((name, clip))
        held += expected
    if part:
        yield tuple(part)


def _decode(shard: _Shard) -> tuple[list[ShardEntry], list[Measures], dict[str, Fingerprint]]:
    measures: list[Measures] = []
    fingerprints: dict[str, Fingerprint] = {}

    def arrays() -> Iterator[tuple[str, np.ndarray]]:
        for name, clip in shard.clips:
            measure, samples = _measured(clip, shard.sample_rate, shard.silence_dbfs)
            measures.append(measure)
            if samples is not None:
                fingerprints[name] = sound_fingerprint(samples, shard.sample_rate)
                yield name, samples

    return write_shard(shard.folder, shard.number, arrays()), measures, fingerprints


def _measured(clip: Clip, sample_rate: int, silence_dbfs: float) -> tuple[Measures, np.ndarray | None]:
    digest = ""
    try:
        digest = sha256(clip.path) if clip.path.is_file() else ""     # a FIFO is never waited for
        recording = read_clip(clip, sample_rate)
    except (UserError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Measures(digest, error=reason.removeprefix(f"{clip.path}: ")), None
    samples = recording.samples
    level = measure_levels(samples, sample_rate, silence_dbfs)
    return Measures(digest, hashlib.sha256(np.ascontiguousarray(samples, "<f4").data).hexdigest(),
                    recording.native_rate, recording.channels, round(len(samples) / sample_rate, 6),
                    round(level.peak_dbfs, 3), round(level.rms_dbfs, 3), round(recording.clipped_share, 6),
                    round(level.silent_share, 6), "; ".join(recording.warnings)), samples


def sound_fingerprint(samples: np.ndarray, sample_rate: int) -> Fingerprint:
    """The fingerprint of mono float32 samples (n,): which of two neighbouring bands rises (Haitsma and Kalker 2002).

    It does not change with gain and polarity, and little with rate, codec and noise.
    """
    low = np.ascontiguousarray(resample(np.asarray(samples, np.float32), sample_rate, _RATE))
    if len(low) < _FRAME + _HOP:
        return Fingerprint(np.zeros(0, np.int32), np.zeros(0, np.uint32))
    windows = np.lib.stride_tricks.sliding_window_view(low, _FRAME)[::_HOP]
    power = np.concatenate([_bands(windows[start:start + 512]) for start in range(0, len(windows), 512)])
    rising = np.diff(np.diff(power, axis=1), axis=0) > 0
    loudness = power.sum(axis=1)
    loud = np.minimum(loudness[1:], loudness[:-1]) > _LOUD * loudness.max()
    bits = np.packbits(rising, axis=1).view(">u4")[:, 0].astype(np.uint32)
    return Fingerprint(np.flatnonzero(loud).astype(np.int32), bits[loud])


def _bands(windows: np.ndarray) -> np.ndarray:
    spectrum = rfft(windows * _WINDOW, axis=1)[:, _EDGES[0]:_EDGES[-1]]     # a third of numpy's time
    return np.add.reduceat(spectrum.real ** 2 + spectrum.imag ** 2, _EDGES[:-1] - _EDGES[0], axis=1)


def same_sounds(fingerprints: Mapping[str, Fingerprint]) -> dict[str, str]:
    """For each recording that is one sound with another: the first name of all that are, by name.

    >>> noise = np.random.default_rng(0).normal(size=(2, 32000)).astype(np.float32)
    >>> recorded = {"a": noise[0], "b": noise[1], "c": -0.1 * noise[0][4000:]}
    >>> same_sounds({name: sound_fingerprint(samples, 16000) for name, samples in recorded.items()})
    {'a': 'a', 'c': 'a'}
    """
    names = sorted(fingerprints)
    prints = [fingerprints[name] for name in names]
    parents = list(range(len(names)))   # a forest: recordings of one tree are one sound
    for left, right, lag in _promising(prints, _candidates(prints)):
        low, high = sorted((_root(parents, left), _root(parents, right)))
        if low != high and _is_same(prints[left], prints[right], lag):
            parents[high] = low
    roots = [_root(parents, index) for index in range(len(names))]
    joined = {root for index, root in enumerate(roots) if root != index}
    return {names[index]: names[root] for index, root in enumerate(roots) if root in joined}


def _root(parents: list[int], index: int) -> int:
    while parents[index] != index:
        index = parents[index]
    return index


def _candidates(prints: list[Fingerprint]) -> np.ndarray:
    """Pairs of recordings with a frame that agrees in 24 bits of 32, and the lag of the second (frames): (n, 3)."""
    owners = np.repeat(np.arange(len(prints), dtype=np.int32), [len(fingerprint.frames) for fingerprint in prints])
    if not len(owners):
        return np.zeros((0, 3), np.int32)
    frames = np.concatenate([fingerprint.frames for fingerprint in prints])
    bits = np.concatenate([fingerprint.bits for fingerprint in prints])
    pairs = []
    for keys in (bits >> 8, bits & 0xFFFFFF):
        order = np.lexsort((frames, owners, keys))
        key, owner, frame = keys[order], owners[order], frames[order]
        # Of one recording its first frame of a key: a tone holds the same key for seconds.
        fresh = np.append(True, (key[1:] != key[:-1]) | (owner[1:] != owner[:-1]))
        key, owner, frame = key[fresh], owner[fresh], frame[fresh]
        for step in range(1, _NEIGHBOURS + 1):
            equal = key[step:] == key[:-step]
            pairs.append(np.stack([owner[:-step][equal], owner[step:][equal], frame[step:][equal]
                                   - frame[:-step][equal]]))
    return np.unique(np.concatenate(pairs, axis=1), axis=1).T


def _promising(prints: list[Fingerprint], candidates: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Candidates whose frames agree in a sample of them: thousands at once, so that few are compared one by one."""
    starts = np.cumsum([0, *(len(fingerprint.frames) for fingerprint in prints)])
    lengths = np.array([fingerprint.frames[-1] + 1 if len(fingerprint.frames) else 0 for fingerprint in prints])
    begins = np.cumsum([0, *lengths])
    frames = np.concatenate([np.zeros(0, np.int32), *(fingerprint.frames for fingerprint in prints)])
    bits = np.concatenate([np.zeros(0, np.uint32), *(fingerprint.bits for fingerprint in prints)])
    # Every frame of every recording one after the other, quiet ones without bits.
    dense = np.zeros(begins[-1], np.uint32)
    dense[np.repeat(begins[:-1], np.diff(starts)) + frames] = bits
    for part in np.array_split(candidates, 1 + len(candidates) // 20_000):
        left, right, lag = part.T
        picked = starts[left] + (np.linspace(0, 1, _SAMPLE)[:, None] * (np.diff(starts)[left] - 1)).astype(int)
        frame = frames[picked] + lag
        inside = (frame >= 0) & (frame < lengths[right])
        facing = dense[begins[right] + np.where(inside, frame, 0)]
        both = inside & (facing != 0)
        differing = (np.bitwise_count(bits[picked] ^ facing) * both).sum(axis=0) / 32
        yield from part[differing < _SAMPLED_DIFFERENT * both.sum(axis=0)].tolist()


def _is_same(left: Fingerprint, right: Fingerprint, lag: int) -> bool:
    _, of_left, of_right = np.intersect1d(left.frames + lag, right.frames, assume_unique=True, return_indices=True)
    if len(of_left) < _SHARE * min(len(left.frames), len(right.frames)):
        return False
    differing = np.bitwise_count(left.bits[of_left] ^ right.bits[of_right]).mean() / 32
    return bool(differing < min(_DIFFERENT, 0.5 - _FEW / np.sqrt(len(of_left))))
