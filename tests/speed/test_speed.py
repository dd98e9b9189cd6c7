"""The benchmark command: what makes a row hold, the table, floors, and its short form over the embedded corpus."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from project_copy import write_settings

from benchmarks.speed import machine, measure, table
from benchmarks.speed.__main__ import measured
from benchmarks.speed.case import CASES, Case, Row, Setting
from ser_ops.config.params import load_params
from ser_ops.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]
RATIOS = ("features", "pitch", "quadruplets", "validation", "epoch", "loop")


def a_row(**changes: object) -> Row:
    return Row(**({"name": "work", "unit": "items", "ours": 60.0, "peer": 10.0, "asked": 6.0} | changes))


def test_a_row_holds_while_the_ratio_is_there_and_results_are_equal() -> None:
    assert a_row().ratio == 6 and a_row().holds()
    assert not a_row(ours=59.0).holds() and a_row(ours=30.0).holds(0.5) and not a_row(ours=29.0).holds(0.5)
    assert not a_row(equal=False).holds() and not a_row(fails="too much memory").holds()
    assert a_row(peer=None, asked=None).holds() and a_row(floor=120.0).share == 0.5


def test_what_falls_short_is_measured_again_and_a_fault_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting(load_params(PROJECT / "params.yaml"), (), (), Path())
    case = CASES[0]

    def answers(*measurements: list[Row]) -> tuple[list[Row], int]:
        left = list(measurements)
        monkeypatch.setattr(Case, "run", lambda case, setting: iter(left.pop(0)))
        return measured(case, setting, 0.5, 3), len(left)

    slow, quick, wrong = a_row(ours=20.0), a_row(ours=31.0), a_row(ours=90.0, equal=False)
    assert answers([quick], [slow]) == ([quick], 1)
    assert answers([slow], [quick], [slow]) == ([quick], 1)
    assert answers([quick, slow], [slow, quick]) == ([quick, quick], 0)
    assert answers([slow], [slow], [slow], [quick]) == ([slow], 1)
    assert answers([wrong], [quick], [quick]) == ([wrong], 0)
    assert answers([slow], [wrong], [quick]) == ([wrong], 0)


def test_the_table_says_what_fails(tmp_path: Path) -> None:
    rows = [a_row(floor=120.0, between="much"), a_row(name="slow", ours=0.5, equal=False, apart="a lot")]
    table.write(tmp_path, rows, {"cores": "1"}, {"copied": 2e9})
    text = (tmp_path / "speed.md").read_text()
    assert "| work (items) | 60/s | 10/s | 6.00 | 6 | 120/s | 50% |  | yes |" in text
    assert "| slow (items) | 2 s | 10/s | 0.05 | 6 |  |  | NO a lot | NO |" in text and "copied 2e+09/s" in text
    content = json.loads((tmp_path / "speed.json").read_text())
    assert [row["holds"] for row in content["rows"]] == [True, False] and content["rows"][0]["ratio"] == 6


def test_turns_alternate_and_the_quickest_counts() -> None:
    calls: list[str] = []
    readings = iter([0, 3, 10, 14, 20, 21, 30, 38, 40, 42, 50, 55])     # ours 3, 1, 2 seconds; the peer's 4, 8, 5
    timings = measure.by_turns(lambda: calls.append("ours"), lambda: calls.append("peer"), 3, lambda: next(readings))
    assert calls == ["ours", "peer"] * 4
    assert timings.rates(8) == (8, 2)


def test_a_core_does_more_small_transforms_than_large_ones() -> None:
    assert machine.ffts(256) > 2 * machine.ffts(4096) > 0


def test_files_are_spread_over_the_corpus(tmp_path: Path) -> None:
    for index in range(100):
        (tmp_path / f"{index:03d}.wav").touch()
    setting = Setting(load_params(PROJECT / "params.yaml"), (tmp_path,), (), tmp_path)
    assert [path.stem for path in setting.some(4)] == ["000", "025", "050", "075"]
    with pytest.raises(UserError, match="--corpus"):
        _ = Setting(setting.params, (tmp_path / "none",), (), tmp_path).files


def test_pitch_is_judged_by_what_it_is() -> None:
    """A voice against itself and against its exact shift, so that the benchmark would see a wrong one."""
    from benchmarks.speed.pitch import RATIO, median_ratio
    from benchmarks.speed.voices import voice

    low, high = voice(1)[0], voice(1, RATIO)[0]
    assert median_ratio([low], [high]) == pytest.approx(RATIO, rel=0.003)
    assert median_ratio([low], [low]) == pytest.approx(1)


def test_features_are_judged_by_the_worst_row() -> None:
    from benchmarks.speed.features import apart

    values = np.random.default_rng(0).standard_normal((2, 3, 50))
    other = values.copy()
    other[1, 2, 7] += 0.1 * values.std((0, 2))[2]
    assert apart(other, values) == pytest.approx(0.1)


def test_every_case_has_a_name_of_its_own_and_a_module() -> None:
    assert len({case.name for case in CASES}) == len(CASES) and set(RATIOS) <= {case.name for case in CASES}
    for case in CASES:
        assert (PROJECT / "benchmarks" / "speed" / f"{case.module}.py").exists()


def test_the_smallest_settings_of_a_whole_pipeline_are_settings(tmp_path: Path) -> None:
    from benchmarks.speed.repro import SMALL

    content = yaml.safe_load((PROJECT / "params.yaml").read_text())
    for section, values in SMALL.items():
        content[section].update(values)
    write_settings(tmp_path, content)
    assert load_params(tmp_path / "params.yaml").behave.utterances == SMALL["behave"]["utterances"]


@pytest.mark.slow
def test_no_ratio_has_fallen_by_half(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-m", "benchmarks.speed", "--short", "--out", tmp_path, "--only", *RATIOS],
                         cwd=PROJECT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = json.loads((tmp_path / "speed.json").read_text())["rows"]
    assert len(rows) == 4 + 2 * 2 + 2 and all(row["equal"] for row in rows)
