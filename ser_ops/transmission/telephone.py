"""A telephone call: the band of the line, and what a codec leaves of speech."""

import io
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import soundfile

from ser_ops.audio.signal import resample
from ser_ops.transmission.packet_loss import LOSS, PACKET_SECONDS, conceal, lost_packets

LINE_RATE = 8000            # hertz, of every codec but Opus
BAND_HERTZ = (250, 3450)    # where the filter has lost 6 dB; from 300 to 3400 Hz less than 0.1 dB
_TAPS = 331                 # below 200 and above 3500 Hz, 50 dB and more are lost
OPUS_RATE = 16000
OPUS_EFFORT = 5             # of 10; between what phones and desktop computers spend
LINE_LEVEL = 10 ** (-26 / 20)   # RMS at which speech enters a line (ITU-T P.56 and G.191: -26 dB below overload)
_MOST_PEAK = 0.98           # beyond it a line would clip


def call(samples: np.ndarray, condition: str, sample_rate: int, draw: np.random.Generator) -> np.ndarray:
    """A waveform (n,) that is not silent, after a call under `condition`, a key of `CODECS` or `LOSS`: float32 (n,).

    It enters the line at the line's level, as a caller's device sees to, so that a codec treats a quiet recording as it
    does a loud one; it comes back at the level at which it went in, less what the line takes. draw: which packets are
    lost.
    """
    gain = min(LINE_LEVEL / float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))),
               _MOST_PEAK / float(np.abs(samples).max()))
    if condition in LOSS:
        heard = _mulaw_with_loss(samples * np.float32(gain), sample_rate, LOSS[condition], draw)
    else:
        heard = CODECS[condition](samples * np.float32(gain), sample_rate)
    return heard * np.float32(1 / gain)


def narrowband(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """A waveform (n,) in a telephone's band: float32 (n,)."""
    return _in_band(samples, sample_rate, lambda line: line)


def mulaw(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """A waveform (n,) in a telephone's band and after mu-law, eight bits a sample: float32 (n,)."""
    return _in_band(samples, sample_rate, partial(_by_libsndfile, subtype="ULAW"))


def gsm(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """A waveform (n,) in a telephone's band and after GSM full rate: float32 (n,)."""
    return _in_band(samples, sample_rate, partial(_by_libsndfile, subtype="GSM610"))


def opus(samples: np.ndarray, sample_rate: int, bits: int) -> np.ndarray:
    """A waveform (n,) after Opus at `bits` a second: float32 (n,)."""
    packets, header = opus_packets(resample(samples, sample_rate, OPUS_RATE), bits)
    return _of_length(resample(*_decoded_opus(packets, header), sample_rate), len(samples))


def opus_packets(samples: np.ndarray, bits: int) -> tuple[list[bytes], bytes]:
    """Opus at a constant rate.

    Args:
        samples: waveform at `OPUS_RATE`, float32 (n,).
        bits: a second.

    Returns:
        A packet for every 20 ms, one of silence behind them because the encoder looks ahead; and the header of the
        stream, which says how many samples come before the first.
    """
    import av
    encoder: Any = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = OPUS_RATE, "mono", "flt"
    encoder.bit_rate = bits
    encoder.options = {"application": "voip", "vbr": "off", "compression_level": str(OPUS_EFFORT)}
    encoder.open()
    packet = round(PACKET_SECONDS * OPUS_RATE)
    pieces = np.pad(samples, (0, -len(samples) % packet + packet)).reshape(-1, 1, packet)
    packets = []
    for number, piece in enumerate(pieces):
        frame: Any = av.AudioFrame.from_ndarray(piece, format="flt", layout="mono")
        frame.sample_rate, frame.pts = OPUS_RATE, number * packet
        packets += [bytes(made) for made in encoder.encode(frame)]
    return packets[:len(pieces)], bytes(encoder.extradata)


def _decoded_opus(packets: list[bytes], header: bytes) -> tuple[np.ndarray, int]:
    """The waveform of packets without the samples that the header tells to skip, float32, and its rate."""
    import av
    decoder: Any = av.CodecContext.create("libopus", "r")
    decoder.extradata = header
    frames = [frame for packet in packets for frame in decoder.decode(av.Packet(packet))]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32) / 2**15, frames[0].sample_rate


def _mulaw_with_loss(samples: np.ndarray, sample_rate: int, share: float, draw: np.random.Generator) -> np.ndarray:
    packet = round(PACKET_SECONDS * LINE_RATE)

    def line(sent: np.ndarray) -> np.ndarray:
        lost = lost_packets(-(-len(sent) // packet), share, draw)
        return conceal(_by_libsndfile(sent, "ULAW"), lost, packet)

    return _in_band(samples, sample_rate, line)


def _in_band(samples: np.ndarray, sample_rate: int, line: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A waveform (n,) at the rate of the line and in its band, through `line`, and back at its own rate and length."""
    from scipy.signal import oaconvolve
    sent = oaconvolve(resample(samples, sample_rate, LINE_RATE), _band_filter())[_TAPS // 2:-(_TAPS // 2)]
    return _of_length(resample(line(sent), LINE_RATE, sample_rate), len(samples))


@lru_cache(maxsize=1)
def _band_filter() -> np.ndarray:
    """Linear in phase, so that taking half its length from the front keeps the time; float32."""
    from scipy.signal import firwin
    return firwin(_TAPS, BAND_HERTZ, pass_zero=False, fs=LINE_RATE).astype(np.float32)


def _by_libsndfile(samples: np.ndarray, subtype: str) -> np.ndarray:
    """Written in a coding of libsndfile and read back: float32 (n,)."""
    coded = io.BytesIO()
    soundfile.write(coded, samples, LINE_RATE, format="RAW", subtype=subtype)
    coded.seek(0)
    decoded, _ = soundfile.read(coded, dtype="float32", format="RAW", subtype=subtype, samplerate=LINE_RATE, channels=1)
    return decoded[:len(samples)]       # GSM fills its last frame of 20 ms


def _of_length(samples: np.ndarray, length: int) -> np.ndarray:
    """The first `length` samples, zeros behind the end."""
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


CODECS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "narrowband": narrowband, "mulaw": mulaw, "gsm": gsm,
    **{f"opus_{kilobits}": partial(opus, bits=1000 * kilobits) for kilobits in (16, 12, 8)}}
