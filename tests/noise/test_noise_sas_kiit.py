"""SAS-KIIT: its class folders become the paper's three categories, under its licence."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_ops.errors import UserError
from ser_ops.noise.adding import add_noise
from ser_ops.noise.recordings import NoiseCard, scan_noise
from ser_ops.noise.sas_kiit import add_sas_kiit, category_of

CLASSES = ("Fish Market", "Railway Engine", "Children Class Noise", "Temple Bell")


def dataset(folder: Path, classes: tuple[str, ...] = CLASSES, within: str = "Dataset") -> Path:
    """Two clips of each class below `folder`/`within`."""
    for name in classes:
        clips(folder / within / name, sum(f"{within}/{name}".encode()))
    return folder


def clips(folder: Path, seed: int) -> Path:
    """Two clips of made-up noise, at the dataset's rate; numbered names as it has them."""
    folder.mkdir(parents=True, exist_ok=True)
    for clip in ("3_445.wav", "4.wav"):
        draw = np.random.default_rng([seed, len(clip)])
        soundfile.write(folder / clip, draw.normal(0, 0.1, 22050).astype(np.float32), 44100)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


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


@pytest.mark.parametrize("layout", [
    ("train/{}", "test/{}"), ("a/deep/{}", "b/{}"), ("{}", "{}_"), ("{}", "{}/{}")])
def test_every_folder_of_a_class_comes_in_and_its_clips_stay_sources(tmp_path, layout):
    for number, folder in enumerate(layout):
        for name in CLASSES:
            clips(tmp_path / "downloaded" / folder.format(name, name), sum(name.encode()) + 10_000 * number)
    summaries = add_sas_kiit(tmp_path / "downloaded", tmp_path / "noise")
    assert {summary.category: (summary.recordings, summary.sources) for summary in summaries} == dict.fromkeys(
        ("fish_market", "railway_engine", "children"), (4, 4))
    assert len({recording.source for recording in scan_noise(tmp_path / "noise", ["sas_kiit"])}) == 12
    again = add_sas_kiit(tmp_path / "downloaded", tmp_path / "noise")
    assert all(not summary.added and len(summary.already) == 4 for summary in again)


def test_tables_and_sub_folders_of_several_class_folders_name_sources(tmp_path):
    downloaded = dataset(dataset(tmp_path / "downloaded", within="train"), within="test")
    (downloaded / "train/Fish Market/sources.csv").write_text("path,source\n4.wav,hall\n")
    (downloaded / "test/Fish Market/sources.csv").write_text("path,source\n4.wav,hall\n3_445.wav,quay\n")
    clips(downloaded / "test/Railway Engine/yard", 7)
    add_sas_kiit(downloaded, tmp_path / "noise")
    sources = {recording.recording.removeprefix("sas_kiit/"): recording.source.removeprefix("sas_kiit/")
               for recording in scan_noise(tmp_path / "noise", ["sas_kiit"])}
    fish, railway = "fish_market/{}/Fish Market/{}", "railway_engine/test/Railway Engine/{}"
    assert {name: source for name, source in sources.items() if name.startswith("fish")} == {
        fish.format("train", "4"): "fish_market/hall", fish.format("test", "4"): "fish_market/hall",
        fish.format("train", "3_445"): fish.format("train", "3_445"),
        fish.format("test", "3_445"): "fish_market/quay"}
    assert {source for name, source in sources.items() if "/test/Railway" in name} == {
        railway.format("3_445"), railway.format("4"), railway.format("yard")}


def test_what_a_mac_left_is_no_class_folder(tmp_path):
    downloaded = dataset(tmp_path / "downloaded")
    for name in CLASSES:
        beside = downloaded / "__MACOSX" / "Dataset" / name
        beside.mkdir(parents=True)
        (beside / "._4.wav").write_bytes(b"\0\5\26\7")
    summaries = add_sas_kiit(downloaded, tmp_path / "noise")
    assert all((summary.recordings, summary.skipped) == (2, {}) for summary in summaries)
    assert (tmp_path / "noise/sas_kiit/fish_market/4.wav").is_file(), "one folder of a class adds no folder to a name"


@pytest.mark.parametrize("there", [False, True])
def test_a_class_that_fails_keeps_the_others_out(tmp_path, there):
    if there:
        add_noise("rain", clips(tmp_path / "rain", 9), tmp_path / "noise", "sas_kiit", licence="CC BY-NC 4.0")
    before = content(tmp_path / "noise")
    downloaded = dataset(tmp_path / "downloaded")
    for clip in (downloaded / "Dataset" / "Children Class Noise").iterdir():
        clip.write_bytes(b"RIFF and nothing else")
    with pytest.raises(UserError, match=r"Children Class Noise: holds no usable recordings \(3_445\.wav"):
        add_sas_kiit(downloaded, tmp_path / "noise")
    assert content(tmp_path / "noise") == before


def test_a_collection_that_is_there_keeps_its_recordings(tmp_path):
    add_noise("rain", clips(tmp_path / "rain", 9), tmp_path / "noise", "mine", licence="CC BY-NC 4.0")
    before = content(tmp_path / "noise")
    add_sas_kiit(dataset(tmp_path / "downloaded"), tmp_path / "noise", "mine")
    assert before.items() <= content(tmp_path / "noise").items()
    assert {recording.category for recording in scan_noise(tmp_path / "noise", ["mine"])} == {
        "rain", "fish_market", "railway_engine", "children"}


def test_the_card_names_the_datasets_source_and_licence(tmp_path):
    downloaded = dataset(tmp_path / "downloaded")
    add_sas_kiit(downloaded, tmp_path / "noise")
    card = NoiseCard.read(tmp_path / "noise", "sas_kiit")
    assert "https://sas-kiit.netlify.app/" in card.source and card.licence == "CC BY-NC 4.0"
    add_sas_kiit(downloaded, tmp_path / "noise", "of_my_copy", licence="CC BY 4.0")
    assert NoiseCard.read(tmp_path / "noise", "of_my_copy").licence == "CC BY 4.0"


def test_the_licence_is_never_lost_in_a_free_collection(tmp_path):
    add_noise("rain", clips(tmp_path / "rain", 9), tmp_path / "noise", "free", licence="CC0 1.0")
    before = content(tmp_path / "noise")
    with pytest.raises(UserError, match=r"'CC0 1\.0', and what comes in has 'CC BY-NC 4\.0'"):
        add_sas_kiit(dataset(tmp_path / "downloaded"), tmp_path / "noise", "free")
    assert content(tmp_path / "noise") == before
