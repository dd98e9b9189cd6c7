"""Simulated rooms: a voice and a microphone between walls that absorb, by the image source method."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ser_ops.seeds import generator

ROOMS_OF_A_KIND = 8         # rooms among which an utterance's is drawn; each is simulated once in a process
WALL_DISTANCE = 0.5         # metres that voice and microphone keep from every wall
_CORRECTIONS = 4            # after which the reverberation time is off by less than 1 per cent
_SIXTY_DB = float(np.log(1000))


@dataclass(frozen=True)
class RoomKind:
    """Rooms alike: least and most length, width and height (m), RT60 (s), least and most distance of the voice (m)."""

    least: tuple[float, float, float]
    most: tuple[float, float, float]
    rt60: float
    distance: tuple[float, float]


ROOM_KINDS: dict[str, RoomKind] = {
    "room_small": RoomKind((3.0, 2.5, 2.3), (5.0, 4.0, 2.8), 0.3, (0.5, 1.5)),
    "room_large": RoomKind((9.0, 7.0, 3.5), (14.0, 10.0, 4.5), 0.8, (1.5, 4.0)),
}


def reverberate(samples: np.ndarray, kind: str, sample_rate: int, draw: np.random.Generator, seed: int) -> np.ndarray:
    """A waveform (n,) in one of the seed's rooms of a kind, which `draw` chooses: float32 (n,).

    What rings on behind the waveform's end is cut off.
    """
    from scipy.signal import oaconvolve
    response, arrival = impulse_response(kind, sample_rate, seed, int(draw.integers(ROOMS_OF_A_KIND)))
    return oaconvolve(samples, response)[arrival:arrival + len(samples)]


@lru_cache(maxsize=4 * ROOMS_OF_A_KIND)
def impulse_response(kind: str, sample_rate: int, seed: int, number: int) -> tuple[np.ndarray, int]:
    """What the microphone hears of a click.

    Args:
        kind: a key of `ROOM_KINDS`.
        sample_rate: hertz.
        seed, number: which room of that kind.

    Returns:
        The impulse response, float32 (m,), of the kind's RT60, and the sample at which the direct sound arrives.

    Source: J. Allen, D. Berkley, Image method for efficiently simulating small-room acoustics, 1979.
    """
    import pyroomacoustics as rooms
    wanted = ROOM_KINDS[kind]
    size, voice, microphone = _layout(wanted, generator(seed, "room", kind, number))
    # Sabine's absorption, with images up to that order, rings a little too long: it is damped below.
    absorption, order = rooms.inverse_sabine(wanted.rt60, size)
    room = rooms.ShoeBox(size, fs=sample_rate, materials=rooms.Material(absorption), max_order=order)
    room.add_source(voice)
    room.add_microphone(microphone)
    room.compute_rir()
    response = np.asarray(room.rir[0][0], np.float64)
    seconds = np.arange(len(response)) / sample_rate
    for _ in range(_CORRECTIONS):
        measured = float(rooms.experimental.measure_rt60(response, fs=sample_rate, decay_db=30))
        response *= np.exp(_SIXTY_DB * (1 / measured - 1 / wanted.rt60) * seconds)
    # The library draws each image as a sinc of that many samples to both sides; before the first there is nothing.
    arrival = rooms.constants.get("frac_delay_length") // 2
    start = round(float(np.linalg.norm(voice - microphone)) / room.c * sample_rate)
    return response[start:start + arrival + round(1.2 * wanted.rt60 * sample_rate)].astype(np.float32), arrival


def _layout(kind: RoomKind, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Size of a room, and where its voice and its microphone are, each (3,), in metres."""
    size = draw.uniform(kind.least, kind.most)
    while True:
        voice, microphone = draw.uniform(WALL_DISTANCE, size - WALL_DISTANCE, (2, 3))
        if kind.distance[0] <= np.linalg.norm(voice - microphone) <= kind.distance[1]:
            return size, voice, microphone
