"""File names of the four corpora: the published lists, made ones, and every oddity by its name."""

import csv
from collections import Counter
from pathlib import Path, PurePosixPath

import pytest

from ser_ops.corpora import utterance
from ser_ops.corpora.corpus import LAYOUTS, known_faults
from ser_ops.errors import UserError

NAMES = Path(__file__).resolve().parents[2].parent / "shared" / "corpora" / "names"

# Tables II and III of paper 1.
TABLE_II = {"ravdess": (24, 1440), "crema_d": (91, 7442), "tess": (2, 2800), "savee": (4, 480)}
TABLE_III = {
    "ravdess": {"angry": 192, "disgust": 192, "fear": 192, "happy": 192, "neutral": 288, "sad": 192, "surprise": 192},
    "crema_d": {"angry": 1271, "disgust": 1271, "fear": 1271, "happy": 1271, "neutral": 1087, "sad": 1271},
    "tess": dict.fromkeys(("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"), 400),
    "savee": {"angry": 60, "disgust": 60, "fear": 60, "happy": 60, "neutral": 120, "sad": 60, "surprise": 60}}


def published(layout: str) -> list[PurePosixPath]:
    file = NAMES / f"{layout}.tsv"
    if not file.exists():
        pytest.skip(f"the published list {file.name} is not at hand")
    with file.open(encoding="utf-8") as lines:
        return [PurePosixPath(row["path"]) for row in csv.DictReader(lines, delimiter="\t")]


def savee(nested: bool, suffix: str = ".wav") -> list[PurePosixPath]:
    codes = [f"{code}{number:02d}" for code in ("a", "d", "f", "h", "n", "sa", "su")
             for number in range(1, 31 if code == "n" else 16)]
    return [PurePosixPath(f"{speaker}{'/' if nested else '_'}{code}{suffix}")
            for speaker in ("DC", "JE", "JK", "KL") for code in codes]


def made(folder: Path, paths: list[PurePosixPath | str], content: bytes = b"") -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


@pytest.mark.parametrize("layout", LAYOUTS)
def test_expectations_are_tables_ii_and_iii(layout: str) -> None:
    speakers, total = TABLE_II[layout]
    assert LAYOUTS[layout].expected() == TABLE_III[layout]
    assert (LAYOUTS[layout].speakers, sum(LAYOUTS[layout].counts.values())) == (speakers, total)


@pytest.mark.parametrize("layout", ["ravdess", "crema_d", "tess"])
def test_published_names_give_tables_ii_and_iii(layout: str) -> None:
    arranged = LAYOUTS[layout].arrange(published(layout))
    assert dict(Counter(parsed.emotion for parsed in arranged.taken.values())) == TABLE_III[layout]
    assert len({parsed.speaker for parsed in arranged.taken.values()}) == TABLE_II[layout][0]
    assert arranged.skipped == {}
    stems = {path.stem for path in arranged.taken}
    assert {name for oddity in LAYOUTS[layout].oddities for name in oddity.names} <= stems
    assert set(known_faults(layout)) <= stems


@pytest.mark.parametrize("nested", [True, False])
def test_made_savee_names_give_tables_ii_and_iii(nested: bool) -> None:
    arranged = LAYOUTS["savee"].arrange(savee(nested))
    assert dict(Counter(parsed.emotion for parsed in arranged.taken.values())) == TABLE_III["savee"]
    assert {parsed.speaker for parsed in arranged.taken.values()} == {"DC", "JE", "JK", "KL"}
    assert {parsed.gender for parsed in arranged.taken.values()} == {"male"}


def test_ravdess_speakers_are_half_female_and_calm_is_an_option() -> None:
    paths = published("ravdess")
    readings = LAYOUTS["ravdess"].arrange(paths).taken.values()
    assert len({parsed.speaker for parsed in readings if parsed.gender == "female"}) == 12
    without = LAYOUTS["ravdess"].arrange(paths, calm="excluded")
    assert dict(Counter(parsed.emotion for parsed in without.taken.values())) == LAYOUTS["ravdess"].expected("excluded")
    assert LAYOUTS["ravdess"].expected("excluded")["neutral"] == 96
    assert without.skipped == {"calm, which data.calm keeps out": 192}


def test_ravdess_skips_and_counts_song_video_and_what_is_not_its_own() -> None:
    arranged = LAYOUTS["ravdess"].arrange(map(PurePosixPath, [
        "Actor_01/03-01-05-01-01-01-01.wav", "Actor_01/03-02-05-01-01-01-01.wav", "Video/01-01-05-01-01-01-01.mp4",
        "02-01-05-01-01-01-01.mp4", "Actor_02/03-01-05-01-01-01-01.flac", "03-01-09-01-01-01-01.wav",
        "03-01-05-01-01-01-25.wav", "holiday.mp3", "notes.txt", "__MACOSX/Actor_01/._03-01-05-01-01-01-01.wav"]))
    assert len(arranged.taken) == 1
    assert arranged.skipped == {
        "song": 1, "video": 2, "folder and file name name different actors": 1, "hidden file": 1,
        "name is not MM-VV-EE-II-SS-RR-AA of RAVDESS": 3, "not an audio file (.txt)": 1}


def test_named_oddities_are_said_of_the_published_corpora_and_not_of_synthetic_ones() -> None:
    paths = [PurePosixPath(f"Actor_{name[-2:]}/{name}.wav") for oddity in LAYOUTS["ravdess"].oddities
             for name in oddity.names]
    said = LAYOUTS["ravdess"].arrange(paths).oddities
    assert any("stereo" in oddity and oddity.count("-") == 30 for oddity in said)
    assert any("byte for byte" in oddity for oddity in said)
    assert LAYOUTS["ravdess"].arrange(paths, synthetic=True).oddities == []


def test_known_faults_name_both_of_a_mislabelled_pair_and_one_of_two_that_are_the_same() -> None:
    assert set(known_faults("crema_d")) == {
        "1006_TIE_HAP_XX", "1006_TIE_NEU_XX", "1013_WSI_DIS_XX", "1013_WSI_SAD_XX", "1017_IWW_ANG_XX",
        "1017_IWW_FEA_XX", "1076_MTI_SAD_XX"}
    assert set(known_faults("ravdess")) == {"03-01-03-01-02-02-07"}
    assert known_faults("manifest") == {}


def test_tess_reads_mixed_case_folders_the_misspelt_prefix_and_a_nested_second_copy() -> None:
    paths = [PurePosixPath(top, name) for top in ("tess", "tess/tess") for name in (
        "OAF_Fear/OAF_back_fear.wav", "OAF_Pleasant_surprise/OAF_back_ps.wav", "OAF_neutral/OA_bite_neutral.wav",
        "YAF_pleasant_surprised/YAF_back_ps.wav")]
    arranged = LAYOUTS["tess"].arrange(paths)
    assert [(parsed.speaker, parsed.emotion) for parsed in arranged.taken.values()] == [
        ("OAF", "fear"), ("OAF", "surprise"), ("OAF", "neutral"), ("YAF", "surprise")]
    assert arranged.skipped == {"second copy of a recording": 4}
    assert all(path.parts[:2] != ("tess", "tess") for path in arranged.taken)
    assert any("OA_bite_neutral" in oddity for oddity in arranged.oddities)
    assert not any("96,000" in oddity for oddity in arranged.oddities), "OAF_food_fear is not among them"
    assert any("OAF_Fear, OAF_Pleasant_surprise" in oddity for oddity in arranged.oddities)


def test_the_tess_recording_of_another_rate_is_said_of_the_published_corpus() -> None:
    path = PurePosixPath("OAF_Fear/OAF_food_fear.wav")
    assert LAYOUTS["tess"].arrange([path]).oddities == [
        "published at 96,000 Hz, all others at 24,414, read like them: OAF_food_fear"]
    assert LAYOUTS["tess"].arrange([path], synthetic=True).oddities == []
    assert known_faults("tess") == {}


def test_a_second_file_of_one_name_with_other_content_is_counted_apart(tmp_path: Path) -> None:
    made(tmp_path / "a", ["OAF_sad/OAF_back_sad.wav"], b"one")
    made(tmp_path / "a", ["copy/OAF_sad/OAF_back_sad.wav"], b"one")
    made(tmp_path / "a", ["other/OAF_sad/OAF_back_sad.wav"], b"two")
    scan = LAYOUTS["tess"].scan(tmp_path / "a", "tess")
    assert [utterance.utterance for utterance in scan.utterances] == ["tess/OAF_sad/OAF_back_sad"]
    assert sorted(scan.skipped.values()) == [1, 1]
    assert any("other content" in reason for reason in scan.skipped)


def test_contradicting_folders_and_names_are_left_out() -> None:
    assert LAYOUTS["tess"].arrange([PurePosixPath("OAF_sad/OAF_back_happy.wav")]).taken == {}
    assert LAYOUTS["savee"].arrange([PurePosixPath("DC/JE_a01.wav")]).taken == {}
    assert LAYOUTS["savee"].arrange([PurePosixPath("a01.wav")]).skipped == {
        "no folder DC, JE, JK or KL says who speaks": 1}


@pytest.mark.parametrize("name", ["1001_DFA_ANG_XX.wav", "1001_dfa_ang_xx.FLAC", "1001_DFA_ANG_HI.ogg",
                                  "1040_ITH_SAD_X.mp3"])
def test_crema_d_takes_every_format_and_the_cut_intensity(name: str) -> None:
    (reading,) = LAYOUTS["crema_d"].arrange([PurePosixPath(name)]).taken.values()
    assert reading.intensity == ("high" if "HI" in name else "unspecified")


def test_crema_d_takes_gender_from_its_own_table(tmp_path: Path) -> None:
    made(tmp_path, ["AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1002_DFA_ANG_XX.wav", "AudioWAV/1003_DFA_ANG_XX.wav"])
    assert {utterance.gender for utterance in LAYOUTS["crema_d"].scan(tmp_path, "crema_d").utterances} == {""}
    (tmp_path / "VideoDemographics.csv").write_text('"ActorID","Age","Sex"\n1001,51,"Male"\n1002,21,"Female"\n')
    scan = LAYOUTS["crema_d"].scan(tmp_path, "crema_d")
    assert [utterance.gender for utterance in scan.utterances] == ["male", "female", ""]
    assert scan.skipped == {}
    (tmp_path / "VideoDemographics.csv").write_text("Actor,Sex\n1001,Male\n")
    with pytest.raises(UserError, match="lacks the column ActorID: give ActorID, Sex"):
        LAYOUTS["crema_d"].scan(tmp_path, "crema_d")


def test_published_table_of_crema_d_speakers_names_the_gender_of_all(tmp_path: Path) -> None:
    table = NAMES / "crema_d_VideoDemographics.csv"
    if not table.exists():
        pytest.skip("the published table of speakers is not at hand")
    made(tmp_path, [f"AudioWAV/{number}_IEO_ANG_HI.wav" for number in range(1001, 1092)])
    (tmp_path / "VideoDemographics.csv").write_bytes(table.read_bytes())
    scan = LAYOUTS["crema_d"].scan(tmp_path, "crema_d")
    assert Counter(utterance.gender for utterance in scan.utterances) == {"male": 48, "female": 43}


def test_ids_speakers_and_texts_of_a_scan(tmp_path: Path) -> None:
    made(tmp_path / "mine", ["Actor_12/03-01-08-02-02-01-12.WAV"])
    (only,) = LAYOUTS["ravdess"].scan(tmp_path / "mine", "mine").utterances
    assert only == utterance.Utterance(
        "mine/Actor_12/03-01-08-02-02-01-12", "mine", "ravdess", False,
        tmp_path / "mine/Actor_12/03-01-08-02-02-01-12.WAV", "surprise", "mine/12", "female", "en", "strong",
        "statement 2")


def test_a_folder_that_is_no_corpus_is_one_clear_error(tmp_path: Path) -> None:
    made(tmp_path, ["a.txt", "b.wav"])
    with pytest.raises(UserError, match=r"no SAVEE recordings with names like DC/a01.wav.*give the folder") as error:
        LAYOUTS["savee"].scan(tmp_path, "savee")
    assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="is not a folder"):
        LAYOUTS["savee"].scan(tmp_path / "missing", "savee")
    with pytest.raises(UserError, match="it is empty"):
        LAYOUTS["savee"].scan(made(tmp_path / "empty", ["corpus.yaml"]), "savee")


def test_linked_folders_are_entered_once_and_a_ring_ends(tmp_path: Path) -> None:
    made(tmp_path / "real", ["a01.wav"])
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "DC").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "ring").symlink_to(tmp_path / "corpus")
    scan = LAYOUTS["savee"].scan(tmp_path / "corpus", "savee")
    assert [utterance.utterance for utterance in scan.utterances] == ["savee/DC/a01"]
