"""The fuzzer: what it counts, that it repeats, and a short run of it, in which nothing may go wrong."""

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import planted_routes
import pytest
from planted_routes import MEGABYTES, PLANTED

from benchmarks.fuzz import clips, containers, routes
from benchmarks.fuzz.__main__ import jobs, kept, main, only
from benchmarks.fuzz.call import Kind, Outcome
from benchmarks.fuzz.count import Count
from benchmarks.fuzz.pool import Limits, Pool
from benchmarks.fuzz.worker import Job, make
from ser_ops.errors import UserError
from ser_ops.seeds import generator

PROJECT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(sys.platform != "linux", reason="memory is measured in Linux's /proc")]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """Three inputs through every planted route."""
    pool = Pool(planted_routes.sorts, tmp_path_factory.mktemp("planted"), 0, Limits(1.5, MEGABYTES))
    names = tuple(route.__name__ for route in PLANTED)
    return list(pool.outcomes(Job("planted", number, names) for number in range(3)))


@pytest.mark.parametrize(("route", "kind", "cause"), [
    ("answers", Kind.ANSWERED, ""),
    ("refuses", Kind.REFUSED, "is a number"),
    ("leaves_out", Kind.REFUSED, "left out"),
    ("raises", Kind.TRACEBACK, "ValueError: planted (fuzz/planted_routes.py:"),
    ("panics", Kind.TRACEBACK, "BaseException: planted"),
    ("exits", Kind.TRACEBACK, "SystemExit"),
    ("says_two_lines", Kind.UNTIDY, "one"),
    ("says_nothing", Kind.UNTIDY, ""),
    ("hangs", Kind.HANG, "no end after 1.5 s"),
    ("takes_memory", Kind.MEMORY, "MB"),
    ("grows_for_ever", Kind.MEMORY, "MB"),
    ("kills_itself", Kind.CRASH, "killed by SIGSEGV"),
    ("ends_the_process", Kind.CRASH, "exit code 3"),
    ("fills_its_folder", Kind.ANSWERED, ""),
])
def test_each_ending_is_counted_and_the_rest_of_the_job_is_done(
        planted: list[Outcome], route: str, kind: Kind, cause: str) -> None:
    ended = [outcome for outcome in planted if outcome.route == route]
    assert sorted(outcome.number for outcome in ended) == [0, 1, 2]
    assert {outcome.kind for outcome in ended} == {kind}
    assert all(cause in outcome.cause for outcome in ended)
    assert all(outcome.details.startswith("Traceback") for outcome in ended if kind is Kind.TRACEBACK)


def test_memory_and_time_are_those_of_the_call(planted: list[Outcome]) -> None:
    by_route = {outcome.route: outcome for outcome in planted}
    assert MEGABYTES < by_route["takes_memory"].megabytes < 2 * MEGABYTES
    assert by_route["answers"].megabytes < 20 and by_route["answers"].seconds < 1
    assert 1.5 <= by_route["hangs"].seconds < 10


def test_the_table_names_every_fault_and_how_to_repeat_it(planted: list[Outcome]) -> None:
    count = Count().add(planted)
    row = next(line for line in count.table().splitlines() if line.startswith("| kills_itself "))
    assert row.split(" | ")[1:9] == ["3", "0", "0", "0", "0", "0", "0", "0"] and row.split(" | ")[9] == "3"
    faults = sum(kind.fault for kind in (outcome.kind for outcome in planted))
    assert faults == len(count.faults) == 3 * 10
    assert any("killed by SIGSEGV" in line and "--only kills_itself:" in line for line in count.causes())
    assert all("\n" not in line for line in count.causes())


def test_a_route_that_refuses_what_another_answers_is_a_fault(tmp_path: Path) -> None:
    pool = Pool(planted_routes.divided, tmp_path, 0, Limits())
    job = Job("divided", 0, ("answers", "fills_its_folder", "refuses"))
    ended = {outcome.route: outcome for outcome in pool.outcomes([job])}
    assert [ended[route].kind for route in ended] == [Kind.ANSWERED, Kind.ANSWERED, Kind.DIVIDED]
    assert ended["refuses"].cause.startswith("answers answered; refuses refused: ")


@pytest.mark.parametrize(("sort", "said"), [("ends", "outside a route"), ("fails", "cannot be made\nat Job")])
def test_an_input_that_cannot_be_made_is_a_fault_of_the_fuzzer(tmp_path: Path, sort: str, said: str) -> None:
    with pytest.raises(RuntimeError, match=said):
        list(Pool(planted_routes.unmade, tmp_path, 0, Limits()).outcomes([Job(sort, 0, ("answers",))]))


def test_the_input_of_a_fault_is_kept(planted: list[Outcome], tmp_path: Path) -> None:
    known = planted_routes.sorts(tmp_path)
    assert list(kept(iter(planted), known, 0, tmp_path)) == planted
    assert (tmp_path / "raises" / "2" / "number").read_text() == str(generator(0, "planted", 2).integers(1 << 40))
    assert not (tmp_path / "answers").exists()


def digests(folder: Path) -> dict[str, str]:
    """What the first ten inputs of every sort are made of: SHA-256 by number, sort and file."""
    digest_of = {}
    for number in range(10):
        for sort in routes.sorts(folder / str(number) / "own"):
            made = make(sort, number, 0, folder / str(number) / "input")
            digest_of |= {f"{number} {sort.name} {os.fsencode(path.relative_to(made.parent))!r}":
                          hashlib.sha256(path.read_bytes()).hexdigest()
                          for path in made.parent.rglob("*") if path.is_file()}
    return digest_of


def test_inputs_are_the_same_in_another_process_and_second(tmp_path: Path) -> None:
    script = ("import json, sys; from pathlib import Path; from test_fuzz import digests; "
              "print(json.dumps(digests(Path(sys.argv[1]))))")
    there = json.loads(subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "there")], cwd=PROJECT, text=True, check=True,
        env={**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests' / 'fuzz'}"}, capture_output=True).stdout)
    import prefect.cli.deployment  # noqa: F401  (changes how PyYAML writes strings, for all of the process)
    here = digests(tmp_path / "here")
    assert {name for name, _ in there.items() ^ here.items()} == set()
    assert len(set(here.values())) > len(here) / 3


FORMATS = [*clips.ADMITTED, *clips.REFUSED]


@pytest.mark.parametrize("form", FORMATS, ids=[f"{form.suffix[1:]}-{number}" for number, form in enumerate(FORMATS)])
def test_every_format_can_be_written_and_damaged(form: clips.Format) -> None:
    for number in range(8):
        data, suffix = clips.clip([form], generator(number))
        damage = containers.known(data, suffix)
        assert len(data) > 20 and (damage is None or isinstance(damage(data, generator(number)), bytes))


def test_damage_to_pages_of_ogg_passes_their_checksum() -> None:
    import io

    import soundfile
    ogg = next(form for form in clips.ADMITTED if form.suffix == ".ogg")
    data = containers.renumbered(clips.clip([ogg], generator(3))[0], 17)
    assert data[14:18] == (17).to_bytes(4, "little")
    assert len(soundfile.read(io.BytesIO(data))[0]) > 0


def test_jobs_are_recordings_and_a_fifth_as_many_others(tmp_path: Path) -> None:
    known = routes.sorts(tmp_path / "own")
    numbers = Counter(job.sort for job in jobs(known, 10_000))
    assert numbers.pop("sound") == 10_000 and 2000 <= sum(numbers.values()) < 2000 + len(known)
    assert jobs(known, 1, ["predict"]) == [Job("sound", 0, ("predict",))]
    assert only(known, ["noise-add:17"]) == [Job("sound", 17, ("noise add",))]
    assert only(known, ["ingest:3"]) == [Job("sound", 3, ("predict", "evaluate", "ingest"))]
    with pytest.raises(UserError, match="no such route"):
        jobs(known, 1, ["listen"])
    for wrong in ("predict", "predict:x", "listen:1"):
        with pytest.raises(UserError, match="ROUTE:NUMBER"):
            only(known, [wrong])


def test_the_command_repeats_one_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(PROJECT)
    monkeypatch.setattr(sys, "argv", ["fuzz", "--only", "labels:1"])
    assert main() == 0
    assert "| labels | 1 | " in capsys.readouterr().out


def test_nothing_goes_wrong_in_a_short_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    known = routes.sorts(tmp_path / "own")
    pool = Pool(routes.ready, tmp_path, 0, Limits())
    count = Count().add(pool.outcomes(jobs(known, 200)))
    assert not count.faults, "\n".join(count.causes())
    assert set(count.rows) == {route for sort in known for route in sort.routes}
    assert all(row.ended[Kind.ANSWERED] for route, row in count.rows.items() if row.ended.total() > 50)

