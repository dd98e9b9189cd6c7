"""Sound recordings, made by numpy and written in every format that phones, recorders and editors write.

What an encoder adds of its own (the serial number of an Ogg stream, the time of writing) is taken out, so that the same
choices give the same bytes.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import soundfile

from benchmarks.fuzz.containers import renumbered, riff_chunks

if TYPE_CHECKING:
    from av.audio.stream import AudioStream

_RATES = (8000, 11025, 16000, 22050, 44100, 48000)
_MPEG_RATES = (8000, 16000, 22050, 44100, 48000)
_OPUS_RATES = (8000, 16000, 48000)
_SECONDS = (0.02, 0.12, 0.4, 0.4, 0.7, 1.3)

Write = Callable[[np.ndarray, int], bytes]  # float64 (n, channels) and a rate in hertz


@dataclass(frozen=True)
class Format:
    """How a recording is written: its file's suffix, and what its encoder takes."""

    suffix: str
    write: Write
    rates: tuple[int, ...] = _RATES
    channels: tuple[int, ...] = (1, 1, 2)
    floats: bool = False    # holds any value, NaN among them


def _by_libsndfile(samples: np.ndarray, rate: int, container: str, codec: str, **options: Any) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, codec, format=container, **options)
    data = bytearray(file.getvalue())
    if container == "OGG":
        return renumbered(bytes(data))
    if container == "MAT5":
        data[20:116] = b" " * 96    # a sentence with the date, after the format's name
    for kind, start, _ in riff_chunks(bytes(data)):
        if kind == b"PEAK":
            data[start + 12:start + 16] = bytes(4)  # after kind, size and version: the time
    return bytes(data)


def _by_ffmpeg(samples: np.ndarray, rate: int, container: str, codec: str) -> bytes:
    import av

    layout = "mono" if samples.shape[1] == 1 else "stereo"
    whole = (np.clip(np.nan_to_num(samples), -1, 1) * 32767).astype(np.int16)
    file = io.BytesIO()
    with av.open(file, "w", format=container, options={"fflags": "+bitexact"}) as output:
        stream = cast("AudioStream", output.add_stream(codec, rate=rate, options={"flags": "+bitexact"}))
        stream.layout = layout
        frame = av.AudioFrame.from_ndarray(whole.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    data = file.getvalue()
    return renumbered(data) if data.startswith(b"OggS") else data


def _wav(codec: str, *, container: str = "WAV", rates: tuple[int, ...] = _RATES,
         channels: tuple[int, ...] = (1, 1, 2, 2, 6), floats: bool = False) -> Format:
    return Format(".wav", partial(_by_libsndfile, container=container, codec=codec), rates, channels, floats)


def _other(suffix: str, container: str, codec: str) -> Format:
    return Format(suffix, partial(_by_libsndfile, container=container, codec=codec), channels=(1,))


def _phone(suffix: str, container: str, codec: str, rates: tuple[int, ...] = _MPEG_RATES,
           channels: tuple[int, ...] = (1, 1, 2)) -> Format:
    return Format(suffix, partial(_by_ffmpeg, container=container, codec=codec), rates, channels)


_MP3 = partial(_by_libsndfile, container="MP3", codec="MPEG_LAYER_III")
ADMITTED: tuple[Format, ...] = (
    *(_wav(codec) for codec in ("PCM_16", "PCM_16", "PCM_U8", "PCM_24", "PCM_32", "ULAW", "ALAW")),
    *(_wav(codec, floats=True) for codec in ("FLOAT", "DOUBLE")),
    *(_wav(codec, channels=(1, 2)) for codec in ("IMA_ADPCM", "MS_ADPCM")),
    *(_wav(codec, rates=(8000, 16000), channels=(1,)) for codec in (
        "GSM610", "G721_32", "NMS_ADPCM_16", "NMS_ADPCM_24", "NMS_ADPCM_32")),
    _phone(".wav", "wav", "libmp3lame"),
    *(_wav(codec, container="RF64", floats=codec == "FLOAT") for codec in ("PCM_16", "FLOAT")),
    *(_wav(codec, container="WAVEX", floats=codec == "FLOAT") for codec in ("PCM_16", "FLOAT")),
    *(Format(".flac", partial(_by_libsndfile, container="FLAC", codec=codec), channels=(1, 1, 2, 6))
      for codec in ("PCM_16", "PCM_16", "PCM_24")),
    *(Format(".ogg", partial(_by_libsndfile, container="OGG", codec=codec), rates, (1, 2, 6))
      for codec, rates in (("VORBIS", _RATES), ("OPUS", _OPUS_RATES))),
    *(Format(".mp3", partial(_MP3, bitrate_mode=mode), _MPEG_RATES, (1, 2))
      for mode in ("CONSTANT", "VARIABLE", "AVERAGE")),
    _phone(".m4a", "ipod", "aac"), _phone(".m4a", "ipod", "alac"), _phone(".aac", "adts", "aac"),
    _phone(".webm", "webm", "libopus", _OPUS_RATES), _phone(".opus", "opus", "libopus", _OPUS_RATES),
    _phone(".amr", "amr", "libopencore_amrnb", (8000,), (1,)), _phone(".mp4", "mp4", "aac"),
    _phone(".3gp", "3gp", "libopencore_amrnb", (8000,), (1,)),
)
REFUSED: tuple[Format, ...] = (
    *(_other(f".{container.lower()}", container, "PCM_16") for container in (
        "AIFF", "AU", "CAF", "W64", "VOC", "MAT4", "MAT5", "NIST", "PAF", "PVF", "IRCAM", "HTK", "AVR", "SD2")),
    _other(".aiff", "AIFF", "GSM610"), _other(".caf", "CAF", "ALAC_16"), _other(".au", "AU", "G721_32"),
    _other(".raw", "RAW", "PCM_16"), _other(".wve", "WVE", "ALAW"), _other(".xi", "XI", "DPCM_16"),
    _phone(".mov", "mov", "aac"), _phone(".mka", "matroska", "aac"), _phone(".avi", "avi", "pcm_s16le"),
)


def clip(formats: Sequence[Format], generator: np.random.Generator) -> tuple[bytes, str]:
    """A sound recording in one of the formats: its bytes and its suffix.

    Now and then it is silent, quiet, offset, of opposite channels, far too loud, or holds NaN.
    """
    chosen = formats[int(generator.integers(len(formats)))]
    rate, channels = (int(generator.choice(values)) for values in (chosen.rates, chosen.channels))
    samples = _sound(float(generator.choice(_SECONDS)), rate, channels, generator)
    return chosen.write(_odd(samples, chosen.floats, generator), rate), chosen.suffix


def _sound(seconds: float, rate: int, channels: int, generator: np.random.Generator) -> np.ndarray:
    """A gliding tone under noise, float64 of shape (n, channels)."""
    time = np.arange(round(seconds * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * (generator.uniform(80, 400) + 150 * np.sin(3 * time)) * time)
    return (tone + generator.normal(0, 0.02, len(time)))[:, None] * generator.uniform(0.5, 1, channels)


def _odd(samples: np.ndarray, floats: bool, generator: np.random.Generator) -> np.ndarray:
    oddity = generator.integers(24)
    if oddity == 0:
        return np.zeros_like(samples)
    if oddity == 1:
        return samples * 1e-4
    if oddity == 2:
        return np.clip(samples + generator.choice([-0.5, 0.3, 0.65]), -1, 1)
    if oddity == 3 and samples.shape[1] > 1:
        samples[:, 1] = -samples[:, 0]
    if oddity in (4, 5) and floats:
        samples[generator.integers(len(samples))] = generator.choice([np.nan, np.inf, -np.inf])
    if oddity in (6, 7) and floats:
        return samples * generator.choice([1e2, 3e4, 1e30, 1e-30])
    return samples


