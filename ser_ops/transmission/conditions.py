"""The conditions by name, and `transmit`, which sends a waveform through one of them.

What comes out is as long as what went in, aligned with it in time and of the same level, so that an answer changes for
the transmission's sake alone.
"""

import numpy as np

from ser_ops.seeds import generator
from ser_ops.transmission.packet_loss import LOSS
from ser_ops.transmission.rooms import ROOM_KINDS, reverberate
from ser_ops.transmission.telephone import CODECS, call

TELEPHONE: tuple[str, ...] = (*CODECS, *LOSS)
ROOMS: tuple[str, ...] = tuple(ROOM_KINDS)
CONDITIONS: tuple[str, ...] = (*TELEPHONE, *ROOMS)
SILENCE = 1e-9      # peak, -180 dB: what no converter tells from nothing stays as it is
MOST_GAIN = 10.0    # 20 dB; what a condition takes away almost whole, as a telephone does a hum, does not come back


def transmit(samples: np.ndarray, condition: str, sample_rate: int, seed: int, *key: object) -> np.ndarray:
    """A waveform as it is heard over a telephone line or in a room.

    Args:
        samples: mono waveform (n,), full scale 1, of any length.
        condition: one of `CONDITIONS`:
            narrowband: 300 to 3400 Hz at a rate of 8 kHz, the band of ITU-T G.712;
            mulaw: ITU-T G.711 in that band;
            gsm: full rate, ETSI GSM 06.10, 13 kbit/s, in that band;
            opus_16, opus_12, opus_8: RFC 6716, for voice, at that many kbit/s;
            loss_5, loss_15: mulaw, that share (per cent) of its packets of 20 ms lost in bursts and concealed;
            room_small, room_large: a simulated room with a reverberation time (RT60) of 0.3 or 0.8 s.
        sample_rate: hertz, 8000 or more.
        seed, key: of the packets or the room that are drawn. Same seed, key, condition and waveform: same answer,
            whatever was transmitted before. The key names an utterance, and its variant where it has several.

    Returns:
        float32 (n,), aligned with `samples` to 0.3 ms and of its RMS; peaks may pass full scale. Silence stays silence.

    Raises:
        ValueError: The condition is unknown.

    >>> tone = 0.1 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    >>> heard = transmit(tone, "mulaw", 16000, 1, "utterance 7")
    >>> heard.shape, heard.dtype, bool(np.abs(heard - tone)[800:-800].max() < 0.005)
    ((16000,), dtype('float32'), True)
    """
    if condition not in CONDITIONS:
        raise ValueError(f"{condition!r} is not one of {', '.join(CONDITIONS)}")
    spoken = np.array(samples, np.float32)
    if not np.abs(spoken).max(initial=0.0) > SILENCE:
        return spoken
    draw = generator(seed, "transmission", condition, *key)
    if condition in ROOM_KINDS:
        heard = reverberate(spoken, condition, sample_rate, draw, seed)
    else:
        heard = call(spoken, condition, sample_rate, draw)
    after = float(np.linalg.norm(heard))
    gain = min(MOST_GAIN, float(np.linalg.norm(spoken)) / after) if after > 0 else 0.0
    return heard * np.float32(gain)
