"""Which noise recordings there are, how they come in, and how they are partitioned."""

import os
import random
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ser_ops import folders
from ser_ops.config.data import Partitions
from ser_ops.errors import UserError
from ser_ops.manifest import NoiseRow
from ser_ops.noise import adding
from ser_ops.noise.recordings import assign_noise_partitions, scan_noise, source_by_name

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "noise"


def write(path: Path, seed: int = 0, peak: float = 0.5, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(seed).uniform(-1, 1, int(16000 * seconds))
    soundfile.write(path, samples * peak, 16000)
    return path


def collection(folder: Path, name: str = "recorded", synthetic: bool = False) -> Path:
    folder = folder / name
    folder.mkdir(parents=True)
    (folder / "noise.yaml").write_text(yaml.safe_dump(
        {"name": name, "synthetic": synthetic, "licence": "CC0", "source": "made in a test"}))
    return folder


def shares(**more) -> Partitions:
    return Partitions(**{"protocol": "speaker", "seed": 20, "validation": 0.2, "test": 0.2, "noise_validation": 0.25,
                         "noise_test": 0.25, "held_out_noise": ()} | more)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class TestScan:
    def test_ids_and_card(self, tmp_path):
        top = collection(tmp_path, "made", synthetic=True)
        write(top / "rain" / "b.wav")
        write(top / "rain" / "a.flac")
        write(top / "children" / "1-100032-A-0.wav")
        (top / "rain" / "notes.txt").write_text("no recording")
        write(top / "rain" / ".hidden.wav")
        summary = scan_noise(tmp_path, ["made"])
        assert [answer.recording for answer in summary] == ["made/children/1-100032-A-0", "made/rain/a", "made/rain/b"]
        assert [answer.category for answer in summary] == ["children", "rain", "rain"]
        assert all(answer.synthetic and answer.collection == "made" for answer in summary)
        assert summary[1].path == top / "rain" / "a.flac"

    def test_several_collections(self, tmp_path):
        for name in ("one", "two"):
            write(collection(tmp_path, name) / "rain" / "a.wav")
        assert [recording.recording
                for recording in scan_noise(tmp_path, ["two", "one"])] == ["one/rain/a", "two/rain/a"]

    @pytest.mark.parametrize(("stem", "source"), [
        ("5-9032-A-0", "esc50/9032"), ("esc50_4-165791-B-45", "esc50/165791"), ("4-165791-a-45", "esc50/165791"),
        ("x_4-165791-A-45", "made/rain/x_4-165791-A-45"), ("sas_kiit_3_445", "made/rain/sas_kiit_3_445")])
    def test_source(self, stem, source):
        assert source_by_name(f"made/rain/{stem}") == source

    def test_missing_collection(self, tmp_path):
        write(collection(tmp_path, "made") / "rain" / "a.wav")
        with pytest.raises(UserError, match="there are: made"):
            scan_noise(tmp_path, ["maid"])

    @pytest.mark.parametrize(("card", "fault"), [
        ("name: [", "not YAML"), ("just words", "not the card"),
        ("{name: other, synthetic: true, licence: x, source: y}", "not the card"),
        ("{name: made, licence: x, source: y}", "synthetic: missing key"),
        ("{name: made, synthetic: 1, licence: x, source: y}", "synthetic"),
        ("{name: made, synthetic: true, licence: x, source: y, lisence: z}", "lisence")])
    def test_bad_card(self, tmp_path, card, fault):
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / "noise.yaml").write_text(card)
        with pytest.raises(UserError, match=fault) as caught:
            scan_noise(tmp_path, ["made"])
        assert "noise.yaml" in str(caught.value)

    def test_no_card_and_no_recordings(self, tmp_path):
        (tmp_path / "made").mkdir()
        with pytest.raises(UserError, match=r"noise\.yaml: cannot be read"):
            scan_noise(tmp_path, ["made"])
        collection(tmp_path, "empty")
        with pytest.raises(UserError, match="holds no recordings"):
            scan_noise(tmp_path, ["empty"])

    def test_two_files_of_one_name(self, tmp_path):
        top = collection(tmp_path, "made")
        write(top / "rain" / "a.wav")
        write(top / "rain" / "a.flac")
        with pytest.raises(UserError, match="suffix"):
            scan_noise(tmp_path, ["made"])

    @pytest.mark.parametrize("category", ["white", "clean", "two words", "a@b"])
    def test_names_that_mean_something_else(self, tmp_path, category):
        write(collection(tmp_path, "made") / category / "a.wav")
        with pytest.raises(UserError, match=category):
            scan_noise(tmp_path, ["made"])


class TestSources:
    def test_a_sub_folder_is_one_source(self, tmp_path):
        top = collection(tmp_path, "made")
        for path in ("kitchen/dishes/ch01.wav", "kitchen/dishes/ch02.wav", "kitchen/frying/deep/ch01.wav",
                     "kitchen/alone.wav", "kitchen/esc/1-7-A-1.wav", "rain/1-7-B-1.wav"):
            write(top / path)
        assert {recording.recording: recording.source for recording in scan_noise(tmp_path, ["made"])} == {
            "made/kitchen/dishes/ch01": "made/kitchen/dishes", "made/kitchen/dishes/ch02": "made/kitchen/dishes",
            "made/kitchen/frying/deep/ch01": "made/kitchen/frying", "made/kitchen/alone": "made/kitchen/alone",
            "made/kitchen/esc/1-7-A-1": "esc50/7", "made/rain/1-7-B-1": "esc50/7"}

    def test_tables_name_sources(self, tmp_path):
        top = collection(tmp_path, "made")
        for path in ("rain/a.wav", "rain/b.wav", "rain/c.wav", "rain/d/e.wav", "wind/a.wav", "wind/b.wav"):
            write(top / path)
        (top / "sources.csv").write_text("path;source\nrain/a.wav;storm\nwind\\a.wav;storm\n", encoding="utf-8-sig")
        (top / "rain" / "sources.csv").write_text("Path,Source\nb.wav,roof\nc.wav,roof\nd/e.wav,roof\n")
        assert {recording.recording: recording.source for recording in scan_noise(tmp_path, ["made"])} == {
            "made/rain/a": "made/storm", "made/wind/a": "made/storm", "made/wind/b": "made/wind/b",
            **dict.fromkeys(("made/rain/b", "made/rain/c", "made/rain/d/e"), "made/rain/roof")}

    @pytest.mark.parametrize(("text", "fault"), [
        ("path\na.wav\n", "lacks the column source"),
        ("path,source\nb.wav,x\n", r"line 2 names 'b\.wav', which is not there"),
        ("path,source\n../rain/a.wav,x\n", "which is not there"), ("path,source\na.wav,\n", "line 2 has no source"),
        ("path,source\na.wav,x\na.wav,y\n", "line 3 names a second source"), ("\0", "NUL"), ("", "lacks")])
    def test_bad_tables(self, tmp_path, text, fault):
        top = collection(tmp_path, "made")
        write(top / "rain" / "a.wav")
        (top / "rain" / "sources.csv").write_text(text)
        with pytest.raises(UserError, match=fault) as caught:
            scan_noise(tmp_path, ["made"])
        assert "rain/sources.csv" in str(caught.value) and "\n" not in str(caught.value)

    def test_adding_keeps_them(self, tmp_path):
        for path in ("1/dishes/ch01.wav", "1/dishes/ch02.wav", "1/frying/ch01.wav", "1/a.wav", "2/b.wav", "2/c.wav"):
            write(tmp_path / path, seed=sum(path.encode()))
        write(tmp_path / "2" / "quiet.wav", peak=1e-6)
        (tmp_path / "1" / "sources.csv").write_text("path,source\na.wav,roof\n")
        (tmp_path / "2" / "sources.csv").write_text("path,source\nb.wav,roof\nc.wav,yard\nquiet.wav,yard\n")
        first = adding.add_noise("kitchen", tmp_path / "1", tmp_path / "noise")
        assert (first.recordings, first.sources) == (4, 3)
        assert first.added == ["a.wav", "dishes/ch01.wav", "dishes/ch02.wav", "frying/ch01.wav"]
        second = adding.add_noise("kitchen", tmp_path / "2", tmp_path / "noise", link=True)
        assert (second.recordings, second.sources, list(second.skipped)) == (6, 4, ["quiet.wav"])
        named = ((recording.recording, recording.source) for recording in scan_noise(tmp_path / "noise", ["recorded"]))
        sources = {recording.removeprefix("recorded/kitchen/"): source.removeprefix("recorded/kitchen/")
                   for recording, source in named}
        assert sources == {"a": "roof", "b": "roof", "c": "yard", "dishes/ch01": "dishes", "dishes/ch02": "dishes",
                           "frying/ch01": "frying"}


class TestWhatComesFromOutside:
    def test_leftovers_pipes_and_dangling_links(self, tmp_path):
        source = tmp_path / "mine"
        for name in ("a.wav", "._a.wav", "__MACOSX/a.wav", "$RECYCLE.BIN/a.wav", ".Trash-0/b.wav", "~$b.wav"):
            write(source / name)
        os.mkfifo(source / "pipe.wav")
        (source / "nothing.wav").symlink_to("nowhere")
        (source / "around").symlink_to(source)
        summary = adding.add_noise("rain", source, tmp_path / "noise")
        assert summary.added == ["a.wav"]
        assert summary.skipped == {"nothing.wav": "link to nothing",
                                   "pipe.wav": "a pipe, a socket or a device, not a file"}
        assert [recording.recording
                for recording in scan_noise(tmp_path / "noise", ["recorded"])] == ["recorded/rain/a"]

    @pytest.mark.parametrize("kind", ["source", "category", "collection"])
    def test_names_that_are_too_long(self, tmp_path, kind):
        given = {"source": write(tmp_path / "mine" / "a.wav").parent, "category": "rain", "collection": "recorded"}
        given[kind] = tmp_path / ("a" * 300) if kind == "source" else "a" * 300
        with pytest.raises(UserError) as caught:
            adding.add_noise(given["category"], given["source"], tmp_path / "noise", given["collection"])
        assert "\n" not in str(caught.value)
        assert not list((tmp_path / "noise").glob("*"))

    @pytest.mark.parametrize("link", [False, True])
    def test_links_that_leave_the_folder(self, tmp_path, link):
        write(tmp_path / "mine" / "a.wav")
        (tmp_path / "mine" / "b.wav").symlink_to(write(tmp_path / "theirs" / "b.wav"))
        with pytest.raises(UserError, match=r"its link 'b\.wav' leads out of it"):
            adding.add_noise("rain", tmp_path / "mine", tmp_path / "noise", link=link)
        assert not (tmp_path / "noise").exists()

    @pytest.mark.parametrize("step", ["shutil.copyfile", "write_sources", "NoiseCard.write", "scan_collection"])
    @pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
    @pytest.mark.parametrize("before", ["nothing", "no card", "recordings"])
    def test_what_fails_at_whatever_step_changes_nothing(self, tmp_path, monkeypatch, step, fault, before):
        write(tmp_path / "mine" / "a.wav")
        if before == "no card":
            write(tmp_path / "noise" / "recorded" / "wind" / "b.wav")
        elif before == "recordings":
            if step == "NoiseCard.write":
                pytest.skip("the card is there already")
            adding.add_noise("rain", write(tmp_path / "other" / "c.wav").parent, tmp_path / "noise")
        there = content(tmp_path / "noise")

        def fail(*arguments, **more):
            raise fault

        monkeypatch.setattr(f"ser_ops.noise.adding.{step}", fail)
        with pytest.raises((UserError, KeyboardInterrupt)):
            adding.add_noise("rain", tmp_path / "mine", tmp_path / "noise")
        assert content(tmp_path / "noise") == there
        assert (tmp_path / "noise" / "recorded").exists() is (before != "nothing")

    def test_a_category_of_any_name_is_added_to(self, tmp_path):
        for name in ("a", "b"):
            summary = adding.add_noise("before", write(tmp_path / name / f"{name}.wav").parent, tmp_path / "noise")
        assert (summary.recordings, summary.added) == (2, ["b.wav"])

    def test_one_bad_collection_does_not_end_the_list(self, tmp_path):
        write(collection(tmp_path, "good") / "rain" / "a.wav")
        write(collection(tmp_path, "taken") / "white" / "a.wav")
        collection(tmp_path, "empty")
        (tmp_path / "bare").mkdir()
        write(collection(tmp_path, "broken") / "rain" / "a.wav")
        (tmp_path / "broken" / "noise.yaml").write_text("[")
        answers = adding.list_noise(tmp_path)
        bad = {answer.name: answer.error for answer in answers if isinstance(answer, folders.UnusableFolder)}
        assert sorted(bad) == ["bare", "broken", "empty", "taken"]
        assert [answer.collection for answer in answers if isinstance(answer, adding.CategorySummary)] == ["good"]
        assert all("\n" not in error for error in bad.values())


class TestAdd:
    def test_copies_and_says_what_it_found(self, tmp_path):
        source = tmp_path / "mine"
        for number in range(3):
            write(source / f"{number}.wav", number)
        before = content(source)
        summary = adding.add_noise("rain", source, tmp_path / "noise")
        assert (summary.recordings, summary.sources, summary.seconds) == (3, 3, 1.5)
        assert summary.added == ["0.wav", "1.wav", "2.wav"]
        assert content(source) == before
        target = tmp_path / "noise" / "recorded"
        assert content(target / "rain") == before
        assert not any(path.is_symlink() for path in (target / "rain").iterdir())
        card = yaml.safe_load((target / "noise.yaml").read_text())
        assert card["name"] == "recorded" and card["synthetic"] is False
        assert [recording.recording for recording in scan_noise(tmp_path / "noise", ["recorded"])] == [
            "recorded/rain/0", "recorded/rain/1", "recorded/rain/2"]
        assert any("added 3" in line for line in summary.lines())

    def test_links(self, tmp_path):
        source = write(tmp_path / "mine" / "a.wav")
        adding.add_noise("rain", source.parent, tmp_path / "noise", link=True)
        link = tmp_path / "noise" / "recorded" / "rain" / "a.wav"
        assert link.is_symlink() and link.resolve() == source

    def test_more_of_a_category_keeps_what_was_there(self, tmp_path):
        first = write(tmp_path / "one" / "a.wav", 1)
        second = write(tmp_path / "two" / "b.wav", 2)
        adding.add_noise("rain", first.parent, tmp_path / "noise", link=True)
        summary = adding.add_noise("rain", second.parent, tmp_path / "noise")
        target = tmp_path / "noise" / "recorded" / "rain"
        assert (summary.recordings, summary.added) == (2, ["b.wav"])
        assert (target / "a.wav").is_symlink()
        assert sorted(os.listdir(target.parent)) == ["noise.yaml", "rain"]

    def test_twice_changes_nothing(self, tmp_path):
        source = write(tmp_path / "mine" / "a.wav").parent
        adding.add_noise("rain", source, tmp_path / "noise")
        before = content(tmp_path / "noise")
        summary = adding.add_noise("rain", source, tmp_path / "noise")
        assert (summary.added, summary.already) == ([], ["a.wav"])
        assert content(tmp_path / "noise") == before
        target = tmp_path / "noise" / "recorded" / "rain"
        assert adding.add_noise("rain", target, tmp_path / "noise").already == ["a.wav"]
        assert content(tmp_path / "noise") == before

    @pytest.mark.parametrize(("of_card", "of_recordings"), [
        ("CC0", "CC BY-NC 4.0"), ("CC0", "not stated"), ("CC BY-NC 4.0", "CC0"), ("not stated", "CC0")])
    def test_a_card_speaks_for_every_recording_of_its_collection(self, tmp_path, of_card, of_recordings):
        adding.add_noise("rain", write(tmp_path / "one" / "a.wav", 1).parent, tmp_path / "noise", licence=of_card)
        before = content(tmp_path / "noise")
        more = write(tmp_path / "two" / "b.wav", 2).parent
        for category in ("rain", "wind"):
            with pytest.raises(UserError, match=f"licence '{of_card}', .* has '{of_recordings}': .*--collection NAME, "
                                                f"or say --licence '{of_card}'"):
                adding.add_noise(category, more, tmp_path / "noise", licence=of_recordings)
        assert content(tmp_path / "noise") == before
        assert adding.add_noise("wind", more, tmp_path / "noise", licence=of_card).licence == of_card
        other = adding.add_noise("wind", more, tmp_path / "noise", "other", licence=of_recordings)
        assert other.licence == of_recordings

    @pytest.mark.parametrize("name", ["a.wav", "a.flac"])
    def test_another_recording_of_that_name_is_not_overwritten(self, tmp_path, name):
        adding.add_noise("rain", write(tmp_path / "one" / "a.wav", 1).parent, tmp_path / "noise")
        before = content(tmp_path / "noise")
        write(tmp_path / "two" / "0.wav", 3)
        with pytest.raises(UserError, match="rename"):
            adding.add_noise("rain", write(tmp_path / "two" / name, 2).parent, tmp_path / "noise")
        assert content(tmp_path / "noise") == before

    def test_bad_ones_are_passed_over_by_name(self, tmp_path):
        source = write(tmp_path / "mine" / "good.wav").parent
        write(source / "quiet.wav", peak=1e-5)
        (source / "broken.wav").write_bytes(b"RIFF and nothing else")
        (source / "pointer.flac").write_text("version https://git-lfs.github.com/spec/v1\n")
        write(source / "deep" / "empty.wav", seconds=0)
        summary = adding.add_noise("rain", source, tmp_path / "noise")
        assert summary.added == ["good.wav"]
        assert set(summary.skipped) == {"quiet.wav", "broken.wav", "pointer.flac", "deep/empty.wav"}
        assert "silent" in summary.skipped["quiet.wav"]
        assert any("broken.wav" in line for line in summary.lines())
        assert sorted(path.name for path in (tmp_path / "noise" / "recorded" / "rain").iterdir()) == ["good.wav"]

    def test_nothing_usable_leaves_nothing(self, tmp_path):
        source = write(tmp_path / "mine" / "quiet.wav", peak=0).parent
        with pytest.raises(UserError, match=r"quiet\.wav: silent"):
            adding.add_noise("rain", source, tmp_path / "noise")
        (source / "quiet.wav").unlink()
        with pytest.raises(UserError, match=r"\.flac"):
            adding.add_noise("rain", source, tmp_path / "noise")
        with pytest.raises(UserError, match="not a folder"):
            adding.add_noise("rain", tmp_path / "nowhere", tmp_path / "noise")
        assert not (tmp_path / "noise").exists()

    @pytest.mark.parametrize(("category", "name"), [("pink", "recorded"), ("../rain", "recorded"), ("rain", "../x")])
    def test_bad_names(self, tmp_path, category, name):
        source = write(tmp_path / "mine" / "a.wav").parent
        with pytest.raises(UserError):
            adding.add_noise(category, source, tmp_path / "noise", name)
        assert not (tmp_path / "noise").exists()

    def test_list(self, tmp_path):
        top = collection(tmp_path, "made", synthetic=True)
        write(top / "rain" / "1-7-A-1.wav")
        write(top / "rain" / "1-7-B-1.wav", 2)
        (top / "rain" / "broken.wav").write_bytes(b"nothing")
        write(top / "crowd" / "a.wav")
        crowd, rain = adding.list_noise(tmp_path)
        assert (crowd.category, crowd.recordings, crowd.sources) == ("crowd", 1, 1)
        assert (rain.recordings, rain.seconds, list(rain.skipped)) == (2, 1.0, ["broken.wav"])
        assert rain.synthetic and "synthetic" in rain.lines()[0]
        assert rain.record()["collection"] == "made"


def rows_of(categories: dict[str, list[str]]) -> list[NoiseRow]:
    return [NoiseRow(f"made/{category}/{stem}", category=category, content=f"{category}/{stem}")
            for category, stems in categories.items() for stem in stems]


made = st.dictionaries(st.sampled_from(["children", "fish_market", "railway_engine", "rain"]),
                       st.lists(st.from_regex(r"[1-5]-[0-9]{1,2}-[A-C]-1|[a-z]{1,2}", fullmatch=True), min_size=1,
                                max_size=12, unique=True), min_size=1)


class TestPartitions:
    @given(made, st.integers(0, 1000), st.randoms(use_true_random=False))
    def test_sources_stay_together_whatever_the_order(self, categories, seed, shuffler):
        rows = rows_of(categories)
        placed = {row.recording: where for row,
                  where in zip(rows, assign_noise_partitions(rows, shares(seed=seed)), strict=True)}
        of_source = defaultdict(set)
        for recording, where in placed.items():
            of_source[source_by_name(recording)].add(where)
        assert all(len(where) == 1 for where in of_source.values())
        shuffler.shuffle(rows)
        assert assign_noise_partitions(rows, shares(seed=seed)) == [placed[row.recording] for row in rows]

    @given(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.integers(1, 30), min_size=1), st.integers(0, 100),
           st.floats(0.01, 0.49), st.floats(0.01, 0.49))
    def test_every_category_has_what_it_can(self, counts, seed, validation, test):
        rows = rows_of({category: [f"{number:03d}" for number in range(count)] for category, count in counts.items()})
        settings = shares(seed=seed, noise_validation=validation, noise_test=test)
        placed = assign_noise_partitions(rows, settings)
        for category, count in counts.items():
            got = Counter(where for row, where in zip(rows, placed, strict=True) if row.category == category)
            assert got["train"] >= 1
            assert got["test"] >= 1 or count < 2
            assert got["validation"] >= 1 or count < 3
            assert abs(got["test"] - test * count) <= 1.5 or count < 4
            assert abs(got["validation"] - validation * count) <= 1.5 or count < 4

    @given(made)
    def test_held_out_goes_wholly_to_test(self, categories):
        rows = rows_of(categories)
        held = sorted(categories)[0]
        placed = assign_noise_partitions(rows, shares(held_out_noise=(held,)))
        tested = {source_by_name(row.recording) for row in rows if row.category == held}
        for row, where in zip(rows, placed, strict=True):
            if source_by_name(row.recording) in tested:
                assert where == "test"

    def test_a_source_in_two_categories_and_collections(self):
        rows = [NoiseRow(name, category=name.split("/")[1]) for name in (
            "a/train/1-7-A-1", "b/train/esc50_1-7-B-1", "a/wind/1-7-C-2", "a/wind/other", "a/train/third")]
        for seed in range(20):
            assert len(set(assign_noise_partitions(rows, shares(seed=seed))[:3])) == 1

    def test_same_content_under_two_names(self):
        rows = rows_of({"rain": [f"{number}" for number in range(8)]})
        rows[3] = replace(rows[3], content=rows[6].content)
        for seed in range(20):
            placed = assign_noise_partitions(rows, shares(seed=seed))
            assert placed[3] == placed[6]

    def test_one_sound_under_two_names(self):
        rows = rows_of({"rain": [f"{number}" for number in range(8)]})
        rows[3], rows[6] = (replace(row, sound="made/rain/3") for row in (rows[3], rows[6]))
        for seed in range(20):
            placed = assign_noise_partitions(rows, shares(seed=seed))
            assert placed[3] == placed[6]

    def test_channels_of_one_scene(self):
        rows = rows_of({"kitchen": [f"{scene}/ch{channel:02d}" for scene in "abc" for channel in range(1, 17)]})
        for seed in range(20):
            placed = assign_noise_partitions(rows, shares(seed=seed))
            assert [len(set(placed[start:start + 16])) for start in (0, 16, 32)] == [1, 1, 1]
            assert set(placed) == {"train", "validation", "test"}

    def test_a_damaged_recording_does_not_count(self):
        rows = rows_of({"rain": ["a", "b", "c"]})
        rows[1] = replace(rows[1], error="damaged", content="")
        for seed in range(20):
            placed = assign_noise_partitions(rows, shares(seed=seed))
            assert {placed[0], placed[2]} == {"train", "test"}

    def test_no_share_no_recordings(self):
        rows = rows_of({"rain": [f"{number}" for number in range(9)]})
        assert set(assign_noise_partitions(rows, shares(noise_test=0, noise_validation=0))) == {"train"}
        assert Counter(assign_noise_partitions(rows, shares(noise_validation=0)))["validation"] == 0

    def test_another_seed_is_another_partition(self):
        rows = rows_of({"rain": [f"{number}" for number in range(12)]})
        assert len({tuple(assign_noise_partitions(rows, shares(seed=seed))) for seed in range(10)}) > 5


@pytest.mark.real_speech
@pytest.mark.skipif(not SHARED.is_dir(), reason="the recordings in ../shared/noise are not here")
def test_real_recordings(tmp_path):
    for category in ("children", "fish_market", "railway_engine"):
        summary = adding.add_noise(category, SHARED / category, tmp_path, link=True)
        assert not summary.skipped
    rows = [NoiseRow(sound.recording, category=sound.category) for sound in scan_noise(tmp_path, ["recorded"])]
    random.Random(0).shuffle(rows)
    placed = {row.recording: where for row, where in zip(rows, assign_noise_partitions(rows, shares()), strict=True)}
    assert len(placed) == 19
    for pair in ("165791", "165845"):
        clips = [where for recording, where in placed.items() if pair in recording]
        assert len(clips) == 2 and len(set(clips)) == 1
    for category in ("children", "fish_market", "railway_engine"):
        assert {where for recording, where in placed.items() if f"/{category}/" in recording} == {
            "train", "validation", "test"}
