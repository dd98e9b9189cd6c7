"""Telephone and rooms, against formulas, spectra, counts and planted faults of their own."""

import io
import itertools
from typing import get_args

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import correlate, stft

from ser_ops.audio.signal import resample
from ser_ops.config.section import Call, Room
from ser_ops.transmission import packet_loss, rooms, telephone
from ser_ops.transmission.conditions import CONDITIONS, MOST_GAIN, ROOMS, TELEPHONE, transmit

RATE = 16000


def voice(seconds: float = 2.0, seed: int = 0) -> np.ndarray:
    """Pulses of a voice with a moving pitch through three formants, in syllables, with a little breath."""
    draw = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    phase = np.cumsum(140 + 40 * np.sin(2 * np.pi * 0.7 * time)) / RATE
    sound = sum(np.exp(-((k * 140 - formant) / 250) ** 2) * np.sin(2 * np.pi * k * phase + k)
                for k in range(1, 40) for formant in (600, 1500, 2700))
    envelope = np.clip(np.sin(2 * np.pi * 2.5 * time), 0, None)
    sound = sound * envelope + 0.02 * draw.standard_normal(len(time))
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def delay(sent: np.ndarray, heard: np.ndarray) -> int:
    """Samples by which `heard` lags, by cross-correlation."""
    return int(correlate(heard, sent, method="fft").argmax()) - (len(sent) - 1)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples.astype(np.float64) ** 2)))


@pytest.mark.parametrize("condition", TELEPHONE)
def test_a_call_keeps_length_time_and_level(condition):
    sent = voice()
    heard = transmit(sent, condition, RATE, 1, "a")
    assert heard.shape == sent.shape and heard.dtype == np.float32
    assert abs(delay(sent, heard)) <= 0.0003 * RATE
    assert rms(heard) == pytest.approx(rms(sent), rel=1e-4)
    assert not np.allclose(heard, sent, atol=1e-3)


def test_a_delay_of_half_a_millisecond_would_be_noticed():
    sent = voice()
    assert delay(sent, np.concatenate([np.zeros(8, np.float32), sent[:-8]])) == 8


@pytest.mark.parametrize("condition", ROOMS)
def test_a_room_keeps_length_and_level_and_the_time_of_the_direct_sound(condition):
    sent = voice()
    heard = transmit(sent, condition, RATE, 1, "a")
    assert heard.shape == sent.shape and rms(heard) == pytest.approx(rms(sent), rel=1e-4)
    click = np.zeros(RATE, np.float32)
    click[1000] = 1.0
    for key in range(6):
        arrived = np.abs(transmit(click, condition, RATE, 1, key))
        first = int(np.flatnonzero(arrived[:1050] > 0.5 * arrived[:1020].max())[0])
        assert abs(first - 1000) <= 1 and arrived[:1000 - 41].max() < 1e-5


@pytest.mark.parametrize("sample_rate", [8000, 22050, 44100])
@pytest.mark.parametrize("condition", CONDITIONS)
def test_other_rates_are_kept_aligned_too(condition, sample_rate):
    sent = resample(voice(1.0), RATE, sample_rate)
    heard = transmit(sent, condition, sample_rate, 1, "a")
    assert heard.shape == sent.shape and np.isfinite(heard).all()
    if condition in TELEPHONE:
        assert abs(delay(sent, heard)) <= 0.0004 * sample_rate


@settings(max_examples=60)
@given(samples=arrays(np.float32, st.integers(1, 700), elements=st.floats(-1, 1, width=32)),
       condition=st.sampled_from(CONDITIONS))
def test_any_waveform_stays_finite_and_of_its_length(samples, condition):
    before = samples.copy()
    heard = transmit(samples, condition, RATE, 3, "x")
    assert heard.shape == samples.shape and heard.dtype == np.float32 and np.isfinite(heard).all()
    assert (samples == before).all()
    assert rms(heard) <= rms(samples) * 1.001 + 1e-30


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("length", [0, 1, 159, 16000])
def test_silence_stays_silence_and_full_scale_finite(condition, length):
    assert not transmit(np.zeros(length, np.float32), condition, RATE, 1).any()
    faint = np.full(length, 1e-45, np.float32)      # a gain to the line's level would be infinite
    assert (transmit(faint, condition, RATE, 1) == faint).all()
    square = np.where(np.arange(length) // 40 % 2, 1.0, -1.0).astype(np.float32)
    heard = transmit(square, condition, RATE, 1)
    assert len(heard) == length and np.isfinite(heard).all()


@pytest.mark.parametrize("condition", CONDITIONS)
def test_same_key_same_bytes_in_any_order_and_at_any_level(condition):
    sent, other = voice(), voice(1.0, seed=5)
    first = transmit(sent, condition, RATE, 1, "a", "telephone")
    transmit(other, condition, RATE, 9, "b")
    assert (transmit(sent, condition, RATE, 1, "a", "telephone") == first).all()
    quiet = transmit(sent / 64, condition, RATE, 1, "a", "telephone")
    assert np.allclose(quiet * 64, first, atol=1e-4 * np.abs(first).max())


@pytest.mark.parametrize("condition", ["loss_5", "loss_15", *ROOMS])
def test_packets_and_rooms_are_drawn_by_key_and_by_seed(condition):
    sent = voice()
    heard = {transmit(sent, condition, RATE, seed, key).tobytes() for seed, key in itertools.product((1, 2), range(8))}
    assert len(heard) >= 6


def test_what_is_not_drawn_does_not_depend_on_the_key():
    sent = voice(0.5)
    for condition in ("narrowband", "mulaw", "gsm", "opus_16", "opus_12", "opus_8"):
        assert (transmit(sent, condition, RATE, 1, "a") == transmit(sent, condition, RATE, 2, "b")).all()


def test_settings_name_what_there_is():
    assert get_args(Call) == TELEPHONE and get_args(Room) == ROOMS


def test_an_unknown_condition_is_an_error():
    with pytest.raises(ValueError, match="'fax' is not one of narrowband"):
        transmit(voice(0.1), "fax", RATE, 1)


def test_the_band_of_a_telephone():
    """ITU-T G.712: 300 to 3400 Hz pass within half a decibel, hum and the upper half do not."""
    def gain(hertz: float) -> float:
        tone = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE).astype(np.float32)
        middle = slice(RATE // 4, -RATE // 4)
        return 20 * np.log10(rms(telephone.narrowband(tone, RATE)[middle]) / rms(tone[middle]))

    for hertz in (300, 310, 500, 1000, 2000, 3000, 3390, 3400):
        assert abs(gain(hertz)) < 0.5, hertz
    for hertz in (20, 50, 60, 100, 180):
        assert gain(hertz) < -40, hertz
    for hertz in (3550, 3700, 4200, 5000, 7000):
        assert gain(hertz) < -40, hertz


@pytest.mark.parametrize("condition", ["narrowband", "mulaw", "gsm", "loss_5", "opus_8"])
def test_nothing_above_four_kilohertz_comes_through_a_narrow_band(condition):
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(transmit(noise, condition, RATE, 1))) ** 2
    hertz = np.fft.rfftfreq(len(noise), 1 / RATE)
    assert spectrum[hertz > 4300].sum() < 1e-3 * spectrum.sum()


def test_hum_does_not_come_back():
    """A tone that the band takes out is no reason for a gain without bound."""
    hum = (0.5 * np.sin(2 * np.pi * 50 * np.arange(2 * RATE) / RATE)).astype(np.float32)
    assert rms(transmit(hum, "narrowband", RATE, 1)[RATE // 2:-RATE // 2]) < MOST_GAIN * 0.003 * rms(hum)


def mulaw_by_table(integers: np.ndarray) -> np.ndarray:
    """ITU-T G.711, table 2a: 14-bit integers to the middle of their interval, which ends half a step of its own on."""
    levels = np.array([((2 * step + 33) << segment) - 33 for segment in range(8) for step in range(16)])
    ends = levels + np.array([1 << segment for segment in range(8) for _ in range(16)])
    return np.sign(integers) * levels[np.searchsorted(ends, np.abs(integers), side="right")]


def test_mulaw_is_that_of_the_standard():
    integers = np.arange(-8031, 8032)
    decoded = telephone._by_libsndfile((integers / (32767 / 4)).astype(np.float32), "ULAW") * 8192
    assert (decoded == mulaw_by_table(integers)).all()


def test_mulaw_has_the_signal_to_noise_ratio_of_the_standard():
    """ITU-T G.712: 33 dB and more for a tone at -30 to 0 dBm0; a companding line has about 38 dB."""
    for amplitude in (0.5, 0.1, 0.03):
        tone = (amplitude * np.sin(2 * np.pi * 1020 * np.arange(8000) / 8000)).astype(np.float32)
        error = telephone._by_libsndfile(tone, "ULAW") - tone
        assert 33 < 20 * np.log10(rms(tone) / rms(error)) < 42


def test_gsm_frames_are_33_bytes():
    """13 kbit/s: 260 bits in 33 bytes for 160 samples, so what a clip costs is what GSM 06.10 costs."""
    coded = io.BytesIO()
    soundfile.write(coded, voice()[::2], 8000, format="RAW", subtype="GSM610")
    assert len(coded.getvalue()) == 33 * len(voice()[::2]) / 160


@pytest.mark.parametrize("kilobits", [16, 12, 8])
def test_opus_spends_the_bits_that_its_name_says(kilobits):
    packets, header = telephone.opus_packets(voice(), 1000 * kilobits)
    assert {8 * len(packet) * 50 for packet in packets} == {1000 * kilobits}
    assert len(packets) == 2 * 50 + 1 and header.startswith(b"OpusHead")


def test_fewer_bits_leave_less_of_speech():
    sent = voice()

    def distance(condition: str) -> float:
        def levels(samples: np.ndarray) -> np.ndarray:
            return np.log10(np.abs(stft(samples, nperseg=512)[2]) + 1e-4)
        return float(np.abs(levels(transmit(sent, condition, RATE, 1)) - levels(sent)).mean())

    assert distance("opus_16") < distance("opus_12") < distance("opus_8")
    assert distance("narrowband") < distance("mulaw") < distance("gsm")


@pytest.mark.parametrize("name", packet_loss.LOSS)
def test_packets_are_lost_as_often_and_in_bursts_as_long_as_said(name):
    share = packet_loss.LOSS[name]
    lost = packet_loss.lost_packets(200_000, share, np.random.default_rng(1))
    assert lost.mean() == pytest.approx(share, rel=0.04)
    bursts = [len(list(run)) for bad, run in itertools.groupby(lost) if bad]
    assert np.mean(bursts) == pytest.approx(packet_loss.BURST_PACKETS, rel=0.04)
    # Independent losses of the same share, the planted fault, have shorter bursts.
    alone = np.random.default_rng(1).random(200_000) < share
    assert np.mean([len(list(run)) for bad, run in itertools.groupby(alone) if bad]) < 1.3


def test_the_first_packet_is_lost_as_often_as_any():
    first = [packet_loss.lost_packets(1, 0.15, np.random.default_rng(seed))[0] for seed in range(4000)]
    assert np.mean(first) == pytest.approx(0.15, abs=0.02)


def test_a_lost_packet_sounds_like_the_one_before_it_and_the_rest_is_untouched():
    packet = 160
    sent = np.sin(2 * np.pi * 200 * np.arange(10 * packet) / 8000).astype(np.float32)
    lost = np.zeros(10, bool)
    lost[[3, 4, 8]] = True
    heard = packet_loss.conceal(sent, lost, packet)
    join = 32
    assert (heard[:3 * packet] == sent[:3 * packet]).all()
    assert (heard[5 * packet + join:8 * packet] == sent[5 * packet + join:8 * packet]).all()
    middle = slice(3 * packet + join, 4 * packet)
    assert np.allclose(heard[middle], 0.5 * sent[2 * packet + join:3 * packet], atol=1e-6)
    assert rms(heard[4 * packet + join:5 * packet]) == pytest.approx(0.25 * rms(sent), rel=0.1)
    assert np.abs(np.diff(heard)).max() < 2 * np.abs(np.diff(sent)).max()      # no click


def test_what_is_lost_before_anything_came_is_silence():
    heard = packet_loss.conceal(np.ones(480, np.float32), np.array([True, True, False]), 160)
    assert not heard[:320].any() and (heard[352:] == 1).all()


def test_nothing_lost_is_nothing_changed():
    sent = voice()[:1000]
    assert (packet_loss.conceal(sent, np.zeros(7, bool), 160) == sent).all()


def decay_seconds(response: np.ndarray, sample_rate: int) -> float:
    """RT60 by Schroeder's backward integration, from the line through -5 to -35 dB (ISO 3382-1, T30)."""
    energy = np.cumsum(response[::-1].astype(np.float64) ** 2)[::-1]
    decibels = 10 * np.log10(energy / energy[0] + 1e-12)
    inside = np.flatnonzero((decibels <= -5) & (decibels >= -35))
    slope = np.polyfit(inside / sample_rate, decibels[inside], 1)[0]
    return -60 / slope


@pytest.mark.parametrize("kind", ROOMS)
def test_every_room_rings_as_long_as_said(kind):
    wanted = rooms.ROOM_KINDS[kind].rt60
    for number in range(rooms.ROOMS_OF_A_KIND):
        response, arrival = rooms.impulse_response(kind, RATE, 1, number)
        assert decay_seconds(response, RATE) == pytest.approx(wanted, rel=0.1)
        direct = np.abs(response[arrival - 1:arrival + 2]).max()
        assert np.abs(response[:arrival - 10]).max() < 0.1 * direct


def test_the_measure_of_a_planted_decay():
    time = np.arange(RATE) / RATE
    noise = np.random.default_rng(0).standard_normal(RATE) * 10 ** (-3 * time / 0.4)
    assert decay_seconds(noise, RATE) == pytest.approx(0.4, rel=0.05)


def test_a_seed_has_rooms_of_its_own_and_each_is_another():
    responses = {rooms.impulse_response("room_small", RATE, seed, number)[0].tobytes()
                 for seed in (1, 30) for number in range(rooms.ROOMS_OF_A_KIND)}
    assert len(responses) == 2 * rooms.ROOMS_OF_A_KIND
