"""A project folder that was moved or copied: its registry goes with it, and nothing of the first one is touched."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from tracking_project import PARAMS, Project, not_worse

from ser_ops.config.params import Params
from ser_ops.doctor import servers
from ser_ops.errors import UserError
from ser_ops.files import sha256
from ser_ops.gate import promotion
from ser_ops.gate.promotion import promote
from ser_ops.tracking.models import fetch_model
from ser_ops.tracking.moved import ARTIFACTS, mend_addresses, moved_from
from ser_ops.tracking.registry import register
from ser_ops.tracking.runs import open_run
from ser_ops.tracking.server import connect

NAME = PARAMS.tracking.registered_model
STAGING = f"models:/{NAME}@staging"


def here() -> Params:
    """Settings of a project in the current folder.

    MLflow keeps what it opened by its address, and puts that into the environment: one process that changes folders
    must name the store whole each time.
    """
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    return PARAMS.model_copy(update={"tracking": PARAMS.tracking.model_copy(
        update={"uri": f"sqlite:///{Path.cwd() / 'mlflow.db'}"})})


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project with a model in staging, in a folder whose name an address cannot hold as it is."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("first") / "Große 100% Probe"
        folder.mkdir()
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        project = Project(here())
        register(here(), project.folder, project.reports)
        promote(here())
        yield folder


@pytest.fixture
def copied(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, where the test runs; the first one still stands."""
    folder = tmp_path / "copy & more"
    shutil.copytree(first, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder


def digests(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): sha256(file) for file in sorted(folder.rglob("*")) if file.is_file()}


def addresses(folder: Path) -> set[str]:
    """Every address of an artifact that the store of a folder names."""
    store = sqlite3.connect(folder / "mlflow.db")
    values = {row[0] for table, column in (("experiments", "artifact_location"), ("runs", "artifact_uri"),
                                          ("logged_models", "artifact_location"),
                                          ("model_versions", "storage_location"))
             for row in store.execute(f"SELECT {column} FROM {table}")}
    store.close()
    return {value for value in values if ARTIFACTS in value}


def use(folder: Path) -> None:
    """Answer with the model, judge it again, and log a run with a file."""
    kept = fetch_model(here(), STAGING)
    assert (kept / "weights.safetensors").is_file()
    project = Project(here(), seed=1)
    assert register(here(), project.folder, project.reports) == "2"
    with pytest.MonkeyPatch.context() as patch:     # random weights: either model may be better
        patch.setattr(promotion, "compare_with_current", not_worse)
        assert promote(here()).version == "2"
    with open_run(here(), "train", {}) as run:
        (folder / "figure").write_text("one")
        run.artifact(folder / "figure")
    assert (folder / ARTIFACTS / run.id / "artifacts" / "figure").read_text() == "one"


def test_a_copy_works_and_the_first_one_keeps_every_byte(first: Path, copied: Path, capfd) -> None:
    before = digests(first)
    assert moved_from(copied / "mlflow.db") == first
    use(copied)
    assert digests(first) == before
    assert {address.startswith((copied / ARTIFACTS).as_uri()) for address in addresses(copied)} == {True}
    said = capfd.readouterr().err
    assert said.count("was moved or copied here from") == 1 and str(first) in said
    assert moved_from(copied / "mlflow.db") is None and mend_addresses(copied / "mlflow.db") is None


def test_a_folder_that_was_moved_keeps_its_registry(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(here())         # at home where it is, and then moved
    shutil.rmtree(copied / "state", ignore_errors=True)
    there = copied.rename(copied.with_name("moved"))
    monkeypatch.chdir(there)
    use(there)
    client = mlflow.MlflowClient(here().tracking.uri)
    run = client.get_run(str(client.get_model_version(NAME, "1").run_id))
    assert Path(client.download_artifacts(run.info.run_id, "reports/gate.json")).is_file()


def test_a_copy_without_its_artifacts_is_one_line_and_nothing_is_written(first: Path, copied: Path) -> None:
    before = digests(first)
    shutil.rmtree(copied / ARTIFACTS)
    for act in (lambda: connect(here()), lambda: fetch_model(here(), STAGING), lambda: promote(here())):
        with pytest.raises(UserError, match="was copied here without its artifacts: copy") as raised:
            act()
        assert "\n" not in str(raised.value) and str(first / ARTIFACTS) in str(raised.value)
    assert digests(first) == before and addresses(copied) == addresses(first)
    shutil.copytree(first / ARTIFACTS, copied / ARTIFACTS)
    assert fetch_model(here(), STAGING)


def test_artifacts_that_are_gone_everywhere_hold_nobody_up(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(here())
    there = copied.rename(copied.with_name("moved"))
    monkeypatch.chdir(there)
    shutil.rmtree(there / ARTIFACTS)
    with open_run(here(), "train", {}) as run:
        (there / "figure").write_text("one")
        run.artifact(there / "figure")
    assert (there / ARTIFACTS / run.id).is_dir()


def test_another_way_to_the_same_folder_is_no_move(copied: Path, tmp_path: Path,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    connect(here())
    named = addresses(copied)
    (tmp_path / "link").symlink_to(copied)
    monkeypatch.chdir(tmp_path / "link")
    linked = f"sqlite:///{tmp_path / 'link' / 'mlflow.db'}"
    connect(PARAMS.model_copy(update={"tracking": PARAMS.tracking.model_copy(update={"uri": linked})}))
    assert addresses(copied) == named


def test_addresses_that_somebody_chose_stay(copied: Path) -> None:
    """On another disk, or in an object store: no folder beside the database."""
    client = connect(here())
    chosen = {"far": "s3://bucket/mlartifacts", "near": "/srv/artifacts/7"}
    for name, location in chosen.items():
        client.create_experiment(name, location)
    connect(here())
    assert {name: client.get_experiment_by_name(name).artifact_location for name in chosen} == chosen


def test_doctor_says_it_and_changes_nothing(first: Path, copied: Path) -> None:
    before = digests(copied)
    finding = next(finding for finding in servers.check_servers(copied, here()) if finding.subject == "MLflow")
    assert finding.verdict == "warning" and str(first) in finding.found and finding.mend
    assert digests(copied) == before


@pytest.mark.parametrize("content", [b"no database at all\n" * 100, b"SQLite format 3\0" + bytes(4000)])
def test_a_file_that_is_no_database_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                content: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    Path("mlflow.db").write_bytes(content)
    with pytest.raises(UserError) as raised:
        connect(here())
    assert "\n" not in str(raised.value) and Path("mlflow.db").read_bytes() == content
