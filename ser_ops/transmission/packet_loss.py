"""Lost packets on a telephone line: which ones, in bursts, and what a simple decoder plays in their place."""

import numpy as np

LOSS: dict[str, float] = {"loss_5": 0.05, "loss_15": 0.15}     # share of packets lost
PACKET_SECONDS = 0.02
BURST_PACKETS = 2.0     # mean length of a run of lost packets
REPEAT_GAIN = 0.5       # of each further packet that is replaced, about the last one that came
JOIN_SECONDS = 0.004    # that one piece fades into the next


def lost_packets(number: int, share: float, draw: np.random.Generator) -> np.ndarray:
    """Which of `number` packets are lost, bool (number,), by Gilbert's model of a line with two states.

    In the bad state every packet is lost, in the good state none. A bad state lasts `BURST_PACKETS` packets on average,
    and the line is in it for a share `share` of the time (E. N. Gilbert, Capacity of a burst-noise channel, 1960).

    >>> lost = lost_packets(100_000, 0.15, np.random.default_rng(0))
    >>> round(float(lost.mean()), 2)
    0.15
    """
    ends = 1 / BURST_PACKETS
    begins = ends * share / (1 - share)
    chances = draw.random(number)
    lost = np.zeros(number, bool)
    bad = share > draw.random()
    for packet, chance in enumerate(chances):
        lost[packet] = bad
        bad = chance >= ends if bad else chance < begins
    return lost


def conceal(samples: np.ndarray, lost: np.ndarray, packet: int) -> np.ndarray:
    """The waveform that a decoder plays when some packets did not come.

    A lost packet is replaced by the last one that came, at half its amplitude for each packet that is missing in a row;
    pieces fade into each other. Before the first packet that came there is silence.

    Args:
        samples: what was sent, float32 (n,).
        lost: whether each packet is lost, bool (k,); k packets cover n samples.
        packet: samples of a packet.

    Returns:
        float32 (n,); samples of packets that came after another one are unchanged.
    """
    played = np.zeros(len(lost) * packet, np.float32)
    sent = np.zeros_like(played)
    sent[:len(samples)] = samples
    pieces, source = played.reshape(-1, packet), sent.reshape(-1, packet)
    join = round(JOIN_SECONDS / PACKET_SECONDS * packet)
    ramp = (np.arange(join, dtype=np.float32) + 1) / (join + 1)
    last, gain, concealed = np.zeros(packet, np.float32), 1.0, False
    for number, missing in enumerate(lost):
        if missing:
            gain *= REPEAT_GAIN
            pieces[number] = last * gain
        else:
            last, gain = source[number], 1.0
            pieces[number] = last
        if number and (missing or concealed):
            # What was played, turned about, goes on without a step.
            before = pieces[number - 1, :-join - 1:-1]
            pieces[number, :join] = ramp * pieces[number, :join] + (1 - ramp) * before
        concealed = bool(missing)
    return played[:len(samples)]
