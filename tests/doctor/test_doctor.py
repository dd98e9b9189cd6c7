"""ser-ops doctor in a folder that has one thing wrong at a time; nothing here needs a server."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from project_copy import write_settings
from warm_commands import run_command

from ser_ops import workspace
from ser_ops.config.params import load_params
from ser_ops.doctor.data import check_data, check_lock_files
from ser_ops.doctor.finding import Finding
from ser_ops.doctor.servers import prefect_settings

PROJECT = Path(__file__).resolve().parents[2]
NAMED = ("MLFLOW_", "PREFECT_", "AWS_", "PG", "OPTUNA_", "DASK_", "DVC_")


pytestmark = pytest.mark.slow   # each look is a process


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with params.yaml, the corpora that it lists, and DVC's view of them."""
    folder = tmp_path_factory.mktemp("project")
    write_settings(folder)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for kind in ("corpora", "noise"):
        for name in params["data"][kind]:
            (folder / "data" / kind / name).mkdir(parents=True)
            (folder / "data" / kind / name / "one").write_text(name)
    (folder / "remote").mkdir()
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"],
                    [sys.executable, "-m", "dvc", "remote", "add", "-d", "near", "remote"],
                    [sys.executable, "-m", "dvc", "add", "-q", "data"]):
        subprocess.run(command, cwd=folder, check=True, capture_output=True,
                       env={**os.environ, "DVC_NO_ANALYTICS": "1"})
    return folder


@pytest.fixture
def project(made, tmp_path):
    """A copy of that folder for one test."""
    return shutil.copytree(made, tmp_path / "project", symlinks=True)


def examined(folder: Path, *options: str, **environment: str) -> tuple[dict[str, Finding], int, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(NAMED)}
    done = run_command(folder, "doctor", "--json", *options,
                       environment=clean | {"PREFECT_HOME": str(folder), **environment})
    assert "Traceback" not in done.stderr, done.stderr
    findings = [Finding(**json.loads(line)) for line in done.stdout.splitlines()]
    named = {f"{'secrets: ' if finding.group == 'secrets' else ''}{finding.subject}": finding for finding in findings}
    return named, done.returncode, done.stdout + done.stderr


def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_sound_project_has_no_fault(project):
    findings, code, _ = examined(project)
    assert code == 0
    assert {name: finding.verdict for name, finding in findings.items() if finding.verdict not in ("ok", "off")} == {}
    assert findings["data.dvc"].verdict == "ok" and findings["MLflow"].found.startswith("sqlite:///mlflow.db")
    assert not (project / "mlflow.db").exists(), "looking must not make a database"
    (project / "state/tracking").mkdir(parents=True)
    (project / "state/tracking/0a1b.jsonl").write_text("{}\n")
    findings, code, _ = examined(project)
    assert code == 0 and "0a1b" in findings["tracking journal"].found


def test_nothing_that_is_named_answers(project):
    nowhere = port()
    findings, code, said = examined(
        project, MLFLOW_TRACKING_URI=f"http://ann:planted-1@127.0.0.1:{nowhere}", OPTUNA_STORAGE="postgresql:///optuna",
        PREFECT_API_URL=f"http://127.0.0.1:{nowhere}/api", PREFECT_API_AUTH_STRING="ann:planted-2", PGHOST="127.0.0.1",
        PGPORT=str(nowhere), PGPASSWORD="planted-3", DASK_SCHEDULER_ADDRESS=f"tcp://127.0.0.1:{nowhere}")
    assert code == 1
    for subject in ("MLflow", "Prefect", "tuning", "Dask"):
        assert findings[subject].verdict == "fault" and findings[subject].mend, subject
        assert "\n" not in findings[subject].found
    assert "planted" not in said


@pytest.mark.parametrize("address", [
    "postgresql+psycopg://ann:planted-a@127.0.0.1:1/optuna", "postgresql://ann:pl%zzanted@127.0.0.1:1/x",
    "postgresql://ann:sec@planted@127.0.0.1/x", "sqlite:///planted.db"])
def test_an_address_of_the_study_is_never_repeated(project, address):
    findings, code, said = examined(project, OPTUNA_STORAGE=address)
    assert code == 1 and findings["tuning"].verdict == "fault" and findings["tuning"].mend
    assert "planted" not in said and "anted" not in said


def test_a_login_that_is_refused_is_told_from_a_server_that_is_down(project):
    class Closed(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 401)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Closed)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        findings, _, _ = examined(project, MLFLOW_TRACKING_URI=address, PREFECT_API_URL=f"{address}/api")
    finally:
        server.shutdown()
    assert "MLFLOW_TRACKING_USERNAME" in findings["MLflow"].mend and "no login" in findings["MLflow"].found
    assert "PREFECT_API_AUTH_STRING" in findings["Prefect"].mend


def test_params_that_cannot_be_read_are_a_finding(project):
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text + "\ntran: 1\n")
    findings, code, _ = examined(project)
    assert code == 1 and "tran" in findings["params.yaml"].found + findings["params.yaml"].mend
    assert findings["Python"].verdict == "ok"


def test_recordings_that_are_gone_or_other_ones(project):
    (project / "data/corpora/synthetic_tess/one").write_text("another recording")
    assert examined(project)[0]["data.dvc"].verdict == "warning"
    shutil.rmtree(project / "data/corpora/synthetic_tess")
    findings, code, _ = examined(project)
    assert code == 1 and "synthetic_tess" in findings["data.corpora"].found
    shutil.rmtree(project / "data")
    findings, code, _ = examined(project)
    assert code == 0 and findings["data"].mend.startswith("dvc pull data.dvc"), "a fresh clone is no fault"


def test_a_manifest_that_is_not_there_and_a_checkpoint_of_other_weights(project):
    values = yaml.safe_load((project / "params.yaml").read_text())
    weights = project / "pretrained/made/model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_text("weights")
    values["data"]["manifests"] = [{"name": "mine"}]
    values["wav2vec"]["checkpoint"] = "pretrained/made"
    write_settings(project, values)
    findings, code, _ = examined(project)
    assert code == 1 and findings["data.manifests"].found.endswith("manifests: mine")
    assert findings["data.manifests"].mend.startswith("ser-ops corpora add manifest, or")
    checkpoint = findings["wav2vec.checkpoint"]
    set_it = "set wav2vec.revision in params.yaml or the preset's file to "
    assert checkpoint.verdict == "warning" and checkpoint.mend.startswith(set_it)
    values["wav2vec"]["revision"] = checkpoint.mend.removeprefix(set_it).split()[0]
    write_settings(project, values)
    assert examined(project)[0]["wav2vec.checkpoint"].verdict == "ok"


def test_credentials_in_files_are_found_and_not_shown(project):
    params = yaml.safe_load((project / "params.yaml").read_text())
    params["tracking"]["uri"] = "postgresql://ann:planted@127.0.0.1/mlflow"
    write_settings(project, params)
    with (project / ".dvc/config").open("a") as file:
        file.write("['remote \"far\"']\n    url = s3://bucket\n    secret_access_key = planted\n")
    (project / "infra").mkdir()
    (project / "infra/.env").write_text("PGPASSWORD=planted\n")
    (project / "infra/.env").chmod(0o644)
    findings, code, said = examined(project, MLFLOW_ALLOW_PICKLE_DESERIALIZATION="true")
    assert code == 1 and "planted" not in said
    verdicts = {findings[f"secrets: {name}"].verdict for name in ("params.yaml", ".dvc/config", "infra/.env")}
    assert verdicts == {"fault"}
    assert findings["secrets: MLFLOW_ALLOW_PICKLE_DESERIALIZATION"].verdict == "warning"


def test_the_active_profile_of_prefect_stands_below_the_environment(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    (tmp_path / "profiles.toml").write_text('active = "team"\n[profiles.team]\nPREFECT_API_URL = "http://team/api"\n')
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    assert prefect_settings()["PREFECT_API_URL"] == "http://team/api"
    monkeypatch.setenv("PREFECT_API_URL", "http://mine/api")
    assert prefect_settings()["PREFECT_API_URL"] == "http://mine/api"


def test_a_cut_lock_file_is_found_and_mended(project, monkeypatch):
    monkeypatch.chdir(project)
    (project / "reproduction").mkdir()
    for cut, whole in (("dvc.lock", "reproduction/dvc.lock"), ("reproduction/dvc.lock", "dvc.lock")):
        (project / whole).write_text("schema: '2.0'\nstages: {}\n")
        for content in (b"schema: '2.0'\nstages:\n  one:\n", b"schema: '2.0'\nsta", b"", b"\xff\x00", b"[" * 9000):
            (project / cut).write_bytes(content)
            findings, said = list(check_lock_files(project)), list[str]()
            assert [(finding.subject, finding.verdict) for finding in findings] == [(cut, "fault")]
            assert "doctor --mend" in findings[0].mend
            workspace.mend(said.append)
            assert not (project / cut).exists() and (project / whole).exists()
            assert said[0].startswith(f"{cut} was cut short") and list(check_lock_files(project)) == []


def test_doctor_says_that_dvc_lock_is_cut_and_mend_ends_without_a_fault(project):
    (project / "dvc.lock").write_text("schema: '2.0'\nstages:\n  one:\n    cmd")
    findings, code, _ = examined(project)
    assert code == 1 and findings["dvc.lock"].verdict == "fault" and "DVC refuses it" in findings["dvc.lock"].found
    findings, code, _ = examined(project, "--mend")
    assert code == 0 and "dvc.lock" not in findings and not (project / "dvc.lock").exists()


def test_a_damaged_file_of_the_cache_is_named_and_fetched_again(project):
    subprocess.run([sys.executable, "-m", "dvc", "push", "-q"], cwd=project, check=True, capture_output=True)
    file = next(file for file in (project / ".dvc/cache/files/md5").glob("??/*") if file.suffix != ".dir")
    sound = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(sound[:-1] + b"?")
    file.chmod(0o444)
    findings, code, _ = examined(project, "--cache")
    assert code == 1 and any("is damaged (data/" in finding.found for finding in findings.values())
    findings, code, _ = examined(project, "--mend")
    assert code == 0 and findings["DVC's cache"].verdict == "ok" and file.read_bytes() == sound


@pytest.mark.parametrize("kind", ["pipe", "hidden pipe", "link to nothing", "name that is not UTF-8"])
def test_what_can_be_no_recording_is_named_and_dvc_not_asked(project, kind):
    """DVC would wait for a pipe without end, and of the others it ends with where to get help."""
    odd = os.fsencode(project / "data/corpora/synthetic_tess") + {
        "pipe": b"/p.wav", "hidden pipe": b"/.p", "link to nothing": b"/l.wav"}.get(kind, b"/\xff.wav")
    if "pipe" in kind:
        os.mkfifo(odd)
    elif "link" in kind:
        os.symlink("nowhere", odd)
    else:
        Path(os.fsdecode(odd)).write_bytes(b"RIFF")
    began = time.monotonic()
    findings, code, said = examined(project)
    assert time.monotonic() - began < 60 and code == 1 and "Having any troubles" not in said
    finding = findings[repr(os.path.relpath(os.fsdecode(odd), project))]
    assert finding.verdict == "fault" and finding.mend
    assert {"pipe": "pipe", "hidden pipe": "no file"}.get(kind, kind[-9:]) in finding.found


def test_of_many_odd_files_three_are_named_and_the_rest_counted(project):
    for number in range(5):
        os.symlink("nowhere", project / f"data/{number}.wav")
    findings, _, _ = examined(project)
    odd = [finding for finding in findings.values() if finding.found.startswith("link to nothing")]
    assert len(odd) == 3 and "2 more" in odd[-1].found


def test_a_dvc_that_does_not_end_is_one_line(project, monkeypatch):
    def late(*_: object, **settings: float) -> None:
        raise subprocess.TimeoutExpired("dvc", settings["timeout"])

    monkeypatch.setattr(subprocess, "run", late)
    finding = list(check_data(project, load_params(project / "params.yaml")))[-1]
    assert finding.subject == "data.dvc" and finding.verdict == "fault"
    assert "dvc status did not end within 30 min" in finding.found


def test_dvc_s_own_fault_is_told_and_not_its_chatter(project):
    (project / "data.dvc").write_text("outs:\n- md5: [1\n")
    findings, code, said = examined(project)
    assert code == 1 and findings["data.dvc"].verdict == "fault" and "Having any troubles" not in said
    assert "data.dvc" in findings["data.dvc"].found


def test_looking_makes_no_folder_for_a_database(project):
    findings, _, _ = examined(project, MLFLOW_TRACKING_URI=f"sqlite:///{project}/not/here/x.db")
    assert not (project / "not").exists()
    findings, code, _ = examined(project, MLFLOW_TRACKING_URI="http://[::1")
    assert code == 1 and "Invalid IPv6" in findings["MLflow"].found
    os.mkfifo(project / "x.db")
    findings, code, _ = examined(project, MLFLOW_TRACKING_URI="sqlite:///x.db")
    assert code == 1 and "a pipe" in findings["MLflow"].found
