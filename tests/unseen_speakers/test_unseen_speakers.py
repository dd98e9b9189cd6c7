"""The comparison with openSMILE: folds, sounds, SVM, answers and table, none of which needs openSMILE."""

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from project_copy import write_settings
from sklearn.svm import SVC

from benchmarks.unseen_speakers import answers, baselines, candidates, choices, figures, folds, ours, svm, table
from benchmarks.unseen_speakers.ablations import ablations, changed
from benchmarks.unseen_speakers.answers import Answer
from benchmarks.unseen_speakers.smile import Functionals
from benchmarks.unseen_speakers.sound import Hearing, Sound
from ser_ops.config.params import load_params, load_preset
from ser_ops.emotions import EMOTIONS
from ser_ops.errors import UserError
from ser_ops.evaluation.robustness import Panel
from ser_ops.manifest import NoiseRow, UtteranceRow, write_rows
from ser_ops.models.architectures import build
from ser_ops.shards import write_index, write_shard
from ser_ops.tables import write_csv
from ser_ops.transmission.conditions import ROOMS, TELEPHONE, transmit

PROJECT = Path(__file__).resolve().parents[2]
CHOICES = choices.load()
ACTORS = [f"ravdess/{number:02d}" for number in range(1, 21)]


def test_every_actor_is_tested_once_and_no_fold_hears_its_test():
    all_folds = folds.folds(ACTORS, CHOICES.folds, CHOICES.validation_speakers)
    assert [name for fold in all_folds for name in fold.test] == ACTORS
    for fold in all_folds:
        parts = [set(fold.test), set(fold.validation), set(fold.train)]
        assert [len(part) for part in parts] == [4, 4, 12] and set.union(*parts) == set(ACTORS)
    assert all_folds[0].validation == tuple(ACTORS[4:8]) and all_folds[4].validation == tuple(ACTORS[:4])


def test_too_few_speakers_are_an_error():
    with pytest.raises(ValueError, match="2 speakers do not make 3 folds"):
        folds.folds(["a", "b"], 3, 1)


def test_a_choice_that_is_none_is_refused(tmp_path):
    file = tmp_path / "choices.yaml"
    file.write_text(choices.FILE.read_text() + "\nmore: 1\n")
    with pytest.raises(ValueError, match="more"):
        choices.load(file)


def data(seed, shift, number=60, features=12):
    draw = np.random.default_rng(seed)
    labels = np.arange(number) % 3
    rows = draw.normal(0, 1, (number, features)) * np.arange(1, features + 1) + 5
    rows[np.arange(number), labels] += shift * (labels + 1)
    return rows.astype(np.float32), labels


def test_the_svm_is_sklearns_on_standardised_rows():
    rows, labels = data(0, 2.0)
    other, _ = data(1, 2.0)
    rows[:, 7] = other[:, 7] = 3.0      # a constant feature must not matter
    standard = (rows - rows.mean(0)) / np.where(rows.std(0) > 0, rows.std(0), np.inf) / np.sqrt(12)
    beside = (other - rows.mean(0)) / np.where(rows.std(0) > 0, rows.std(0), np.inf) / np.sqrt(12)
    reference = SVC(C=3.0, kernel="linear", class_weight="balanced").fit(standard, labels)
    assert np.array_equal(svm.LinearSVM(rows, labels, 3.0)(other), reference.predict(beside))


def test_c_is_chosen_by_the_training_speakers_alone():
    rows, labels = data(2, 1.0)
    groups = [(np.arange(60) // 15) == index for index in range(3)]
    fitted = svm.fit([rows], [rows], labels, groups, CHOICES.costs)
    spoilt, wrong = rows.copy(), labels.copy()
    spoilt[45:], wrong[45:] = 1e6, (labels[45:] + 1) % 3
    again = svm.fit([spoilt], [spoilt], wrong, groups, CHOICES.costs)
    assert again.chosen == fitted.chosen and np.array_equal(again.svm(rows), fitted.svm(rows))
    tried = fitted.chosen["validation"]
    rest = [(np.arange(60) < 45) & ~group for group in groups]
    by_hand = [svm.recall(labels[group], svm.LinearSVM(rows[others], labels[others], 3.0)(rows[group]))
               for group, others in zip(groups, rest, strict=True)]
    assert tried["3.0"] == pytest.approx(np.mean(by_hand))
    assert fitted.validation_uar == max(tried.values()) == tried[str(fitted.chosen["C"])]


def test_uar_is_the_mean_of_the_recalls():
    true, said = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    assert svm.recall(true, said) == pytest.approx((2 / 3 + 1) / 2)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """Six speakers with two words each, and noise of every partition, as the stages ingest and validate leave them."""
    monkeypatch.chdir(tmp_path)
    write_settings(tmp_path)
    params = load_params()
    draw, work = np.random.default_rng(0), tmp_path / "work"
    rows = [UtteranceRow(f"made/{speaker}/{word}", speaker=f"made/{speaker}", emotion=EMOTIONS[word], gender="female")
            for speaker in "fedcba" for word in range(2)]
    speech = {row.utterance: (0.1 * draw.standard_normal(4000)).astype(np.float32) for row in rows}
    noise = [NoiseRow(f"made/{kind}/{part}", category=kind, partition=part)
             for kind in ("children", "fish_market") for part in ("train", "validation", "test")]
    write_rows(work / "validated" / "manifest.csv", rows, UtteranceRow)
    write_rows(work / "validated" / "noise.csv", noise, NoiseRow)
    for folder, arrays in (("waveforms", speech), ("noise", {
            row.recording: (0.3 * draw.standard_normal(9000)).astype(np.float32) for row in noise})):
        (work / "ingest" / folder).mkdir(parents=True)
        write_index(work / "ingest" / folder, write_shard(work / "ingest" / folder, 0, arrays.items()))
    return params


def test_a_mixture_of_the_grid_is_that_of_the_houses_evaluation(workspace):
    from ser_ops.evaluation.robustness import EvaluationJob, open_stores
    sound = Sound(workspace)
    conditions = sound.grid(CHOICES.grid_seed)
    assert len(conditions) == (2 + 3) * 3 and {condition.seed for condition in conditions} == {CHOICES.grid_seed}
    job = EvaluationJob((), workspace.paths.work, (), "cpu", 1, workspace.augment.level,
                        workspace.augment.silent_crop_dbfs)
    waveforms, mixer = open_stores(job)
    for condition in (conditions[0], conditions[-1]):
        mixture = mixer("made/a/1", waveforms["made/a/1"], condition.noise, condition.intensity, CHOICES.grid_seed,
                        "test")
        heard = sound("made/a/1", Hearing("test", condition, CHOICES.grid_seed))
        assert np.array_equal(heard, mixture.samples)
    assert np.array_equal(sound("made/a/1", Hearing("test")), waveforms["made/a/1"])


def test_training_and_validation_hear_other_noise_than_the_test(workspace, monkeypatch):
    sound, heard = Sound(workspace), []
    mix = sound._mixer._draw
    monkeypatch.setattr(sound._mixer, "_draw", lambda category, part, draw: heard.append(part) or mix(category, part,
                                                                                                      draw))
    for row in sound.rows:
        for use in ("train", "validation"):
            samples = sound(row.utterance, Hearing(use, seed=1))
            assert np.array_equal(samples, sound(row.utterance, Hearing(use, seed=1)))
            assert not np.array_equal(samples, sound(row.utterance, Hearing(use, seed=2)))
    assert set(heard) == {"train", "validation"}


class Loudness(Functionals):
    """In the place of openSMILE: features that know the class when nothing is added."""

    def _extract(self, heard):
        self.asked.append(self.sound.name(heard))
        draw = np.random.default_rng(len(self.asked))
        labels = np.array([EMOTIONS.index(row.emotion) for row in self.sound.rows])
        far = 1.0 if heard.condition.clean else 0.2
        return (draw.normal(0, 0.1, (len(labels), 5)) + far * labels[:, None]).astype(np.float32), 1.2


def test_the_whole_comparison_runs_and_goes_on_where_it_was(workspace, tmp_path):
    few = CHOICES.model_copy(update={"folds": 3, "validation_speakers": 1, "resamples": 100})
    sound = Sound(workspace)
    parts = folds.of_rows(sound.rows, 3, 1)
    functionals = Loudness("eGeMAPSv02", sound, tmp_path / "features")
    functionals.asked = []
    baselines.run(functionals, few, parts, tmp_path / "predictions")
    assert len(functionals.asked) == len(set(functionals.asked)) == 1 + 15 + 2 + 3 + 1, "two of them lines and rooms"
    baselines.run(functionals, few, parts, tmp_path / "predictions")
    assert len(functionals.asked) == 22, "features and answers are kept"
    shown = table.table(tmp_path / "predictions", few, parts)
    assert "| egemaps_svm | 1.000 [1.000, 1.000] |" in shown and "egemaps_svm_noise" in shown
    record = answers.read(tmp_path / "predictions", "egemaps_svm_noise", [1])[1][0]
    assert record["trained_on"] == sorted([*parts[0].train, *parts[0].validation]) and record["seconds_features"] == 3.2
    assert not set(record["trained_on"]) & set(parts[0].test)


def test_openssmile_that_is_missing_is_said(workspace, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(UserError, match="pip install"):
        Functionals("eGeMAPSv02", Sound(workspace), tmp_path)(Hearing("test"))


@pytest.mark.skipif(importlib.util.find_spec("opensmile") is None, reason="opensmile is not installed")
def test_functionals_are_opensmiles(workspace, tmp_path):
    features = Functionals("eGeMAPSv02", Sound(workspace), tmp_path)(Hearing("test"))
    assert features.shape == (12, 88) and features.dtype == np.float32 and np.isfinite(features).all()


def said(system, folder, wrong, noise=("white",)):
    """Answers of two folds: two speakers each with two classes; `wrong` holds (speaker, class, noise)."""
    for number, speakers in ((1, "ab"), (2, "cd")):
        rows = [Answer(kind, 0.0 if kind == "clean" else 0.5, None if kind == "clean" else 1, f"{speaker}/{label}",
                       speaker, EMOTIONS[label], EMOTIONS[2 if (speaker, label, kind) in wrong else label])
                for kind in ("clean", *noise) for speaker in speakers for label in range(2)]
        answers.write(folder, system, number, rows, {"seconds_training": 10.0 * number})


def test_the_table_by_hand(tmp_path):
    parts = folds.folds("abcd", 2, 1)
    said(table.REFERENCE, tmp_path, {("a", 0, "clean"), ("c", 1, "white"), ("d", 1, "white"), ("d", 0, "white")})
    said("ours", tmp_path, {("a", 0, "white")})
    systems = {system.name: system for system in table.systems(tmp_path, parts)}
    reference = systems[table.REFERENCE]
    assert reference.uar(0).tolist() == [0.75, 1.0] and reference.clean == pytest.approx(0.875)
    assert reference.cells == {"white@0.50": pytest.approx((1.0 + 0.25) / 2)} and reference.seconds == 15.0
    ours, other = table.compared(list(systems.values()), CHOICES)
    assert (ours["system"], other["system"]) == ("ours", table.REFERENCE), "the best in noise first"
    assert ours["noisy_over_reference"] == pytest.approx(0.875 - 0.625) and ours["clean_over_reference"] == 0.125
    assert ours["worst_cell"] == "white@0.50" and ours["clean_low"] == ours["clean_high"] == 1.0
    assert other["clean_low"] <= 0.875 <= other["clean_high"] and other["noisy_over_reference"] == ""
    ours, other = table.compared(list(systems.values()), CHOICES, against="ours")
    assert ours["clean_over_reference"] == "" and other["clean_over_reference"] == -0.125
    shown = table.table(tmp_path, CHOICES, parts[:1])
    assert shown.startswith("fold 1 of whole speakers, 4 utterances of 2 speakers") and "0.750 [" in shown


def test_each_ablation_changes_what_it_names_and_nothing_else():
    params = load_params(PROJECT / "params.yaml")
    made = dict(ablations(params))
    assert made["no_mixup"].train.mixup == 0 and made["no_mixup"].spectral.members == 1
    assert made["no_centring"].train == made["one_member"].train != made["no_mixup"].train
    whole = made["one_member"].model_dump()
    for name, changed_params in made.items():
        differ = [key for key, value in changed_params.model_dump().items() if value != whole[key]]
        assert len(differ) == (0 if name == "one_member" else 2 if name in ("no_noise", "no_speeds") else 1), name
    with pytest.raises(UserError, match=r"train\.mixop: no such setting"):
        changed(params, {"train.mixop": 0})
    assert [name for name, _ in ablations(params, ["no_mixup"])] == ["no_mixup"]
    with pytest.raises(UserError, match="no ablation 'no_mix': choose one of one_member"):
        list(ablations(params, ["no_mix"]))


def test_a_fold_chooses_on_its_own_validation_speakers_in_noise_that_is_not_the_tests(workspace, tmp_path,
                                                                                    monkeypatch):
    """The second of three candidates answers best; training and answers are stand-ins, what is asked of them is not."""
    parts, asked, final = folds.of_rows(Sound(workspace).rows, 3, 2), [], []
    names = list(yaml.safe_load(candidates.FILE.read_text())["among"])

    class Model:
        def eval(self):
            return self

    def trained(model, heard, settings, speakers, validating, fold):
        assert model == "spectral" and heard.sound.params.chosen.spectral.members == 1 and settings.keep == "last"
        asked.append((len(asked), set(speakers), set(validating)))
        return Model(), None

    def probabilities(panel, sound, rows, heard):
        assert heard.condition.clean or heard.use == "validation"
        assert {row.speaker for row in rows} == set(parts[0].validation)
        right = np.array([EMOTIONS.index(row.emotion) for row in rows])
        return np.eye(7)[None, right if len(asked) == 2 or heard.condition.clean else (right + 1) % 7]

    monkeypatch.setattr(candidates.ours, "ModelInput", lambda sound, model, folder: SimpleNamespace(sound=sound))
    monkeypatch.setattr(candidates.ours, "trained", trained)
    monkeypatch.setattr(candidates.ours, "probabilities", probabilities)
    monkeypatch.setattr(candidates, "Panel", lambda *_: None)
    monkeypatch.setattr(candidates.ours, "run", lambda model, sound, choices, folds, folder, settings, system, **more:
                        final.append((sound.params, folds, settings, more)))
    for _ in range(2):
        candidates.run(workspace, CHOICES, parts[0], tmp_path / "kept", "ours")
    assert len(asked) == len(names), "what was tried is kept"
    assert all((speakers, validating) == (set(parts[0].train), set(parts[0].validation))
               for _, speakers, validating in asked)
    params, (fold,), settings, more = final[0]
    assert fold is parts[0] and more["beside"]["candidate"] == names[1] == "no_mixup" and settings.mixup == 0.0
    small = load_preset("small")
    assert params.spectral.members == small.spectral.members > 1
    assert params.features == small.features and final[1][3] == more
    assert more["beside"]["validation"][names[1]] == {"clean": 1.0, "noisy": 1.0, "worst": 1.0, "figure": 1.0}
    assert more["beside"]["validation"][names[0]]["figure"] == 0.5


def test_streams_that_answer_together_are_asked_alone_too(workspace):
    preset = load_preset("small")
    preset = preset.model_copy(update={
        "wav2vec": preset.wav2vec.model_copy(update={"states": "statistics"}),
        "spectral": preset.spectral.model_copy(update={"members": 1, "channels": (4, 8, 8, 16)})})
    network = build("fusion", preset, seed=5).eval()
    network.late.weights.copy_(torch.tensor([0.7, 0.3]))
    card = {"model": "fusion", "sample_rate": 16000, "preset_settings": preset.model_dump(mode="json")}
    asked = ours.asked_by_stream(network, network.late, "ours")
    assert list(asked) == ["ours", "ours, wav2vec alone", "ours, spectral alone"]
    sound = Sound(workspace)
    given = ours.probabilities(Panel({name: (part, card) for name, part in asked.items()}, ours.CPU, 4), sound,
                               sound.rows[:6], Hearing("test"))
    expected = 0.7 * np.log(given[1]) + 0.3 * np.log(given[2])
    expected = np.exp(expected) / np.exp(expected).sum(1, keepdims=True)
    np.testing.assert_allclose(given[0], expected, atol=1e-6)
    assert np.abs(given[1] - given[2]).max() > 1e-3
    network.late.alone = None
    whole = ours.probabilities(Panel({"fusion": (network, card)}, ours.CPU, 4), sound, sound.rows[:6], Hearing("test"))
    np.testing.assert_allclose(given[0], whole[0], atol=1e-6)


def test_lines_and_rooms_have_figures_of_their_own(workspace, tmp_path):
    sound = Sound(workspace)
    conditions = sound.transmissions()
    assert [condition.noise for condition in conditions] == list(workspace.evaluate.transmission)
    utterance = sound.rows[0].utterance
    heard = sound(utterance, Hearing("test", conditions[0], 1))
    assert np.array_equal(heard, transmit(sound(utterance, Hearing("test")), conditions[0].noise, sound.sample_rate,
                                          conditions[0].seed, utterance))
    said("ours", tmp_path, {("a", 0, "mulaw"), ("b", 1, "mulaw"), ("c", 0, "room_small")},
         ("white", "mulaw", "room_small"))
    (system,) = table.systems(tmp_path, folds.folds("abcd", 2, 1))
    assert system.conditions == ("clean", "white@0.50") and system.noisy == 1.0, "the grid is noise alone"
    assert system.mean_over(TELEPHONE) == pytest.approx((0.5 + 1.0) / 2)
    assert system.mean_over(ROOMS) == pytest.approx((1.0 + 0.75) / 2) and system.mean_over(["gsm"]) is None


def test_answers_that_are_not_whole_are_refused(tmp_path):
    said("ours", tmp_path, set())
    rows, _ = answers.read(tmp_path, "ours", [1])
    write_csv(tmp_path / "ours" / "fold1.csv", rows[1:], answers.FIELDS)
    with pytest.raises(UserError, match="run the system again"):
        figures.read(tmp_path, "ours", [1, 2])
    said("other", tmp_path, set(), noise=("white", "pink"))
    said("ours", tmp_path, set())
    with pytest.raises(UserError, match="heard other utterances or conditions"):
        table.systems(tmp_path, folds.folds("abcd", 2, 1))
    (tmp_path / "other" / "fold2.json").unlink()
    assert [system.name for system in table.systems(tmp_path, folds.folds("abcd", 2, 1))] == ["ours"]
