"""Small changes, pitch and calibration against figures worked out by hand."""

import numpy as np
import pytest

from ser_ops.config.params import load_params
from ser_ops.errors import UserError
from ser_ops.evaluation import behaviour
from ser_ops.evaluation.behaviour import (
    ALL,
    change_functions,
    crop,
    first_order_filter,
    gain,
    median_pitch,
    tilt,
    white_noise,
)
from ser_ops.models.temperature import fit_temperature, tempered

SETTINGS = load_params().behave
RATE = 16000


def tone(hertz, seconds=1.0, peak=0.5):
    return (peak * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def rms(samples):
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def decibels(after, before):
    return 20 * np.log10(rms(after) / rms(before))


def test_gain_is_in_decibels():
    assert decibels(gain(tone(200), 2.0), tone(200)) == pytest.approx(2.0, abs=1e-4)


def test_white_noise_has_the_ratio_that_was_asked_for():
    speech = tone(200, 4.0)
    noise = white_noise(speech, 40.0, np.random.default_rng(1)) - speech
    assert decibels(speech, noise) == pytest.approx(40.0, abs=0.1)
    silence = np.zeros(100, np.float32)
    assert np.array_equal(white_noise(silence, 40.0, np.random.default_rng(1)), silence)


def test_a_crop_takes_from_the_side_that_was_asked_for():
    samples = np.arange(RATE, dtype=np.float32)
    assert crop(samples, RATE, 0.0625, 0.0)[0] == 1000 and len(crop(samples, RATE, 0.0625, 0.0)) == RATE - 1000
    assert crop(samples, RATE, 0.0, 0.00625)[-1] == RATE - 101
    assert len(crop(samples, RATE, 9.0, 9.0)) == RATE // 2, "half of a short one stays"


@pytest.mark.parametrize(("side", "hertz"), [("high", 100.0), ("low", 7000.0)])
def test_a_first_order_filter_halves_the_power_at_its_corner(side, hertz):
    corner, untouched = tone(hertz, 4.0), tone(1000, 4.0)
    assert decibels(first_order_filter(corner, RATE, hertz, side), corner) == pytest.approx(-3.01, abs=0.1)
    assert abs(decibels(first_order_filter(untouched, RATE, hertz, side), untouched)) < 0.1


def test_a_corner_that_the_rate_does_not_hold_is_an_error_in_words():
    with pytest.raises(UserError, match="low_pass_hertz lower"):
        first_order_filter(tone(100), 8000, 6500.0, "low")


def test_a_tilt_is_a_straight_line_in_decibels_and_keeps_the_level():
    low, high = tone(1000, 1.0), tone(7000, 1.0)
    both = tilt(low + high, 3.0)
    assert decibels(both, low + high) == pytest.approx(0.0, abs=1e-3)
    spectrum, before = np.abs(np.fft.rfft(both)), np.abs(np.fft.rfft(low + high))
    risen = 20 * np.log10(spectrum / before)[[1000, 7000]]
    assert risen[1] - risen[0] == pytest.approx(3.0 * 6000 / 8000, abs=1e-3)
    assert len(tilt(tone(100)[:999], -3.0)) == 999


def test_every_change_is_small_and_answers_for_any_length():
    speech = tone(150, 0.7) + white_noise(tone(150, 0.7), 20.0, np.random.default_rng(0))
    for name, change in change_functions(SETTINGS).items():
        changed = change(speech, RATE, np.random.default_rng(3))
        assert changed.dtype == np.float32 and np.isfinite(changed).all(), name
        assert abs(decibels(changed, speech)) < 3.1 or name == "level", name
        assert len(change(speech[:7], RATE, np.random.default_rng(3))) > 3, name


def test_labels_that_stay_are_counted_by_change():
    """A model that listens to the level alone changes its mind under gain, and under nothing else here."""
    waveforms = {f"u{level}": tone(300, 1.0, level / 100) for level in range(20, 40)}
    limits = 10 ** (np.arange(-30, 1) / 20) / np.sqrt(2)

    def answers(heard):
        return np.eye(31)[[int(np.searchsorted(limits, rms(samples))) for samples in heard]]

    shares = behaviour.small_changes(answers, waveforms, sorted(waveforms), RATE, SETTINGS)
    assert shares["gain"]["unchanged"] == 0.0, "steps of 1 dB"
    assert shares["tilt_up"]["unchanged"] > 0.9
    each = [change["unchanged"] for name, change in shares.items() if name != ALL]
    assert shares[ALL] == {"unchanged": pytest.approx(np.mean(each)), "of": 12 * 20}
    assert shares == behaviour.small_changes(answers, waveforms, sorted(waveforms), RATE, SETTINGS)


def test_selected_utterances_hold_each_class_as_often_as_they_can():
    true = np.array([0] * 50 + [1] * 3 + [2] * 50)
    names = [f"u{number:03d}" for number in range(len(true))]
    taken = behaviour.select_balanced(names, true, 23, seed=1)
    assert [int((true[taken] == index).sum()) for index in range(3)] == [10, 3, 10] and taken == sorted(taken)
    assert behaviour.select_balanced(names, true, 500, seed=1) == list(range(103))


def test_pitch_is_that_of_the_voice():
    for hertz in (90.0, 210.0, 380.0):
        harmonics = sum(tone(hertz * order, 1.0, 0.3 / order) for order in range(1, 8))
        assert median_pitch(np.asarray(harmonics), RATE, 60.0, 500.0) == pytest.approx(hertz, rel=0.02)
    assert median_pitch(np.zeros(RATE, np.float32), RATE, 60.0, 500.0) is None
    assert median_pitch(tone(200)[:100], RATE, 60.0, 500.0) is None


def test_a_temperature_is_recovered():
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 2, (4000, 7))
    honest = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    true = np.array([draw.choice(7, p=row) for row in honest])
    boastful = tempered(honest, 0.4)
    assert fit_temperature(true, boastful) == pytest.approx(2.5, rel=0.06)
    assert fit_temperature(true, honest) == pytest.approx(1.0, rel=0.06)
    report = behaviour.calibration((true, boastful), (true, boastful))
    assert report["error_with_temperature"] < 0.03 < 0.1 < report["error"]
    assert np.array_equal(tempered(boastful, 2.5).argmax(1), boastful.argmax(1)), "labels never change"


def test_an_offset_a_sign_and_a_detour_over_another_rate_change_nothing_that_is_heard():
    speech = tone(300, 1.0) + tone(1200, 1.0, 0.2)
    made = {name: change_functions(SETTINGS)[name](speech, RATE, np.random.default_rng(1)) for name in (
        "offset", "polarity", "resampling")}
    middle = slice(RATE // 4, -RATE // 4)
    assert np.abs(made["offset"] - speech)[middle].max() < 0.03 and abs(float(made["offset"].mean())) < 1e-3
    assert np.array_equal(made["polarity"], -speech)
    assert np.abs(made["resampling"] - speech)[middle].max() < 1e-3
