"""The machinery of the growth benchmark, on corpora of a few recordings; what it measures is no test's business."""

import sys
from argparse import Namespace
from collections import Counter, defaultdict

import numpy as np
import pytest
import soundfile
import yaml

from benchmarks import page
from benchmarks.growth import choices, copies, kept, stages, verdict, words
from benchmarks.growth.__main__ import report
from benchmarks.growth.cost import Cost, cost
from benchmarks.growth.curve import best, fitted
from benchmarks.growth.stages import Measured
from ser_ops.audio.signal import measure_levels
from ser_ops.config.params import load_params
from ser_ops.corpora import leaks
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.manifest import UtteranceRow, read_rows

LIMITS = choices.load().limits


def test_curves_against_values_by_hand():
    sizes = (10, 40, 160)
    for exponent in (0.75, 1.0, 1.2, 2.0):
        curve = best(sizes, [3 + 0.02 * size**exponent for size in sizes])
        assert curve.exponent == exponent
        assert (curve.start, curve.slope) == (pytest.approx(3), pytest.approx(0.02))
        assert curve.at(640) == pytest.approx(3 + 0.02 * 640**exponent)
    assert fitted([1, 2, 3], [1, 3, 5]).start == 0              # -1 would be the line's: no stage starts before it
    with pytest.raises(ValueError, match="three"):
        best([1, 2], [1, 2])


def points_of(seconds, megabytes, stage="features"):
    return [Measured(stage, size, Cost(2 * time, time, peak), 0.5)
            for size, time, peak in zip((100, 400, 1600), seconds, megabytes, strict=True)]


def test_verdicts():
    linear, quadratic = (5.0, 8.0, 20.0), (5.0, 5.75, 17.75)
    assert verdict.growth("features", points_of(linear, (400, 410, 420)), LIMITS).faults == ()
    [fault] = verdict.growth("features", points_of(quadratic, (400, 410, 420)), LIMITS).faults
    assert "power 2 " in fault
    [fault] = verdict.growth("features", points_of(linear, (400, 700, 1900)), LIMITS).faults
    assert "1500 MB" in fault and "100 to 1600" in fault
    assert not verdict.growth("features", points_of(linear, (400, 410, 420)), LIMITS).flat
    noisy = (5.0, 5.1, 6.5)                                     # a start-up that trembles is no growth
    assert best((100, 400, 1600), noisy).exponent > 1
    assert verdict.growth("features", points_of(noisy, (400, 410, 420)), LIMITS).faults == ()


def test_extrapolation_is_checked_against_what_was_measured():
    costs = points_of((5.0, 8.0, 24.0), (1, 1, 1)) + points_of((1.0, 4.0, 16.0), (1, 1, 1), "ingest")
    costs += points_of((9.0, 9.0, 9.0), (1, 1, 1), "train")         # not asked for
    extrapolation = verdict.extrapolated(costs, ("ingest", "features"), 6400, 1600)
    # 6 and 12 s: 4 s and 0.02 s a recording
    assert (extrapolation.predicted, extrapolation.measured) == (pytest.approx(36), 40)
    assert extrapolation.error == pytest.approx(-0.1)
    assert 140 < extrapolation.cpu < 170 and extrapolation.wall == pytest.approx(2 * extrapolation.cpu)
    assert "-10.0%" in words.sentence(extrapolation, ("ingest", "features"))
    machine, grown = {"commit": "abc"}, verdict.growth("train", costs[-3:], LIMITS)
    lines = words.table(costs, [grown], machine).splitlines()
    assert lines[2] == "| features | 5.0 | 8.0 | 24.0 |  |  | 1 | 1 | 1 |  |"
    assert lines[4].startswith("| train | 9.0 | 9.0 | 9.0 | flat | ") and lines[4].endswith(" | 1 | 1 | 1 | yes |")
    assert lines[-1] == "Machine: commit abc; load while it ran 0.5 to 0.5."
    with pytest.raises(ValueError, match="two smaller"):
        verdict.extrapolated(costs, ("ingest",), 6400, 400)


@pytest.mark.parametrize("peaks", [(400, 410, 420), (400, 700, 1900)])
def test_what_is_told(tmp_path, peaks, capsys):
    """A run's answer: table, picture, page and record of the same costs; 1 and a line for what breaks a limit."""
    file = tmp_path / "docs" / "page.md"
    file.parent.mkdir()
    file.write_text("<!-- growth: by command -->\n<!-- end of growth -->\n")
    asked = Namespace(folder=tmp_path, stages=("ingest", "features"), workers=1, extrapolate=6400, check=1600,
                      plot=tmp_path / "docs" / "images" / "growth.png", page=file)
    costs = points_of((5.0, 8.0, 20.0), peaks) + points_of((1.0, 4.0, 16.0), (80, 80, 80), "ingest")
    wrong = report(asked, load_params(stages.PROJECT / "params.yaml"), choices.load(), costs, 1.9)
    record = read_json(tmp_path / "growth.json")
    assert wrong == len(record["faults"]) == int(peaks[2] == 1900)
    assert [judged["curve"]["exponent"] for judged in record["growth"]] == [1.0, 1.0]
    assert record["extrapolation"]["measured"] == 36 and record["extrapolation"]["error"] == pytest.approx(0)
    assert all(fault in capsys.readouterr().out for fault in record["faults"])
    text = file.read_text()
    assert "](images/growth.png)" in text and "| features | 5.0 | 8.0 | 20.0 | 1.00 | 4.0 |" in text
    assert (tmp_path / "docs" / "images" / "growth.png").stat().st_size > 10_000


def test_memory_of_children_counts(tmp_path):
    held = "import time; held = bytearray(%d * 10**6); time.sleep(1)"
    alone = cost((sys.executable, "-c", held % 1), tmp_path, {}, 0.02)
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {held % 150!r}], check=True)"
    both = cost((sys.executable, "-c", child), tmp_path, {}, 0.02)
    assert 150 < both.peak_mb - alone.peak_mb < 200
    assert both.wall > 1 > both.cpu > 0
    with pytest.raises(UserError, match="no such thing"):
        cost((sys.executable, "-c", "raise SystemExit('no such thing')"), tmp_path, {}, 0.02)


def test_processor_seconds_of_children_count(tmp_path):
    work = "import time\nwhile time.process_time() < 0.5: pass"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}], check=True)"
    assert cost((sys.executable, "-c", child), tmp_path, {}, 0.1).cpu > 0.5


def test_noise_beside_the_level():
    random = np.random.default_rng(1)
    speech = 0.1 * np.sin(np.arange(16000) / 20)
    added = copies.noisy(speech, -40.0, random) - speech
    assert measure_levels(added.astype(np.float32), 16000, -60).rms_dbfs == pytest.approx(-23 - 40, abs=0.2)
    quiet = np.round(copies.noisy(np.zeros(16000), -40.0, random) * 2**15)
    assert 0.8 < quiet.std() < 1.3                              # at least a step of 16 bit, or copies would be equal


def test_stages_over_copies(tmp_path, monkeypatch):
    """Twice as many recordings by other speakers; they pass the leak audit, and what a stage cost is there."""
    project = stages.PROJECT
    monkeypatch.chdir(project)
    params, chosen = load_params(), choices.load()
    originals = copies.base(params, 40, chosen.seed)
    assert originals == copies.base(params, 50, chosen.seed)[:40]
    file = copies.manifest(tmp_path, originals, 80, chosen.noise_db, chosen.seed)
    assert copies.seconds(file) == pytest.approx(2 * sum(
        soundfile.info(original.path).duration for original in originals), rel=1e-6)
    content = stages.settings(yaml.safe_load((project / "params.yaml").read_text()), chosen, 1)
    noise = params.paths.data / "noise"
    for point in stages.measured(tmp_path / "work", content, file, noise, 80, 0.02, ("ingest",)):
        rows = read_rows(tmp_path / "work" / "work" / "ingest" / "manifest.csv", UtteranceRow)
        assert (point.stage, point.recordings) == ("ingest", 80) and point.cost.peak_mb > 20
    assert not (tmp_path / "work").exists()
    assert len({row.content for row in rows}) == len(rows) == 80
    places = defaultdict(set)
    for row in rows:
        places[row.speaker].add(row.partition)
    assert all(len(paths) == 1 for paths in places.values())
    assert set.union(*places.values()) == {"train", "validation", "test"}
    assert leaks.audit_leaks(rows, [], "speaker")["clean"]
    turns = Counter(row.speaker.rpartition("-")[2] for row in rows)
    assert turns == {"0": 40, "1": 40}


def test_costs_of_the_same_run_are_kept(tmp_path):
    run, costs = {"commit": "abc", "workers": "1"}, points_of((5.0, 8.0, 20.0), (1, 2, 3))
    assert kept.read(tmp_path / "costs.json", run) == []
    kept.write(tmp_path / "costs.json", run, costs)
    assert kept.read(tmp_path / "costs.json", run) == costs
    assert kept.read(tmp_path / "costs.json", run | {"commit": "def"}) == []
    kept.write(tmp_path / "costs.json", run | {"commit": "abc-dirty"}, costs)
    assert kept.read(tmp_path / "costs.json", run | {"commit": "abc-dirty"}) == []


def test_no_room(tmp_path, monkeypatch):
    monkeypatch.chdir(stages.PROJECT)
    with pytest.raises(UserError, match="GB"):
        stages.check_space(tmp_path, load_params(), 1e12, 10**9)


def test_parts_of_a_page(tmp_path):
    file = tmp_path / "page.md"
    file.write_text("before\n<!-- growth: by command -->\nold\n<!-- end of growth -->\nafter\n")
    page.put(file, "growth", "| new |\\1\n")
    assert file.read_text() == "before\n<!-- growth: by command -->\n| new |\\1\n<!-- end of growth -->\nafter\n"
    with pytest.raises(UserError, match="0 parts"):
        page.put(file, "speed", "x")
    with pytest.raises(UserError, match="cannot be read"):
        page.around(tmp_path / "absent.md", "growth")
