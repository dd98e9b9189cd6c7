"""Clips, provenance, colours and tables of the page."""

from collections import Counter

import numpy as np
import pytest
import soundfile

from ser_ops.config.evaluation import Report
from ser_ops.config.params import load_params
from ser_ops.manifest import NoiseRow, UtteranceRow
from ser_ops.noise.mixing import Mixture
from ser_ops.report import clips
from ser_ops.report.page import _HERE
from ser_ops.report.provenance import partitions, seeds, versions
from ser_ops.report.tables import colour, confusion, heat, table_v, worst_confusion


def luminance(rgb):
    channels = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (channel / 255 for channel in rgb)]
    return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]


def contrast(colour, other):
    light, dark = sorted((luminance(colour), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def rgb(text):
    text = text.strip().lstrip("#")
    text = "".join(2 * digit for digit in text) if len(text) == 3 else text
    return tuple(int(text[i:i + 2], 16) for i in (0, 2, 4))


@pytest.mark.parametrize("value", np.linspace(0, 1, 41))
def test_the_ink_of_a_cell_is_readable(value):
    ground, ink = colour(float(value)).removeprefix("background:rgb(").split(");color:")
    assert contrast(tuple(map(int, ground.split(","))), rgb(ink)) >= 4.5


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_the_words_of_the_page_are_readable(scheme):
    css = (_HERE / "style.css").read_text()
    block = css.split(":root{")[1 + scheme].split("}")[0].replace("\n", "")
    names = dict(pair.split(":") for pair in block.split(";") if pair.startswith("--"))
    for ink, ground in (("ink", "paper"), ("ink", "ground"), ("soft", "paper"), ("soft", "ground"),
                        ("accent", "paper"), ("accent", "ground"), ("pass", "pass-ground"), ("pass", "paper"),
                        ("block", "block-ground"), ("block", "paper"), ("warn", "warn-ground"), ("ink", "warn-ground")):
        assert contrast(rgb(names[f"--{ink}"]), rgb(names[f"--{ground}"])) >= 4.5, (ink, ground)


def test_heat_marks_cells_that_are_no_better_than_shuffled_labels():
    cells = {"white@0.50": {"uar": 0.2}, "fish_market@0.25": {"uar": 0.5}, "fish_market@0.50": {"uar": 0.19}}
    grid = heat(cells, {"cells": {"white@0.50": 0.21, "fish_market@0.50": 0.18}})
    assert grid["levels"] == ["0.25", "0.50"]
    assert [noise for noise, _ in grid["rows"]] == ["fish_market", "white"]
    assert [cell and cell["lost"] for cell in grid["rows"][0][1]] == [False, False]
    assert grid["rows"][1][1][0] is None and grid["rows"][1][1][1]["lost"]
    assert heat({}, None) is None


def test_table_v_keeps_the_papers_groups_and_any_other_noise():
    groups = table_v({"brown@0.25": {}, "white@0.25": {}, "cafe@0.25": {}},
                     {"table_v": {"white@0.25": {"accuracy": 98.29}}, "marks": {"V": {"white@0.25": "why"}}})
    assert [group["title"].split()[0] for group in groups] == ["Stationary", "Non-stationary"]
    assert [row["noise"] for row in groups[0]["rows"]] == ["white", "brown"]
    assert groups[0]["rows"][0]["paper"] == {"accuracy": 98.29} and groups[0]["rows"][0]["mark"] == "why"
    assert groups[1]["rows"][0]["paper"] is None


def test_the_weakest_emotion_and_what_it_is_taken_for():
    counts = (np.eye(7, dtype=int) * 5).tolist()
    counts[2] = [0, 0, 1, 0, 0, 3, 1]
    counts[6] = [0] * 7  # no example: not weak, absent
    assert worst_confusion(counts) == ("fear", "sad", 0.2)
    assert confusion(counts)[6]["cells"][0] == (0, None)
    assert worst_confusion(None) is None


def rows(number):
    emotions = ("angry", "sad", "fear")
    return [UtteranceRow(f"c/{i}", "c", synthetic=True, emotion=emotions[i % 3]) for i in range(number)]


def test_clips_are_chosen_by_key_not_by_order():
    chosen = clips.choose(rows(12), 3, seed=1)
    assert chosen == clips.choose(rows(12)[::-1], 3, seed=1)
    assert set(Counter(row.emotion for row in chosen).values()) == {1}
    assert len(clips.choose(rows(2), 5, seed=1)) == 2 and clips.choose([], 3, seed=1) == []


def test_clean_and_noisy_are_scaled_alike(tmp_path):
    speech = {f"c/{i}": np.sin(np.arange(1600) / (5 + i)).astype(np.float32) * 0.4 for i in range(4)}

    def mix(utterance, samples, noise, intensity, seed, partition):
        assert (intensity, seed, partition) == (0.5, 7, "test")
        return Mixture(samples * 3, 3.0, intensity, noise, "made/fish_market/a" if noise == "fish_market" else "")

    def answer(utterance, noise, intensity, seed):
        return {} if noise == "white" else {"predicted": "sad", "confidence": 0.5}

    settings = Report(seed=1, clips=2, clip_intensity=0.5)
    entries = clips.write_clips(tmp_path / "clips", rows(4), speech, 16000, mix, ["fish_market", "white"], 7, answer,
                                settings)
    assert [entry["noisy"]["noise"] for entry in entries] == ["fish_market", "white"]
    assert entries[0]["noisy"]["recording"] == "made/fish_market/a" and "predicted" not in entries[1]["noisy"]
    for entry in entries:
        assert soundfile.info(tmp_path / entry["clean"]["file"]).subtype == "PCM_16"
        clean, noisy = (soundfile.read(tmp_path / entry[kind]["file"])[0] for kind in ("clean", "noisy"))
        assert np.abs(noisy).max() == pytest.approx(clips.PEAK, abs=1e-3)
        np.testing.assert_allclose(noisy, 3 * clean, atol=2e-4)


def test_silence_stays_silent_and_long_clips_are_cut(tmp_path):
    settings = Report(seed=1, clips=1, clip_intensity=0.5)
    entries = clips.write_clips(tmp_path / "clips", rows(1), {"c/0": np.zeros(20 * 8000, np.float32)}, 8000,
                                lambda u, s, n, a, seed, p: Mixture(s, float("inf"), a, n), ["white"], 1,
                                lambda *_: {}, settings)
    assert soundfile.info(tmp_path / entries[0]["clean"]["file"]).duration == clips.LONGEST
    assert entries[0]["noisy"]["snr_db"] is None and entries[0]["seconds"] == 20


def test_partitions_are_counted():
    manifest = [UtteranceRow(f"{speaker}/{number}", speaker=speaker, partition=partition)
                for number, (partition, speaker) in enumerate((("train", "a"), ("train", "a"), ("test", "b")))]
    noise = [NoiseRow("made/children/1", category="children", partition="test")]
    assert partitions(manifest, noise) == {"utterances": {"train": 2, "test": 1}, "speakers": {"train": 1, "test": 1},
                                           "noise": {"children": {"test": 1}}}


def test_every_seed_and_version_is_named():
    named = seeds(load_params())
    assert named["train.seed"] == 40 and named["evaluate.seeds"] == [1, 2, 3] and named["tune.trial.seed"] == 51
    assert versions()["torch"].startswith("2.")
