"""Groups of speakers: the permutation test against a plain loop, planted effects, and what few voices cannot tell."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_speakers import SETTINGS, number_of_speaker, simulated

from ser_ops.config.params import load_params
from ser_ops.evaluation.groups import UNKNOWN, Voices, compare_by_group, compare_groups, half_by_pitch, sex_of_speakers
from ser_ops.evaluation.metrics import scores

QUICK = SETTINGS.model_copy(update={"exchanges": 1000})
LEAST_ONE = QUICK.model_copy(update={"group_utterances": 1})


def voices_of(speech):
    speaker = np.unique(speech["speakers"], return_inverse=True)[1]
    return Voices.of(speech["true"], speech["right"], speech["corpora"], speaker)


def uar_of(speech, speakers):
    """UAR of the utterances of some speakers, by scikit-learn's definition in `scores`."""
    own = np.isin(speech["speakers"], list(speakers))
    true, right = speech["true"][own], speech["right"][own]
    return scores(true, np.where(right, true, (true + 1) % 7))["uar"]


def test_all_exchanges_agree_with_a_plain_loop():
    speech = simulated(4, 3, effect=0.1, seed=2)
    names = sorted(set(speech["speakers"]))
    women = {name for name, sex in zip(speech["speakers"], speech["sexes"], strict=True) if sex == "female"}
    apart = {first: uar_of(speech, first) - uar_of(speech, set(names) - set(first)) for first in combinations(names, 4)}
    report = compare_by_group(**speech, settings=SETTINGS)["sex"]
    observed = uar_of(speech, women) - uar_of(speech, set(names) - women)
    assert report["difference"] == pytest.approx(observed) and report["exchanges"] == comb(7, 4)
    as_far = sum(abs(value) >= abs(observed) - 1e-12 for value in apart.values())
    assert report["chance"] == pytest.approx(as_far / 35) and report["smallest_chance"] == pytest.approx(1 / 35)
    assert report["uar"] == {"female": pytest.approx(uar_of(speech, women)),
                             "male": pytest.approx(uar_of(speech, set(names) - women))}
    assert report["speakers"] == {"female": 4, "male": 3} and report["classes"] == 7 and report["unknown"] == 0


def test_exchanges_stay_within_their_corpus():
    first, second = simulated(2, 2, corpus="a", seed=1), simulated(2, 1, corpus="b", seed=2)
    both = {name: np.concatenate([first[name], second[name]]) for name in first}
    report = compare_by_group(**both, settings=SETTINGS)["sex"]
    assert report["exchanges"] == comb(4, 2) * comb(3, 2) and report["corpora"] == ["a", "b"]
    assert report["smallest_chance"] == pytest.approx(1 / 18)
    weights = np.array([1.0, 2 / 3]) / (5 / 3)     # a * b / (a + b) speakers
    assert report["difference"] == pytest.approx(sum(
        weight * compare_by_group(**speech, settings=SETTINGS)["sex"]["difference"]
        for weight, speech in zip(weights, (first, second), strict=True)))


def test_a_sample_of_exchanges_agrees_with_all_of_them():
    speech = simulated(6, 6, effect=0.12, seed=4)
    group = sex_of_speakers(np.unique(speech["speakers"], return_inverse=True)[1], speech["sexes"])
    every = compare_groups(voices_of(speech), group, 5, 1000, seed=1)
    sample = compare_groups(voices_of(speech), group, 5, 900, seed=1)
    assert every.exchanges == 924 and sample.exchanges == 900
    assert sample.chance == pytest.approx(every.chance, abs=0.04) and sample.smallest_chance == 1 / 901
    assert sample == compare_groups(voices_of(speech), group, 5, 900, seed=1)


def test_a_real_effect_of_six_and_six_speakers_is_beyond_chance():
    chances = [compare_by_group(**simulated(6, 6, effect=0.3, spread=0.05, seed=seed), settings=SETTINGS)["sex"]
               for seed in range(20)]
    assert sum(report["chance"] <= 0.01 and report["difference"] > 0.1 for report in chances) >= 19


@pytest.mark.parametrize(("each", "least", "most"), [(6, 0.6, 0.9), (9, 0.9, 1.0)])
def test_the_rule_sees_an_effect_as_often_as_the_docs_say(each, least, most):
    """docs/explanation/gate.md: men are served worse by 0.3, and people differ by 0.1."""
    reports = [compare_by_group(**simulated(each, each, effect=0.3, seed=seed, repeats=8), settings=QUICK)["sex"]
               for seed in range(100)]
    assert least <= np.mean([report["chance"] <= 0.01 and report["difference"] > 0.1 for report in reports]) <= most


@pytest.mark.parametrize(("sizes", "tells"), [((5, 5), True), ((4, 5), True), ((3, 7), True), ((4, 4), False),
                                              ((3, 6), False), ((2, 7), False)])
def test_so_many_speakers_can_tell(sizes, tells):
    """docs/explanation/gate.md: at the limit of params.yaml it takes four and five speakers, or three and seven."""
    limit = load_params().gate.alike_by_sex.limit
    smallest = compare_by_group(**simulated(*sizes, repeats=5), settings=QUICK)["sex"]["smallest_chance"]
    assert (smallest <= limit) is tells


@pytest.mark.parametrize(("women", "men"), [(6, 6), (5, 7)])
def test_speakers_that_differ_at_random_are_beyond_chance_as_often_as_is_promised(women, men):
    """Three hundred models that know nothing of sex, on people who differ much more than their utterances do."""
    chances = np.array([compare_by_group(**simulated(women, men, spread=0.15, seed=seed, repeats=3), settings=QUICK)
                        ["sex"]["chance"] for seed in range(300)])
    for promised in (0.01, 0.05, 0.2):
        deviation = np.sqrt(promised * (1 - promised) / 300)
        assert promised - 4 * deviation - 2 / 792 <= (chances <= promised).mean() <= promised + 3 * deviation


def test_independent_utterances_would_have_promised_too_much():
    """The same random people, each utterance exchanged by itself: far more than one fair model in twenty is beyond."""
    beyond = 0
    for seed in range(20):
        speech = simulated(3, 3, spread=0.15, seed=seed)
        alone = speech | {"speakers": np.array([f"{name}/{index}" for index, name in enumerate(speech["speakers"])])}
        beyond += compare_by_group(**alone, settings=QUICK)["sex"]["chance"] <= 0.05
    assert beyond / 20 > 0.3


def test_two_against_two_cannot_tell_however_large_the_difference():
    speech = simulated(2, 2, effect=0.5, spread=0.0, seed=0)
    report = compare_by_group(**speech, settings=SETTINGS)["sex"]
    assert report["difference"] > 0.4 and report["exchanges"] == 6
    assert report["chance"] == report["smallest_chance"] == pytest.approx(1 / 3)


counts = st.integers(1, 4)


@settings(max_examples=40)
@given(counts, counts, counts, counts, st.integers(0, 1000), st.sampled_from([1000, 20]))
def test_relabelled_groups_are_the_mirror_image_and_no_chance_lies_below_the_smallest(a, b, c, d, seed, exchanges):
    parts = [simulated(a, b, corpus="a", seed=seed, repeats=1), simulated(c, d, corpus="b", seed=seed + 1, repeats=1)]
    speech = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    speaker = np.unique(speech["speakers"], return_inverse=True)[1]
    group = sex_of_speakers(speaker, speech["sexes"])
    one, other = (compare_groups(voices_of(speech), each, 1, exchanges, seed) for each in (group, 1 - group))
    assert other.difference == pytest.approx(-one.difference) and other.uar == one.uar[::-1]
    assert other.chance == pytest.approx(one.chance) and other.smallest_chance == one.smallest_chance
    assert 0 < one.smallest_chance <= one.chance + 1e-12 <= 1 + 1e-9
    assert one.smallest_chance >= 1 / (1 + exchanges)


@settings(max_examples=30)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 100))
def test_perfect_separation_reaches_the_smallest_chance(women, men, seed):
    """All women are always recognised, no man ever is: nothing can be further apart."""
    speech = simulated(women, men, seed=seed, repeats=1)
    report = compare_by_group(**speech | {"right": speech["sexes"] == "female"}, settings=LEAST_ONE)["sex"]
    assert report["chance"] == pytest.approx(report["smallest_chance"]) and report["difference"] == 1.0


def test_speakers_of_unknown_sex_are_left_out_and_counted():
    speech = simulated(3, 3, seed=5)
    known = compare_by_group(**speech, settings=SETTINGS)["sex"]
    stranger = simulated(1, 1, corpus="a", seed=6, prefix="stranger", sexes=("", ""))
    both = {name: np.concatenate([speech[name], stranger[name]]) for name in speech}
    assert compare_by_group(**both, settings=SETTINGS)["sex"] == known | {"unknown": 2}
    assert sex_of_speakers(np.array([0, 0, 1, 1]), ["female", "male", "", "male"]).tolist() == [UNKNOWN, 1]


@pytest.mark.parametrize(("women", "men"), [(3, 0), (0, 3)])
def test_an_empty_group_is_not_compared(women, men):
    report = compare_by_group(**simulated(women, men, seed=1), settings=SETTINGS)["sex"]
    assert report == {"groups": ["female", "male"], "speakers": {"female": women, "male": men}, "unknown": 0,
                      "classes": 0, "difference": None, "chance": None, "smallest_chance": None}


def test_women_of_one_corpus_and_men_of_another_are_not_compared():
    """Corpus and sex cannot be told apart: the harder corpus would pass for the effect of a sex."""
    women, men = simulated(3, 0, corpus="a", base=0.9, seed=1), simulated(0, 3, corpus="b", base=0.4, seed=2)
    both = {name: np.concatenate([women[name], men[name]]) for name in women}
    assert compare_by_group(**both, settings=SETTINGS)["sex"]["classes"] == 0


def test_a_harder_corpus_is_no_effect_of_the_group():
    easy, hard = simulated(5, 2, corpus="a", base=0.9, seed=1), simulated(2, 5, corpus="b", base=0.4, seed=2)
    both = {name: np.concatenate([easy[name], hard[name]]) for name in easy}
    assert uar_of(both, both["speakers"][both["sexes"] == "female"]) - \
        uar_of(both, both["speakers"][both["sexes"] == "male"]) > 0.15
    report = compare_by_group(**both, settings=SETTINGS)["sex"]
    assert abs(report["difference"]) < 0.1 and report["chance"] > 0.05


def test_a_class_that_one_group_lacks_is_not_compared():
    speech = simulated(3, 3, effect=0.2, seed=3)
    some = ~((speech["sexes"] == "male") & (speech["true"] == 6))
    part = {name: values[some] for name, values in speech.items()}
    report = compare_by_group(**part, settings=SETTINGS)["sex"]
    without = {name: values[speech["true"] != 6] for name, values in speech.items()}
    assert report["classes"] == 6
    assert report["difference"] == pytest.approx(compare_by_group(**without, settings=SETTINGS)["sex"]["difference"])
    few = SETTINGS.model_copy(update={"group_utterances": 1000})
    assert compare_by_group(**speech, settings=few)["sex"]["classes"] == 0


def test_a_voice_is_in_one_half_with_all_that_it_said():
    """Emotions raise and lower every voice; a low voice that said the high ones alone is still a low one."""
    hertz = {"a/1": 150.0, "a/2": 130.0, "a/3": 190.0, "a/4": 220.0, "a/5": 200.0}
    rows = [(name, label) for name in hertz for label in range(7) for _ in range(3) if name != "a/1" or label > 3]
    names, true = np.array([name for name, _ in rows]), np.array([label for _, label in rows])
    pitch = np.array([hertz[name] * 2 ** ((label - 3) / 3) for name, label in rows])
    speaker = np.unique(names, return_inverse=True)[1]
    voices = Voices.of(true, np.ones(len(true), bool), ["a"] * len(true), speaker)
    assert max(hertz, key=lambda name: np.median(pitch[names == name])) == "a/1"
    assert half_by_pitch(voices, speaker, true, pitch).tolist() == [0, 0, 0, 1, 1]
    pitch[names == "a/2"] = np.nan
    assert half_by_pitch(voices, speaker, true, pitch).tolist() == [0, UNKNOWN, 0, 1, 1]


def test_halves_are_taken_within_each_corpus():
    speech = simulated(2, 2, corpus="low", seed=1)
    other = simulated(2, 2, corpus="high", seed=2)
    both = {name: np.concatenate([speech[name], other[name]]) for name in speech}
    both["pitch"] = np.where(both["corpora"] == "high", 300.0, 100.0) + 10 * number_of_speaker(both)
    report = compare_by_group(**both, settings=SETTINGS)["pitch"]
    assert report["groups"] == ["lower", "higher"] and report["speakers"] == {"lower": 4, "higher": 4}
    assert report["corpora"] == ["high", "low"] and report["exchanges"] == 36
    nobody = compare_by_group(**both | {"pitch": np.full(len(both["pitch"]), np.nan)}, settings=SETTINGS)["pitch"]
    assert nobody["classes"] == 0 and nobody["unknown"] == 8
