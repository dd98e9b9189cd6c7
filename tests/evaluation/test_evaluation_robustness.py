"""The grid: what is in it, that models answer as they do alone, and that workers and order change nothing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluation_world import FOLDERS, build

from ser_ops.audio.signal import fit_window
from ser_ops.errors import UserError
from ser_ops.evaluation import predictions, robustness
from ser_ops.evaluation.ablation import samples_per_second
from ser_ops.evaluation.predictions import CLEAN, Condition
from ser_ops.evaluation.robustness import Panel
from ser_ops.features.extractor import Extractor
from ser_ops.manifest import NoiseRow, unaltered, validated_noise
from ser_ops.models import architectures, model_folder
from ser_ops.models.wav2vec_backbone import Backbone
from ser_ops.noise.mixing import Mixture
from ser_ops.shards import Shards
from ser_ops.transmission import rooms
from ser_ops.transmission.conditions import transmit
from ser_ops.watch.reference import heard_clips

NOISE = [NoiseRow(f"made/{category}/{partition}", "made", category, partition=partition) for category, partition in (
    ("fish_market", "test"), ("fish_market", "train"), ("children", "test"), ("railway_engine", "train"))]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    params = build(folder)
    utterances = tuple(f"made/{number:03d}" for number in range(13))
    models = tuple((name, folder / "work" / path) for name, path in FOLDERS.items())
    job = robustness.EvaluationJob(models, folder / "work", utterances, "cpu", 4, "keep", -60.0)
    return params, job, [CLEAN, *predictions.noise_grid(robustness_rows(folder), params.evaluate)]


def robustness_rows(folder: Path):
    return validated_noise(folder / "work")


def test_the_grid_is_what_has_test_recordings_and_the_stationary_kinds(world):
    params, _, _ = world
    grid = predictions.noise_grid(NOISE, params.evaluate)
    assert len(grid) == 3 * 2 * 2 and grid == sorted(grid, key=lambda condition: (
        ["children", "fish_market", "white"].index(condition.noise), condition.intensity, condition.seed))
    assert predictions.noise_categories(NOISE) == (["children", "fish_market"], ["railway_engine"])


@pytest.mark.parametrize("name", ["clean", "white", "gsm", "room_small"])
def test_a_category_may_not_take_a_name_with_a_meaning(world, name):
    with pytest.raises(UserError, match="that name is taken"):
        predictions.noise_grid([NoiseRow("made/0", category=name, partition="test")], world[0].evaluate)


def test_a_grid_without_noise_is_one_line(world):
    settings = world[0].evaluate.model_copy(update={"stationary": ()})
    with pytest.raises(UserError, match="there is no noise"):
        predictions.noise_grid([NoiseRow("made/0", category="children", partition="train")], settings)


def test_a_panel_answers_as_each_model_alone(world):
    params, job, _ = world
    loaded = {name: model_folder.load(folder) for name, folder in job.models}
    waveforms = [Shards(job.work / "ingest" / "waveforms")[utterance] for utterance in job.utterances]
    together = Panel(loaded, torch.device("cpu"), 4)(waveforms)
    assert together.shape == (6, 13, 7)
    np.testing.assert_allclose(together.sum(-1), 1)
    for index, (model, _) in enumerate(loaded.values()):
        extractor = Extractor(params.chosen.input_of(model.name))
        for number in (0, 12):
            window, valid = fit_window(waveforms[number], 8000)
            batch = torch.from_numpy(window[None].copy())
            with torch.inference_mode():
                alone = torch.softmax(model(batch, torch.tensor([valid]), extractor(batch)).double(), 1)
            np.testing.assert_allclose(together[index, number], alone[0].numpy(), atol=1e-6)


@pytest.mark.parametrize("states", ["statistics", "weighted", "last"])
def test_models_with_one_frozen_encoder_let_it_hear_each_batch_once(world, monkeypatch, states):
    params, job, _ = world
    preset = params.chosen.model_copy(update={
        "wav2vec": params.chosen.wav2vec.model_copy(update={"states": states})})
    same, other = [{name: architectures.build(name, preset, seed=first + number)
                    for number, name in enumerate(("fusion", "concat", "wav2vec"))} for first in (1, 4)]
    for model in same.values():
        model.backbone.network.load_state_dict(same["fusion"].backbone.network.state_dict())
    models = {**same, **{f"other {name}": model for name, model in other.items()}}
    card = {"sample_rate": 16000, "preset_settings": preset.model_dump()}
    cards = {name: card | {"model": name.rpartition(" ")[2]} for name in models}
    waveforms = [Shards(job.work / "ingest" / "waveforms")[utterance] for utterance in job.utterances[:5]]
    alone = [Panel({name: (model, cards[name])}, torch.device("cpu"), 5)(waveforms)[0]
             for name, model in models.items()]
    passes = []
    monkeypatch.setattr(Backbone, "states", lambda self, *heard, states=Backbone.states: (
        passes.append(self), states(self, *heard))[1])
    together = Panel({name: (model, cards[name]) for name, model in models.items()}, torch.device("cpu"), 5)
    np.testing.assert_array_equal(together(waveforms), alone)
    assert passes == [same["fusion"].backbone, *(model.backbone for model in other.values())]


def test_each_mixture_is_made_once_whatever_the_number_of_models(world):
    _, job, _ = world
    panel, waveforms, mixer = robustness.open_job(job)
    made = []

    def counting(utterance, speech, noise, intensity, seed, partition):
        made.append((utterance, noise, intensity, seed))
        assert partition == "test"
        return mixer(utterance, speech, noise, intensity, seed, partition)

    robustness.answer_condition(panel, waveforms, counting, job.utterances, Condition("fish_market", 0.5, 1))
    assert len(made) == len(set(made)) == len(job.utterances)


def test_lines_and_rooms_are_answered_as_the_transmitted_waveform_is(world, monkeypatch):
    monkeypatch.setattr(rooms, "ROOMS_OF_A_KIND", 1)
    params, job, _ = world
    panel, waveforms, _ = robustness.open_job(job)
    settings = params.evaluate.model_copy(update={"transmission": ("loss_15", "room_small"), "seeds": (4, 5)})
    conditions = predictions.transmission_conditions(settings)
    assert conditions == [Condition("loss_15", 0.0, 4), Condition("room_small", 0.0, 4)]
    for condition in conditions:
        assert condition.transmitted and not condition.clean and condition.cell == condition.noise
        answers, snr = robustness.answer_condition(panel, waveforms, None, job.utterances, condition)
        heard = [transmit(waveforms[utterance], condition.noise, 16000, 4, utterance) for utterance in job.utterances]
        np.testing.assert_array_equal(answers, np.concatenate(
            [panel(heard[start:start + 4]) for start in range(0, 13, 4)], axis=1).round(6))
        assert np.isnan(snr).all()


@pytest.mark.slow
@pytest.mark.usefixtures("warm_children")
def test_workers_and_order_change_nothing(world):
    _, job, conditions = world
    true = np.arange(13) % 7
    speakers = ["made/a"] * len(true)
    single = robustness.predict_grid(job, speakers, true, conditions, workers=1)
    double = robustness.predict_grid(job, speakers, true, conditions, workers=2)
    np.testing.assert_array_equal(single.probabilities, double.probabilities)
    np.testing.assert_array_equal(single.snr, double.snr)
    reversed_order = robustness.predict_grid(job, speakers, true, conditions[::-1], workers=1)
    np.testing.assert_array_equal(single.probabilities, reversed_order.probabilities[:, ::-1])
    assert np.isnan(single.snr[0]).all() and np.isfinite(single.snr[1:]).all()
    assert (single.snr[1] > single.snr[3]).all() or single.snr[1].mean() > single.snr[3].mean()  # 0.25 is above 0.75
    seeds = [index for index, condition in enumerate(single.conditions) if condition.cell == "fish_market@0.25"]
    assert (single.probabilities[:, seeds[0]] != single.probabilities[:, seeds[1]]).any()


def test_noise_that_is_none_has_no_snr(world):
    _, job, _ = world
    panel, waveforms, _ = robustness.open_job(job)
    noisy, snr = robustness.answer_condition(
        panel, waveforms, lambda utterance, speech, *key: Mixture(speech, np.inf, 0.0), job.utterances[:2],
        Condition("fish_market", 0.0, 1))
    clean, _ = robustness.answer_condition(panel, waveforms, None, job.utterances[:2], CLEAN)
    np.testing.assert_array_equal(noisy, clean)
    assert np.isnan(snr).all()


def test_a_model_that_answers_nan_is_named(world, tmp_path):
    _, job, _ = world
    model, card = model_folder.load(dict(job.models)["spectral"])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(3e38)       # what is read is finite, what comes of it is not
    model_folder.save(tmp_path / "broken", model, {name: card[name] for name in ("preset", "shuffled_labels")})
    broken = replace(job, models=(("broken", tmp_path / "broken"),))
    with pytest.raises(UserError, match="model broken: answers NaN"):
        robustness.predict_grid(broken, [""] * 13, np.zeros(13, int), [CLEAN], 1)


def test_speed_counts_utterances_and_leaves_the_threads_alone():
    before, calls = torch.get_num_threads(), []
    speed = samples_per_second(lambda waveforms: calls.append(torch.get_num_threads()), [np.zeros(4)] * 10)
    assert speed > 0 and set(calls) == {1} and len(calls) == 4 and torch.get_num_threads() == before


@pytest.mark.slow
def test_the_reference_of_the_watch_is_the_same_by_one_process_and_by_two(world):
    params, job, conditions = world
    rows = unaltered(job.work, "validation")[:4]
    one, two = (heard_clips(job, rows, conditions[1:], params.predict, params.watch, workers) for workers in (1, 2))
    assert json.dumps(one) == json.dumps(two)
    mixtures = params.watch.mixtures
    assert [record["clip"] for record in one] == [clip for clip in range(4) for _ in range(1 + mixtures)]
    assert all((record["condition"] == CLEAN.cell) == np.isnan(record["true_snr_db"]) for record in one)
