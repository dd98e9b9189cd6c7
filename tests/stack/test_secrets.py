"""Every password of the team in use, some in addresses, some wrong; then each is looked for in all that was written."""

import base64
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import psutil
import pytest
import yaml
from project_copy import write_settings
from warm_programs import warm_programs

from infra.stack import Stack
from infra.stack.postgres import programs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]
PROJECT = Path(__file__).resolve().parents[2]
sys.path.append(str(PROJECT / "tests" / "training"))
from test_training_stages import project  # noqa: E402

_OURS = ("MLFLOW_", "PREFECT_", "DVC_", "AWS_", "PG", "OPTUNA_", "DASK_")
_SECRET = re.compile(r"(PASSWORD|SECRET_ACCESS_KEY|SECRET_KEY|SIGNING_KEY|AUTH_STRING)$")
PLANTED = "planted1password2that3is4wrong"
KNOWN = "experiment-whose-name-is-no-secret"


def secrets(stack: Stack) -> dict[bytes, str]:
    """What must be found nowhere, and what it is: each password as it is and as HTTP carries it."""
    found = {PLANTED.encode(): "the planted password"}
    for name, value in stack.settings.items():
        if _SECRET.search(name):
            word = value.rpartition(":")[2]
            found[word.encode()] = name
            found[base64.b64encode(f"admin:{word}".encode())] = f"{name} in base64"
    return found


@contextmanager
def watched(words: dict[bytes, str]) -> Iterator[set[str]]:
    """The command lines that held a secret while the block ran."""
    over, seen = threading.Event(), set()
    pattern = re.compile("|".join(re.escape(one.decode()) for one in words))

    def look() -> None:
        while not over.wait(0.3):
            for process in psutil.process_iter(["cmdline"]):
                line = " ".join(process.info["cmdline"] or ())
                if pattern.search(line):
                    seen.add(line)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


class Person:
    """Who works in a folder with the team's environment; all that commands say is kept."""

    def __init__(self, folder: Path, home: Path, given: dict[str, str]) -> None:
        self.folder, self.home, self.given, self.said = folder, home, given, ""

    def run(self, *command: str, code: int = 0, **changed: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        kept["PATH"] = f"{warm_programs()}{os.pathsep}{kept['PATH']}"
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=240, check=False,
                              env=kept | {"HOME": str(self.home), "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1",
                                          "DVC_SITE_CACHE_DIR": str(self.home / "dvc"), "DVC_NO_ANALYTICS": "1",
                                          "PREFECT_HOME": str(self.home / "prefect")} | self.given | changed)
        self.said += f"\n$ {' '.join(command)}\n"
        self.said += done.stdout + done.stderr
        assert done.returncode == code, f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"

    def python(self, *command: str, code: int = 0, **changed: str) -> None:
        self.run("python", *command, code=code, **changed)


@pytest.fixture
def person(stack: Stack, tmp_path: Path) -> Person:
    """A small project under git and DVC, whose remote is the team's bucket."""
    folder = project(tmp_path / "ser-ops")
    values = yaml.safe_load((folder / "params.yaml").read_text())
    values["tune"].update(trials=1, together=1)
    values["tune"]["trial"].update(epochs=1)
    values["tracking"].update(experiment=KNOWN, registered_model=tmp_path.name, timeout=3)
    write_settings(folder, values)
    home = tmp_path / "home"
    home.mkdir()
    made = Person(folder, home, stack.environment)
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "remote", "add", "-d", "team", "s3://dvc/own"]):
        made.run(*command)
    (folder / "data").mkdir()
    (folder / "data" / "speech").write_text("speech")
    return made


def everywhere(stack: Stack, person: Person) -> Iterator[tuple[str, bytes]]:
    """All that was written, by name: files, logs, databases, objects, and what was said."""
    yield "output", person.said.encode()
    for root in (person.folder, person.home, stack.folder / "logs", stack.folder / "run",
                 stack.folder / "data" / "prefect"):
        for file in root.rglob("*"):
            if file.is_file():
                yield str(file), str(file).encode() + file.read_bytes()
    own = stack.settings
    dump = subprocess.run([programs() / "pg_dumpall", "-h", "127.0.0.1", "-p", own["POSTGRES_PORT"], "-U", "postgres"],
                          env=os.environ | {"PGPASSWORD": own["POSTGRES_PASSWORD"]}, capture_output=True, check=True)
    assert b"experiments" in dump.stdout and b"flow_run" in dump.stdout and b"study" in dump.stdout
    yield "databases", dump.stdout
    there = stack.environment
    client = boto3.client("s3", endpoint_url=there["AWS_ENDPOINT_URL"], region_name="us-east-1",
                          aws_access_key_id=there["AWS_ACCESS_KEY_ID"],
                          aws_secret_access_key=there["AWS_SECRET_ACCESS_KEY"])
    for bucket in ("mlflow", "dvc"):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for one in page.get("Contents", []):
                yield f"s3://{bucket}/{one['Key']}", client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()


def test_no_secret_is_found_anywhere(stack: Stack, person: Person) -> None:
    own, words = stack.settings, secrets(stack)
    host = own["STACK_HOST"]

    def mlflow(password: str, port: str) -> str:
        return f"http://admin:{password}@{host}:{port}"

    def optuna(password: str) -> str:
        return f"postgresql://optuna:{password}@{host}:{own['POSTGRES_PORT']}/optuna"

    with watched(words) as shown:
        # Right ones, in addresses where a tool lets one write them there.
        person.python("-m", "ser_ops.stages.tune", OPTUNA_STORAGE=optuna(own["OPTUNA_PGPASSWORD"]),
                      MLFLOW_TRACKING_URI=mlflow(own["MLFLOW_TRACKING_PASSWORD"], own["MLFLOW_PORT"]))
        person.run("dvc", "add", "-q", "data/speech")
        person.run("dvc", "push", "-q")
        # Wrong ones, and servers that are not there.
        person.python("-m", "ser_ops.cli", "compare", code=1, MLFLOW_TRACKING_PASSWORD=PLANTED)
        person.python("-m", "ser_ops.cli", "compare", code=1, MLFLOW_TRACKING_URI=mlflow(PLANTED, "1"))
        person.python("-m", "ser_ops.stages.tune", code=1, OPTUNA_STORAGE=optuna(PLANTED))
        person.python("-m", "ser_ops.cli", "doctor", code=1, PREFECT_API_AUTH_STRING=f"admin:{PLANTED}",
                      PGPASSWORD=PLANTED, MLFLOW_TRACKING_PASSWORD=PLANTED, AWS_SECRET_ACCESS_KEY=PLANTED)
        person.python("-m", "ser_ops.cli", "corpora", "add", "ravdess", "s3://dvc/none", code=1,
                      AWS_SECRET_ACCESS_KEY=PLANTED)
        person.run("dvc", "push", "-q", code=255, AWS_SECRET_ACCESS_KEY=PLANTED)
        person.python("-c", "from pipelines.flows import promote_model; promote_model()", code=1,
                      MLFLOW_TRACKING_URI=mlflow(own["MLFLOW_TRACKING_PASSWORD"], "1"))
    assert not shown
    pattern = re.compile(b"|".join(re.escape(one) for one in words))
    looked, found, known = set(), set(), set()
    for name, content in everywhere(stack, person):
        looked.add(name)
        if KNOWN.encode() in content:
            known.add(name)
        found |= {f"{words[one]} in {name}" for one in pattern.findall(content)}
    assert not found
    assert {"databases", str(person.folder / "params.yaml")} <= known, "what is there is found"
    assert len(looked) > 50 and any(name.endswith("mlflow.log") for name in looked)
    for place in ("s3://mlflow", "s3://dvc"):
        assert any(name.startswith(place) for name in looked)
