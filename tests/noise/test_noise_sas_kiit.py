"""SAS-KIIT: its class folders become the paper's three categories, under its licence."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_ops.errors import UserError
from ser_ops.noise.recordings import NoiseCard, scan_noise
from ser_ops.noise.sas_kiit import add_sas_kiit, category_of

CLASSES = ("Fish Market", "Railway Engine", "Children Class Noise", "Temple Bell")


def dataset(folder: Path, classes: tuple[str, ...] = CLASSES) -> Path:
    """Two clips of each class, of made-up noise, at the dataset's rate; numbered names as it has them."""
    for number, name in enumerate(classes):
        inside = folder / "Dataset" / name
        inside.mkdir(parents=True)
        for clip in ("3_445.wav", "4.wav"):
            draw = np.random.default_rng([number, len(clip)])
            soundfile.write(inside / clip, draw.normal(0, 0.1, 22050).astype(np.float32), 44100)
    return folder


@pytest.mark.parametrize(("name", "category"), [
    ("fish market", "fish_market"), ("Fish_Market", "fish_market"), ("FISHMARKET", "fish_market"),
    ("Railway Engine", "railway_engine"), ("children class noise", "children"),
    ("Children Classroom Noise", "children"),
    ("fish", ""), ("children playground", ""), ("railway announcement", "")])
def test_class_folders_are_read_as_people_write_them(name, category):
    assert category_of(name) == category


def test_three_classes_come_in_and_no_other(tmp_path):
    summaries = add_sas_kiit(dataset(tmp_path / "downloaded"), tmp_path / "noise")
    assert {summary.category: summary.recordings for summary in summaries} == {
        "fish_market": 2, "railway_engine": 2, "children": 2}
    assert NoiseCard.read(tmp_path / "noise", "sas_kiit").licence == "CC BY-NC 4.0"
    assert {recording.category for recording in scan_noise(tmp_path / "noise", ["sas_kiit"])} == {
        "fish_market", "railway_engine", "children"}
    again = add_sas_kiit(tmp_path / "downloaded", tmp_path / "noise")
    assert all(not summary.added and len(summary.already) == 2 for summary in again)


def test_a_class_that_is_not_there_is_named_with_those_that_are(tmp_path):
    with pytest.raises(UserError, match=r"for children among .*Fish Market.*Temple Bell.*`ser-ops noise add CATEGORY"):
        add_sas_kiit(dataset(tmp_path / "downloaded", (*CLASSES[:2], "Temple Bell")), tmp_path / "noise")
    assert not (tmp_path / "noise").exists()


def test_two_folders_of_one_class_are_not_guessed_at(tmp_path):
    with pytest.raises(UserError, match="are both fish_market"):
        add_sas_kiit(dataset(tmp_path / "downloaded", (*CLASSES, "fish_market")), tmp_path / "noise")
