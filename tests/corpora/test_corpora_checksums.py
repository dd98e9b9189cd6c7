"""Which files of a copy are the published ones."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser_ops.corpora.checksums import compare_checksums
from ser_ops.errors import UserError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "corpora"


def listed(tmp_path: Path, files: dict[str, bytes]) -> Path:
    lines = ["path\tsize\tsha256", *(f"{path}\t{len(content)}\t{hashlib.sha256(content).hexdigest()}"
                                     for path, content in files.items())]
    (tmp_path / "list.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path / "list.tsv"


def there(tmp_path: Path, files: dict[str, bytes]) -> Path:
    for path, content in files.items():
        (tmp_path / "copy" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / path).write_bytes(content)
    return tmp_path / "copy"


def test_each_kind_is_told_apart(tmp_path: Path) -> None:
    tsv = listed(tmp_path, {"A/same.wav": b"1", "A/other.wav": b"2", "A/longer.wav": b"3", "A/flac.wav": b"4",
                            "A/gone.wav": b"5"})
    folder = there(tmp_path, {"deep/A/same.wav": b"1", "other.WAV": b"x", "A/longer.wav": b"33", "A/flac.flac": b"4",
                              "new.wav": b"6", "notes.txt": b"7", ".hidden/same.wav": b"1"})
    comparison = compare_checksums(folder, tsv)
    assert comparison.published == ("deep/A/same.wav",)
    assert comparison.altered == ("A/longer.wav", "other.WAV")
    assert comparison.re_encoded == ("A/flac.flac",)
    assert comparison.missing == ("A/gone.wav",)
    assert comparison.extra == ("new.wav",)
    assert comparison.ambiguous == ()
    assert comparison.record()["counts"] == {"published": 1, "same_samples": 0, "altered": 2, "re_encoded": 1,
                                             "missing": 1, "extra": 1, "ambiguous": 0}


def sound(path: Path, samples: np.ndarray, rate: int = 24414) -> bytes:
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path.read_bytes()


def copied_as_flac(tmp_path: Path, samples: np.ndarray) -> Path:
    """A folder with OAF_Fear/x.flac of these samples."""
    folder = there(tmp_path, {"OAF_Fear/x.flac": b""})
    sound(folder / "OAF_Fear" / "x.flac", samples)
    return folder


SAMPLES = np.random.default_rng(3).integers(-2000, 2000, 5000).astype(np.int16)


def test_a_flac_copy_of_a_published_wav_is_told_by_its_samples(tmp_path: Path) -> None:
    tsv = listed(tmp_path, {"OAF_Fear/x.wav": sound(tmp_path / "x.wav", SAMPLES)})
    comparison = compare_checksums(copied_as_flac(tmp_path, SAMPLES), tsv)
    assert (comparison.same_samples, comparison.re_encoded) == (("OAF_Fear/x.flac",), ())
    other = SAMPLES.copy()
    other[-1] += 1
    comparison = compare_checksums(copied_as_flac(tmp_path, other), tsv)
    assert (comparison.same_samples, comparison.re_encoded) == ((), ("OAF_Fear/x.flac",)), "one sample is another"


def test_a_digest_of_samples_in_the_list_tells_what_a_longer_header_hides(tmp_path: Path) -> None:
    content = sound(tmp_path / "x.wav", SAMPLES) + b"LIST\x04\0\0\0abcd"
    folder = copied_as_flac(tmp_path, SAMPLES)
    tsv = listed(tmp_path, {"OAF_Fear/x.wav": content})
    assert compare_checksums(folder, tsv).re_encoded == ("OAF_Fear/x.flac",), "nothing known of its samples"
    head, line = tsv.read_text().splitlines()
    for samples, kind in ((SAMPLES, "same_samples"), (SAMPLES[::-1], "re_encoded")):
        digest = hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()
        tsv.write_text(f"{head}\tsamples_sha256\n{line}\t{digest}\n")
        assert compare_checksums(folder, tsv).record()["counts"][kind] == 1


@pytest.mark.skipif(not (SHARED / "tess").is_dir(), reason="TESS in ../shared/corpora is not here")
def test_flac_copies_of_tess_hold_the_published_samples(tmp_path: Path) -> None:
    """Half of TESS has the shortest header (1,399 of 2,800); of the others a list without samples cannot tell."""
    some = sorted((SHARED / "tess").rglob("*.flac"))[::70]
    for path in some:
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        shutil.copyfile(path, tmp_path / path.parent.name / path.name)
    counts = compare_checksums(tmp_path, SHARED / "names" / "tess.tsv").record()["counts"]
    assert counts["same_samples"] + counts["re_encoded"] == len(some) == 40
    assert counts["same_samples"] > 10 and counts["altered"] == 0


def test_the_shortest_end_that_is_unique_decides_and_several_are_ambiguous(tmp_path: Path) -> None:
    tsv = listed(tmp_path, {"DC/a01.wav": b"dc", "JE/a01.wav": b"je", "KL/a01.wav": b"kl"})
    folder = there(tmp_path, {"deep/DC/a01.wav": b"dc", "a01.wav": b"je", "XX/a01.wav": b"?"})
    comparison = compare_checksums(folder, tsv)
    assert comparison.published == ("deep/DC/a01.wav",)
    assert comparison.ambiguous == ("XX/a01.wav", "a01.wav")
    assert comparison.missing == ()  # the ambiguous ones may be JE/a01 and KL/a01


def test_a_second_copy_is_extra_and_the_same_bytes_go_first(tmp_path: Path) -> None:
    tsv = listed(tmp_path, {"OAF_Fear/x.wav": b"1"})
    folder = there(tmp_path, {"a/x.wav": b"1", "a/b/x.wav": b"1", "x.wav": b"2", "x.flac": b"1"})
    comparison = compare_checksums(folder, tsv)
    assert comparison.published == ("a/x.wav",)
    assert comparison.extra == ("a/b/x.wav", "x.flac", "x.wav")


def test_a_file_that_cannot_be_read_is_altered(tmp_path: Path) -> None:
    folder = there(tmp_path, {"y.wav": b"1"})
    (folder / "x.wav").symlink_to(tmp_path / "nowhere")
    assert compare_checksums(folder, listed(tmp_path, {"x.wav": b"1"})).altered == ("x.wav",)


@pytest.mark.parametrize(("text", "fault"), [
    ("path,size\n", "lacks the column sha256"),
    ("path\tsize\tsha256\na\tmany\tb\n", "line 2 has the size 'many'"),
    ("path\tsize\tsha256\n./\t1\tb\n", "line 2 names no file"),
    ("path\tsize\tsha256\na\t1\n", "line 2 has another number of values")])
def test_what_is_no_list_is_named(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "list.tsv").write_text(text + "x\n")
    with pytest.raises(UserError, match=fault):
        compare_checksums(there(tmp_path, {"x.wav": b"1"}), tmp_path / "list.tsv")
    with pytest.raises(UserError, match="cannot be read"):
        compare_checksums(there(tmp_path, {"x.wav": b"1"}), tmp_path / "none.tsv")


@pytest.mark.real_speech
def test_real_clips_are_the_published_ones_and_flac_is_re_encoded() -> None:
    if not (SHARED / "names").is_dir():
        pytest.skip("the recordings and the published lists are not at hand")
    crema = compare_checksums(SHARED / "crema_d", SHARED / "names" / "crema_d.tsv").record()["counts"]
    assert (crema["published"], crema["altered"], crema["extra"], crema["missing"]) == (11, 0, 0, 7442 - 11)
    ravdess = compare_checksums(SHARED / "ravdess", SHARED / "names" / "ravdess.tsv").record()["counts"]
    assert (ravdess["re_encoded"], ravdess["missing"], ravdess["ambiguous"]) == (1200, 240, 0)
