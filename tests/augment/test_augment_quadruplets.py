"""Four instances of each training utterance (paper 1, section III-C)."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser_ops.augment import quadruplets
from ser_ops.augment.pitch import shift_pitch
from ser_ops.config.data import Augment
from ser_ops.errors import UserError
from ser_ops.manifest import NoiseRow
from ser_ops.noise.mixing import Mixer
from ser_ops.transmission import rooms
from ser_ops.transmission.conditions import ROOMS, TELEPHONE, transmit

RATE = 16000
SPEECH = (0.4 * np.sin(np.arange(9000) / 15) * np.hanning(9000)).astype(np.float32)


def chosen(**more) -> Augment:
    return Augment(**{"seed": 30, "variants": ("original", "noisy", "pitched", "pitched_noisy"), "semitones": 0.7,
                      "speed": 0.1, "intensity": (0.0, 0.75), "stationary": False,
                      "level": "keep", "silent_crop_dbfs": -60.0, "validation_copies": 0} | more)


def a_mixer(rows=(("train", "rain", 3), ("train", "crowd", 2), ("test", "rain", 2), ("test", "wind", 1))) -> Mixer:
    table = [NoiseRow(f"made/{category}/{partition}{number}", category=category, partition=partition)
             for partition, category, count in rows for number in range(count)]
    rng = np.random.default_rng(0)
    return Mixer({row.recording: rng.uniform(-1, 1, 20000).astype(np.float32) for row in table}, table, RATE)


def test_the_four():
    original, noisy, pitched, both = quadruplets.make_variants("a", SPEECH, chosen(), a_mixer())
    assert [variant.name for variant in (original, noisy, pitched, both)] == ["original", "noisy", "pitched",
                                                                              "pitched_noisy"]
    assert np.array_equal(original.samples, SPEECH)
    assert np.array_equal(pitched.samples, shift_pitch(SPEECH, RATE, 0.7))
    for clean in (original, pitched):
        assert clean.around == quadruplets.Surroundings()
    for clean, mixed in ((original, noisy), (pitched, both)):
        added = mixed.samples.astype(float) - clean.samples
        assert np.abs(added).max() == pytest.approx(mixed.around.intensity * np.abs(clean.samples).max(), rel=1e-5)
        snr = 10 * np.log10((clean.samples.astype(float) ** 2).sum() / (added**2).sum())
        assert mixed.around.snr_db == pytest.approx(snr, abs=0.01)
        assert mixed.samples.dtype == np.float32 and mixed.samples.shape == SPEECH.shape
    assert noisy.around != both.around


def test_only_the_variants_that_are_asked_for():
    made = quadruplets.make_variants("a", SPEECH, chosen(variants=("original", "pitched_noisy")), a_mixer())
    assert [variant.name for variant in made] == ["original", "pitched_noisy"]


def test_only_training_recordings_of_every_category():
    added = [variant.around for number in range(60) for variant in quadruplets.make_variants(
        f"{number}", SPEECH[:500], chosen(variants=("original", "noisy")), a_mixer()) if variant.name == "noisy"]
    assert {variant.noise_recording for variant in added} == {
        "made/rain/train0", "made/rain/train1", "made/rain/train2", "made/crowd/train0", "made/crowd/train1"}
    assert 15 < sum(variant.noise_category == "rain" for variant in added) < 45


def test_intensity_is_uniform():
    drawn = np.array([variant.around.intensity for number in range(400) for variant in quadruplets.make_variants(
        f"{number}", SPEECH[:50], chosen(variants=("original", "noisy")), a_mixer()) if variant.name == "noisy"])
    assert drawn.min() < 0.02 and drawn.max() > 0.73
    assert np.histogram(drawn, 3, (0, 0.75))[0] == pytest.approx([133] * 3, abs=35)


def test_stationary_noise_by_one_setting():
    def categories(stationary: bool) -> set[str]:
        return {variant.around.noise_category for number in range(40) for variant in quadruplets.make_variants(
            f"{number}", SPEECH[:500], chosen(stationary=stationary), a_mixer())} - {""}

    assert categories(False) == {"rain", "crowd"}
    assert categories(True) == {"rain", "crowd", "white", "pink", "brown"}


def test_slow_and_fast_change_duration_and_pitch_together():
    def loudest(samples):
        return np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples)

    names = ("original", "slow", "fast", "fast_noisy")
    original, slow, fast, noisy = quadruplets.make_variants("a", SPEECH, chosen(variants=names), a_mixer())
    assert (len(slow.samples), len(fast.samples)) == (10000, 8182) and len(noisy.samples) == 8182
    assert loudest(slow.samples) == pytest.approx(0.9 * loudest(original.samples), rel=0.02)
    assert loudest(fast.samples) == pytest.approx(1.1 * loudest(original.samples), rel=0.02)
    assert not slow.around.noise_category and noisy.around.noise_category in {"rain", "crowd"}


def test_telephone_and_room_in_the_order_of_their_names():
    """Noise is in the room with the microphone, but goes through the telephone with the voice."""
    names = ("original", "room", "room_noisy", "telephone", "noisy_telephone")
    _, room, in_room, call, noisy_call = quadruplets.make_variants(
        "a", SPEECH, chosen(variants=names), a_mixer())
    assert np.array_equal(room.samples, transmit(SPEECH, room.around.transmission, RATE, 30, "a", "room"))
    assert np.array_equal(call.samples, transmit(SPEECH, call.around.transmission, RATE, 30, "a", "telephone"))
    assert room.around.transmission == in_room.around.transmission in ROOMS
    added = in_room.samples.astype(float) - room.samples
    assert np.abs(added).max() == pytest.approx(in_room.around.intensity * np.abs(room.samples).max(), rel=1e-4)
    assert call.around.transmission in TELEPHONE and call.around.noise_category == ""
    mixed = a_mixer()("a#noisy_telephone", SPEECH, noisy_call.around.noise_category, noisy_call.around.intensity, 30,
                      "train").samples
    assert np.array_equal(noisy_call.samples, transmit(mixed, noisy_call.around.transmission, RATE, 30, "a",
                                                       "noisy_telephone"))
    for variant in (room, in_room, call, noisy_call):
        assert variant.samples.shape == SPEECH.shape and variant.samples.dtype == np.float32


def test_every_line_and_every_room_is_drawn(monkeypatch):
    monkeypatch.setattr(rooms, "ROOMS_OF_A_KIND", 1)
    drawn = [variant.around.transmission for number in range(120) for variant in quadruplets.make_variants(
        f"{number}", SPEECH[:400], chosen(variants=("original", "room", "telephone")), a_mixer())]
    assert set(drawn) - {""} == {*TELEPHONE, *ROOMS}
    assert 40 < drawn.count("room_small") < 80


def test_no_noise_for_training():
    nothing = a_mixer((("test", "rain", 2),))
    with pytest.raises(UserError, match="no noise recordings for training"):
        list(quadruplets.make_variants("a", SPEECH, chosen(), nothing))
    names = [variant.name
             for variant in quadruplets.make_variants("a", SPEECH, chosen(variants=("original", "pitched")), nothing)]
    assert names == ["original", "pitched"]
    assert len(list(quadruplets.make_variants("a", SPEECH, chosen(stationary=True), nothing))) == 4


@settings(max_examples=10)
@given(st.permutations(["a", "b", "c", "d"]), st.integers(0, 1000))
def test_the_same_whatever_the_order(order, seed):
    here = chosen(seed=seed)
    alone = {name: list(quadruplets.make_variants(name, SPEECH, here, a_mixer())) for name in "abcd"}
    mixer = a_mixer()
    for name in order:
        for variant, other in zip(quadruplets.make_variants(name, SPEECH, here, mixer), alone[name], strict=True):
            assert variant.around == other.around
            assert np.array_equal(variant.samples, other.samples)
    for first, second in itertools.combinations("abcd", 2):
        assert not np.array_equal(alone[first][1].samples, alone[second][1].samples)


def test_fewer_variants_leave_the_others_as_they_were():
    four = {variant.name: variant for variant in quadruplets.make_variants("a", SPEECH, chosen(), a_mixer())}
    for variant in quadruplets.make_variants("a", SPEECH, chosen(variants=("original", "pitched_noisy")), a_mixer()):
        assert np.array_equal(variant.samples, four[variant.name].samples)


VALIDATED = (("train", "rain", 3), ("train", "wind", 2), ("test", "rain", 2), ("validation", "rain", 2),
             ("validation", "crowd", 1))


def copies_of(utterance: str, mixer: Mixer, **more) -> list[quadruplets.Variant]:
    return list(quadruplets.make_validation_copies(utterance, SPEECH, chosen(**{"validation_copies": 2} | more), mixer))


def test_validation_hears_recordings_of_its_own_at_intensities_of_the_range():
    mixer = a_mixer(VALIDATED)
    made = [copy for number in range(60) for copy in copies_of(f"{number}", mixer, intensity=(0.2, 0.6))]
    assert {copy.name for copy in made} == {"noisy_1", "noisy_2"}
    assert {copy.around.noise_recording for copy in made} == {
        "made/rain/validation0", "made/rain/validation1", "made/crowd/validation0"}
    drawn = [copy.around.intensity for copy in made]
    assert min(drawn) < 0.23 and max(drawn) > 0.57 and min(drawn) >= 0.2 and max(drawn) <= 0.6
    for copy in made:
        added = np.abs(copy.samples - SPEECH).max()
        assert added == pytest.approx(copy.around.intensity * np.abs(SPEECH).max(), rel=1e-4)


def test_stationary_noise_of_validation_is_not_that_of_training():
    mixer = a_mixer(VALIDATED)
    copies = [copy for number in range(60) for copy in copies_of(f"{number}", mixer, stationary=True)]
    assert {copy.around.noise_category for copy in copies} == {"rain", "crowd", "white", "pink", "brown"}
    made = [variant for number in range(60) for variant in quadruplets.make_variants(
        f"{number}", SPEECH, chosen(stationary=True, variants=("original", "noisy")), mixer) if variant.name == "noisy"]
    noises = {copy.samples.tobytes() for copy in copies}
    assert len(noises) == 120 and not noises & {variant.samples.tobytes() for variant in made}


@given(st.permutations("abcd"), st.integers(0, 2**31))
@settings(max_examples=10)
def test_a_copy_depends_on_seed_and_utterance_alone(order, seed):
    alone = {name: copies_of(name, a_mixer(VALIDATED), seed=seed) for name in "abcd"}
    mixer = a_mixer(VALIDATED)
    for name in order:
        first, second = copies_of(name, mixer, seed=seed)
        assert np.array_equal(first.samples, alone[name][0].samples) and second.around == alone[name][1].around
        assert first.around != second.around
        (single,) = copies_of(name, mixer, seed=seed, validation_copies=1)
        assert np.array_equal(single.samples, first.samples), "more copies leave the first as it was"


def test_no_copies_without_noise_of_the_validation_partition():
    assert copies_of("a", a_mixer(), stationary=True) == [] == copies_of("a", a_mixer(VALIDATED), validation_copies=0)
