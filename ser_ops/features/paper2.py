"""What paper 2's networks read (sections III-B and III-C), batched and by librosa's definitions.

`stacked` puts MFCC, chroma, mel spectrogram and spectral contrast above one another for CNN, LSTM and CNN-LSTM;
`log_mel` is the image for ViT and BEiT. MFCC and mel bands are those of `descriptors`; chroma and spectral contrast
follow here, in the paper's order, and then the name of each row in words and in hertz.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ser_ops.config.models import MelImage, Stacked, Window
from ser_ops.errors import UserError
from ser_ops.features.descriptors import cepstrum, decibels, mel_frequencies, mel_power, power_spectrum

PITCHES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
CHROMA = len(PITCHES)       # rows of the chroma
CONTRAST_HERTZ = (0, 200, 400, 800, 1600, 3200, 6400)   # where each row of the spectral contrast begins
CONTRAST = len(CONTRAST_HERTZ)

TUNING_STEPS = 100                 # hundredths of a semitone of a tuning, from -0.5 up
_LOWEST, _HIGHEST = 150.0, 4000.0   # hertz, between which a peak tells the tuning
_SHARE = 0.1                # of the frame's largest value, which a peak must reach
_QUANTILE = 0.02            # share of a band's bins that make its peak and its valley


def stacked(waveforms: Tensor, settings: Stacked) -> Tensor:
    """Rows of paper 2's input, float32 of shape (B, K + 12 + mels + 7, T), from (B, N) at settings.sample_rate hertz.

    `row_name` names each row. No utterance of a batch depends on another. Raises UserError where a band of the contrast
    holds no bin.
    """
    power = power_spectrum(waveforms, settings, exact=True)
    mel = mel_power(power, settings, settings.mels)
    level = decibels(mel)
    spectrogram = level if settings.mel_scale == "decibels" else mel
    return torch.cat([cepstrum(level, settings.mfcc), chroma(power, settings), spectrogram.transpose(1, 2),
                      spectral_contrast(power, settings)], dim=1)


def check_stacked(settings: Stacked) -> None:
    """Raises UserError where the settings ask for more than the spectrum holds."""
    contrast_bands(settings.sample_rate, settings.frame)
    if settings.mfcc > settings.mels:
        raise UserError(f"stacked: mfcc {settings.mfcc} is more than mels {settings.mels}: there are no more "
                        "coefficients than bands, so lower mfcc or raise mels")


def log_mel(waveforms: Tensor, settings: MelImage) -> Tensor:
    """Mel spectrogram in dB relative to the utterance's loudest value: float32 (B, mels, T) in [-80, 0].

    librosa's melspectrogram and power_to_db(ref=max, top_db=80); row 0 is the lowest band. waveforms: (B, N) at
    settings.sample_rate hertz.
    """
    power = mel_power(power_spectrum(waveforms, settings), settings, settings.mels)
    return decibels(power, relative=True).transpose(1, 2)


def chroma(power: Tensor, settings: Window) -> Tensor:
    """Chroma, float32 of shape (B, 12, T) in [0, 1], C first, from the power spectrum (B, T, bins).

    How strong each of the twelve pitch classes is, by librosa's chroma_stft. Each utterance by its own tuning; each
    frame relative to its strongest pitch class, a silent frame all zeros.
    """
    filters = _chroma_filters(settings.sample_rate, settings.frame, power.device)[tuning_step(power, settings)]
    strength = power @ filters
    strongest = strength.amax(-1, keepdim=True)
    silent = strongest < torch.finfo(strength.dtype).tiny
    return (strength / torch.where(silent, 1, strongest)).transpose(1, 2)


@lru_cache(maxsize=8)
def _chroma_filters(sample_rate: int, frame: int, device: torch.device) -> Tensor:
    """Transposed chroma filters of every tuning, (STEPS, bins, 12)."""
    # librosa's to the bit, without numba, whose first use may not be in several processes at once (numba issue 10128).
    from transformers.audio_utils import chroma_filter_bank  # here, because it takes half a second to import
    tunings = np.linspace(-0.5, 0.5, TUNING_STEPS + 1)[:TUNING_STEPS]
    tables = [chroma_filter_bank(frame, CHROMA, sample_rate, tuning=tuning).T for tuning in tunings]
    with torch.inference_mode(False):
        return torch.from_numpy(np.stack(tables).astype(np.float32)).to(device)


def tuning_step(power: Tensor, settings: Window) -> Tensor:
    """How far each utterance is off concert pitch, int64 (B,), 0 to 99: step s is (s - 50) / 100 of a semitone.

    By librosa's estimate_tuning: peaks of the spectrum vote, each for the hundredth of a semitone by which it is off
    the nearest note of A440, and the hundredth with the most votes wins. Peaks are local maxima of the power spectrum
    between 150 and 4,000 Hz, at least a tenth of their frame's largest value and no weaker than the median peak of the
    utterance; a parabola refines their frequency. An utterance without a peak counts as in tune.

    power: (B, T, 1 + frame // 2). Of several steps with equally many votes the lowest wins. The votes are few, and
    rounding can move one that lies on the border of two steps: then another step, far away, may win.
    """
    utterance, hertz, height = _peaks(power, settings)
    strong = height >= _median(height, utterance, power.shape[0])[utterance]
    utterance, hertz = utterance[strong], hertz[strong]
    semitones = torch.remainder(12 * torch.log2(hertz / 27.5), 1.0)     # 27.5: the A four octaves below 440
    semitones = torch.where(semitones >= 0.5, semitones - 1, semitones)
    edges = torch.linspace(-0.5, 0.5, TUNING_STEPS + 1, dtype=torch.float64, device=power.device)
    step = (torch.bucketize(semitones.double(), edges, right=True) - 1).clamp(0, TUNING_STEPS - 1)
    votes = _count(utterance * TUNING_STEPS + step, power.shape[0] * TUNING_STEPS).reshape(-1, TUNING_STEPS)
    lowest_first = torch.arange(TUNING_STEPS - 1, -1, -1, device=power.device)
    winner = (votes * TUNING_STEPS + lowest_first).argmax(1)
    return torch.where(votes.sum(1) > 0, winner, TUNING_STEPS // 2)


def _peaks(power: Tensor, settings: Window) -> tuple[Tensor, Tensor, Tensor]:
    """Of every peak: its utterance (int64, rising), its frequency in hertz and its height (float32)."""
    step = settings.sample_rate / settings.frame
    highest = min(_HIGHEST, settings.sample_rate / 2)
    first, end = max(1, math.ceil(_LOWEST / step)), min(math.ceil(highest / step), power.shape[-1] - 1)
    here, before, after = power[..., first:end], power[..., first - 1:end - 1], power[..., first + 1:end + 1]
    peak = (here > before) & (here >= after) & (here > _SHARE * power.amax(-1, keepdim=True))
    utterance, frame, bin_number = peak.nonzero(as_tuple=True)
    here, before, after = (values[utterance, frame, bin_number] for values in (here, before, after))
    bend, slope = after + before - 2 * here, (after - before) / 2
    shift = torch.where(slope.abs() >= bend.abs(), 0, -slope / bend)
    return utterance, ((bin_number + first + shift.double()) * step).float(), here + 0.5 * slope * shift


def _median(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """Median of each group's values, (groups,), infinite for one that has none; `group` rises."""
    counts = _count(group, groups)
    order, rank = values.argsort(), torch.arange(values.shape[0], device=values.device)
    order = order[(group[order] * values.shape[0] + rank).argsort()]    # by group, and in a group by value
    rising = torch.cat([values[order], values.new_full((1,), torch.inf)])
    middle = torch.stack([(counts - 1).clamp_min(0) // 2, counts // 2], dim=1) + (counts.cumsum(0) - counts)[:, None]
    return rising[torch.where(counts[:, None] > 0, middle, values.shape[0])].mean(1)


def _count(index: Tensor, number: int) -> Tensor:
    """How often each of 0 to `number` - 1 stands in an int64 tensor (n,): int64 (number,). ONNX has no bincount."""
    return index.new_zeros(number).scatter_add(0, index, torch.ones_like(index))


def spectral_contrast(power: Tensor, settings: Window) -> Tensor:
    """Spectral contrast in dB, float32 of shape (B, 7, T), from the power spectrum (B, T, bins).

    Per band the mean magnitude of its loudest fiftieth of bins over that of its faintest; both no lower than 80 dB
    below the loudest of their kind in the utterance, as librosa does it. 0 where all is silent.
    """
    peaks, valleys = [], []
    for first, end, count in contrast_bands(settings.sample_rate, settings.frame):
        band = ascending(power[..., first:end])
        peaks.append(band[..., -count:].sqrt().mean(-1))
        valleys.append(band[..., :count].sqrt().mean(-1))
    return decibels(torch.stack(peaks, dim=1)) - decibels(torch.stack(valleys, dim=1))


@lru_cache(maxsize=32)
def contrast_bands(sample_rate: int, frame: int) -> tuple[tuple[int, int, int], ...]:
    """Of each band: its first bin, the bin after its last, and how many bins make its peak (and its valley).

    librosa's bins: from the second band on a band begins a bin below its edge; all but the last leave out their
    uppermost bin; the last goes on to half the sample rate. Raises UserError where a band has no bin.
    """
    hertz = np.arange(1 + frame // 2) * (sample_rate / frame)
    limits = []
    for row, low in enumerate(CONTRAST_HERTZ):
        last = row == len(CONTRAST_HERTZ) - 1
        high = np.inf if last else CONTRAST_HERTZ[row + 1]
        inside = np.flatnonzero((hertz >= low) & (hertz <= high))
        first, end = (inside[0] - (row > 0), inside[-1] + 1) if len(inside) else (0, 0)
        count = max(1, round(_QUANTILE * (end - first)))
        end -= not last
        if low >= sample_rate / 2 or end - first < count:
            raise UserError(f"stacked: sample_rate {sample_rate} and frame {frame} leave the spectral contrast's band "
                            f"from {low} Hz empty: choose a rate above {2 * CONTRAST_HERTZ[-1]} and a longer frame")
        limits.append((int(first), int(end), count))
    return tuple(limits)


def ascending(values: Tensor) -> Tensor:
    """Values sorted along the last axis, smallest first; same shape, dtype and device. No NaN.

    On a CPU NumPy sorts: ten times as fast as torch for rows of some hundred values. Where a gradient is wanted
    torch does it.
    """
    if values.is_cpu and not values.requires_grad and not torch.compiler.is_exporting():
        return torch.from_numpy(np.sort(values.numpy(), axis=-1))
    return values.sort(-1).values


def mel_rows(settings: Stacked | MelImage) -> slice:
    """Which rows of the input (rows, T) are the mel spectrogram, lowest band first.

    >>> from ser_ops.config.params import load_preset
    >>> mel_rows(load_preset("paper").stacked), mel_rows(load_preset("paper").image)
    (slice(52, 180, None), slice(0, 128, None))
    """
    first = settings.mfcc + CHROMA if isinstance(settings, Stacked) else 0
    return slice(first, first + settings.mels)


def row_name(row: int, settings: Stacked | MelImage) -> str:
    """A row in words, with hertz where it has any. Raises IndexError for a row that there is none of.

    >>> from ser_ops.config.params import load_preset
    >>> settings = load_preset("paper").stacked
    >>> [row_name(row, settings) for row in (12, 47, 89, 182, 186)]
    ['MFCC 12', 'chroma G', 'mel 980 Hz', 'contrast 400-800 Hz', 'contrast 6400-11025 Hz']
    """
    mel = mel_rows(settings)
    rows = mel.stop + (CONTRAST if isinstance(settings, Stacked) else 0)
    if not 0 <= row < rows:
        raise IndexError(f"row {row} is outside 0 to {rows - 1}")
    if row >= mel.stop:
        ends = [*CONTRAST_HERTZ, settings.sample_rate / 2]
        return f"contrast {ends[row - mel.stop]:.0f}-{ends[row - mel.stop + 1]:.0f} Hz"
    if row >= mel.start:
        return f"mel {mel_hertz(settings)[row - mel.start]:.0f} Hz"
    coefficients = mel.start - CHROMA
    return f"MFCC {row}" if row < coefficients else f"chroma {PITCHES[row - coefficients]}"


def mel_hertz(settings: Stacked | MelImage) -> np.ndarray:
    """Centre frequency of each mel band in hertz: float64 of shape (mels,), rising, of Slaney's scale.

    >>> from ser_ops.config.params import load_preset
    >>> mel_hertz(load_preset("paper").image).round()[[0, 63, 127]].tolist()
    [26.0, 1956.0, 10736.0]
    """
    return _halves(settings.sample_rate, settings.mels)[2:-1:2].copy()


def mel_edges_hertz(settings: Stacked | MelImage) -> np.ndarray:
    """Where each mel band ends and the next one begins, in hertz: float64 of shape (mels + 1,), rising.

    Band b reaches from value b to value b + 1. The triangles overlap; a border lies halfway on the mel scale
    between two centres, so that the bands tile the axis and a tone falls into one of them.

    >>> from ser_ops.config.params import load_preset
    >>> mel_edges_hertz(load_preset("paper").image)[:3].round(1).tolist()
    [12.9, 38.7, 64.5]
    """
    return _halves(settings.sample_rate, settings.mels)[1::2].copy()


@lru_cache(maxsize=32)
def _halves(sample_rate: int, mels: int) -> np.ndarray:
    """Hertz at every half step of the mel scale, from 0 to half the sample rate: centres even, borders odd."""
    return mel_frequencies(2 * mels + 3, sample_rate / 2)
