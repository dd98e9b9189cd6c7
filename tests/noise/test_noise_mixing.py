"""Equations 1 to 3 of paper 1, by hand and by their properties."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ser_ops.audio.signal import dbfs
from ser_ops.errors import UserError
from ser_ops.manifest import NoiseRow
from ser_ops.noise.mixing import Mixer, crop_noise, mix_noise

RATE = 16000
seeds = st.integers(0, 2**32 - 1)


def signals(size: int = 64):
    return arrays.arrays(np.float32, size, elements=st.floats(-1, 1, width=32)).filter(lambda x: np.abs(x).max() > 1e-3)


class TestMix:
    def test_by_hand(self):
        # max|s| = 0.8, max|n| = 0.5, a = 0.5: x = s + 0.5 * 0.8 / 0.5 * n = s + 0.8 n
        speech, noise = np.array([0.4, -0.8, 0.0, 0.2], np.float32), np.array([0.5, 0.25, -0.5, 0.0], np.float32)
        mixture = mix_noise(speech, noise, 0.5)
        assert mixture.samples == pytest.approx([0.8, -0.6, -0.4, 0.2])
        # energies: 0.16 + 0.64 + 0.04 = 0.84 against 0.64 * (0.25 + 0.0625 + 0.25) = 0.36
        assert mixture.snr_db == pytest.approx(10 * math.log10(0.84 / 0.36))

    def test_noise_peak_is_relative_to_the_speech_peak(self):
        """Equation 8 leaves max|s| out; its text, 'relative to the peak speech amplitude', holds."""
        speech = np.array([0.1, -0.02], np.float32)
        added = mix_noise(speech, np.array([0.0, 7.0], np.float32), 0.75).samples - speech
        assert np.abs(added).max() == pytest.approx(0.075)

    @given(signals(), signals())
    def test_no_intensity_is_identity(self, speech, noise):
        mixture = mix_noise(speech, noise, 0.0)
        assert np.array_equal(mixture.samples, speech)
        assert mixture.snr_db == math.inf

    @given(signals(), signals(), st.floats(0.01, 1), st.floats(0.01, 100))
    def test_gain_of_the_noise_does_not_matter(self, speech, noise, intensity, gain):
        plain, scaled = mix_noise(speech, noise, intensity), mix_noise(speech, noise * np.float32(gain), intensity)
        assert scaled.samples == pytest.approx(plain.samples, abs=1e-5)
        assert scaled.snr_db == pytest.approx(plain.snr_db, abs=1e-3)

    @given(signals(), signals(), st.floats(0.01, 1), st.sampled_from([0.25, 0.5, 2.0, 8.0]))
    def test_snr_does_not_depend_on_the_level_of_the_speech(self, speech, noise, intensity, gain):
        plain, scaled = mix_noise(speech, noise, intensity), mix_noise(speech * np.float32(gain), noise, intensity)
        assert scaled.snr_db == pytest.approx(plain.snr_db, abs=1e-6)
        assert scaled.samples == pytest.approx(plain.samples * gain, rel=1e-5, abs=1e-6)

    @given(signals(), signals(), st.floats(0.01, 0.5))
    def test_twice_the_intensity_is_six_decibels_less(self, speech, noise, intensity):
        less = mix_noise(speech, noise, intensity).snr_db - mix_noise(speech, noise, 2 * intensity).snr_db
        assert less == pytest.approx(20 * math.log10(2), abs=1e-4)

    @given(signals(), signals(), st.floats(0.01, 1))
    def test_snr_is_what_the_samples_say(self, speech, noise, intensity):
        mixture = mix_noise(speech, noise, intensity)
        added = mixture.samples.astype(float) - speech
        measured = 10 * math.log10(np.sum(np.square(speech, dtype=float)) / np.sum(added**2))
        assert mixture.snr_db == pytest.approx(measured, abs=0.01)

    @given(signals(), signals(), st.floats(0.01, 1))
    def test_levels(self, speech, noise, intensity):
        kept = mix_noise(speech, noise, intensity)
        clipped, scaled = mix_noise(speech, noise, intensity, "clip"), mix_noise(speech, noise, intensity,
                                                                                 "renormalise")
        assert np.array_equal(clipped.samples, kept.samples.clip(-1, 1))
        assert np.abs(scaled.samples).max() <= 1
        peak = np.abs(kept.samples).max()
        assert scaled.samples * max(1, peak) == pytest.approx(kept.samples, abs=1e-5)
        assert kept.snr_db == clipped.snr_db == scaled.snr_db

    def test_beyond_full_scale_is_kept(self):
        assert mix_noise(np.ones(3), np.ones(3), 0.75).samples == pytest.approx([1.75] * 3)

    def test_silence_stays_silence(self):
        silence = np.zeros(4, np.float32)
        assert not mix_noise(silence, np.ones(4), 0.5).samples.any()
        assert np.array_equal(mix_noise(np.ones(4), silence, 0.5).samples, np.ones(4))

    @pytest.mark.parametrize(("length", "intensity"), [(3, 0.5), (4, -0.1)])
    def test_misuse(self, length, intensity):
        with pytest.raises(ValueError):
            mix_noise(np.ones(4), np.ones(length), intensity)


class TestCrop:
    @given(st.integers(1, 200), st.integers(1, 200), seeds)
    def test_one_stretch_of_the_recording_and_zeros(self, length, noise_length, seed):
        """Every sample of a ramp occurs at most once, in order: neither looped nor cut in two."""
        noise = np.arange(1, noise_length + 1, dtype=np.float32)
        taken = crop_noise(noise, length, np.random.default_rng(seed))
        heard = np.flatnonzero(taken)
        assert taken.shape == (length,)
        assert len(heard) == min(length, noise_length)
        assert np.array_equal(np.diff(taken[heard]), np.ones(len(heard) - 1))
        assert np.array_equal(np.diff(heard), np.ones(len(heard) - 1))

    def test_crops_and_places_vary(self):
        ramp = np.arange(1, 1001, dtype=np.float32)
        assert len({float(crop_noise(ramp, 10, np.random.default_rng(seed))[0]) for seed in range(50)}) > 40
        places = {int(np.flatnonzero(crop_noise(ramp[:10], 1000, np.random.default_rng(seed)))[0])
                  for seed in range(50)}
        assert min(places) < 200 and max(places) > 800

    def test_reaches_both_ends(self):
        starts = {int(crop_noise(np.arange(1, 6, dtype=np.float32), 3, np.random.default_rng(seed))[0])
                  for seed in range(60)}
        assert starts == {1, 2, 3}

    def test_a_silent_crop_is_drawn_again(self):
        noise = np.zeros(10000, np.float32)
        noise[4000:6000] = 0.5
        for seed in range(40):
            assert np.abs(crop_noise(noise, 500, np.random.default_rng(seed), silent_dbfs=-40)).max() == 0.5

    @pytest.mark.parametrize("length", [500, 2000])
    def test_a_silent_recording_is_named(self, length):
        noise = np.full(1000, 10 ** (-70 / 20), np.float32)
        with pytest.raises(UserError, match="recorded/rain/drizzle"):
            crop_noise(noise, length, np.random.default_rng(0), name="recorded/rain/drizzle")

    @given(st.floats(-59.9, 0), seeds)
    def test_above_the_threshold_is_taken(self, level, seed):
        noise = np.full(1000, 10 ** (level / 20), np.float32)
        assert dbfs(float(crop_noise(noise, 100, np.random.default_rng(seed)).max())) == pytest.approx(level, abs=0.01)

    def test_does_not_touch_the_recording(self):
        noise = np.ones(10, np.float32)
        crop_noise(noise, 10, np.random.default_rng(0))[:] = 0
        assert noise.all()


def a_mixer(**more):
    rng = np.random.default_rng(0)
    rows = [NoiseRow(f"made/{category}/{number}", category=category, partition=partition)
            for category in ("children", "fish_market")
            for number, partition in enumerate(["train", "train", "train", "test", "test", "validation"])]
    rows.append(NoiseRow("made/rain/0", category="rain", partition="test"))
    recordings = {row.recording: rng.uniform(-0.3, 0.3, 4000).astype(np.float32) for row in rows}
    return Mixer(recordings, rows, RATE, **more), rows, recordings


class TestMixer:
    speech = np.sin(np.arange(2000) / 20).astype(np.float32)

    def test_equals_crop_and_mix(self):
        mixer, _, recordings = a_mixer()
        mixture = mixer("a", self.speech, "children", 0.5, 1, "train")
        added = (mixture.samples.astype(float) - self.speech) / (0.5 * np.abs(self.speech).max())
        noise = recordings[mixture.recording]
        errors = [np.abs(noise[start:start + 2000] / np.abs(noise[start:start + 2000]).max() - added).max()
                  for start in range(2001)]
        assert min(errors) < 1e-5
        assert (mixture.noise, mixture.intensity) == ("children", 0.5)

    def test_same_whatever_came_before_and_in_whatever_order_rows_come(self):
        mixer, rows, recordings = a_mixer()
        asked = [(utterance, noise, intensity, seed) for utterance in "abc" for noise in ("children", "pink")
                 for intensity in (0.25, 0.5) for seed in (1, 2)]
        first = {question: mixer(question[0], self.speech, *question[1:], "test") for question in asked}
        random.Random(1).shuffle(rows)
        again = Mixer(recordings, rows, RATE)
        random.Random(2).shuffle(asked)
        for question in asked:
            mixture = again(question[0], self.speech, *question[1:], "test")
            assert np.array_equal(mixture.samples, first[question].samples)
            assert mixture.recording == first[question].recording
            assert mixture.snr_db == first[question].snr_db
        assert len({first[question].samples.tobytes() for question in asked}) == len(asked)

    def test_only_recordings_of_the_partition(self):
        mixer, rows, _ = a_mixer()
        for partition, count in (("train", 3), ("test", 2), ("validation", 1)):
            used = {mixer(str(n), self.speech, "children", 0.5, 1, partition).recording for n in range(40)}
            assert used == {row.recording for row in rows if row.partition == partition
                            and row.category == "children"}
            assert len(used) == count

    def test_categories(self):
        mixer, _, _ = a_mixer()
        assert mixer.categories("train") == ("children", "fish_market")
        assert mixer.categories("test") == ("children", "fish_market", "rain")

    def test_a_category_without_recordings_in_the_partition(self):
        mixer, _, _ = a_mixer()
        with pytest.raises(UserError, match=r"'rain': no recording in partition train .*children, fish_market"):
            mixer("a", self.speech, "rain", 0.5, 1, "train")

    @pytest.mark.parametrize("kind", ["white", "pink", "brown"])
    def test_stationary_noise_has_no_recording(self, kind):
        mixer, _, _ = a_mixer()
        mixture = mixer("a", self.speech, kind, 0.25, 1, "test")
        assert mixture.recording == ""
        assert np.abs(mixture.samples - self.speech).max() == pytest.approx(0.25 * np.abs(self.speech).max(), rel=1e-5)

    def test_integers_and_numpy_numbers_are_the_same_key(self):
        mixer, _, _ = a_mixer()
        assert np.array_equal(mixer("a", self.speech, "pink", 1, 1, "test").samples,
                              mixer("a", self.speech, "pink", np.float64(1.0), np.int64(1), "test").samples)

    def test_settings_of_augment_are_kept(self):
        mixer, _, _ = a_mixer(level="clip")
        assert np.abs(mixer("a", self.speech, "pink", 1.0, 1, "test").samples).max() <= 1
        quiet, _, _ = a_mixer(silent_dbfs=-1.0)
        with pytest.raises(UserError, match="made/children/"):
            quiet("a", self.speech, "children", 1.0, 1, "test")

    @settings(max_examples=20)
    @given(seeds, st.floats(0.01, 0.75))
    def test_recorded_snr_is_true(self, seed, intensity):
        mixer, _, _ = a_mixer()
        mixture = mixer("a", self.speech, "fish_market", intensity, seed, "train")
        added = mixture.samples.astype(float) - self.speech
        assert mixture.snr_db == pytest.approx(10 * np.log10((self.speech.astype(float)**2).sum() / (added**2).sum()),
                                               abs=0.05)
