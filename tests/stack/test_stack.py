"""The stack as a developer starts it: it comes up, asks everyone for a password, and leaves nothing behind."""

import ipaddress
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import psutil
import psycopg2
import pytest

from infra.stack import Stack, postgres
from infra.stack.stack import SERVERS
from ser_ops.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def status(url: str, **headers: str) -> int:
    try:
        return int(urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10).status)
    except urllib.error.HTTPError as error:
        return error.code


def bucket_client(stack: Stack) -> Any:
    there = stack.environment
    return boto3.client("s3", endpoint_url=there["AWS_ENDPOINT_URL"], region_name=there["AWS_DEFAULT_REGION"],
                        aws_access_key_id=there["AWS_ACCESS_KEY_ID"],
                        aws_secret_access_key=there["AWS_SECRET_ACCESS_KEY"])


def processes(stack: Stack) -> list[psutil.Process]:
    return [psutil.Process(pid) for name in SERVERS for pid in stack.pids(name)]


def test_each_service_runs_the_command_of_the_compose_file(stack):
    for name in SERVERS:
        pid = stack.pid(name)
        assert pid
        line, command = psutil.Process(pid).cmdline(), stack.services[name].command
        assert line[-len(command) + 1:] == list(command[1:])
        assert command[0] in {Path(word).name for word in line[:2]}


def test_nothing_listens_on_other_than_loopback(stack):
    listening = [at.laddr for process in processes(stack) for at in process.net_connections(kind="inet")
                 if at.status == psutil.CONN_LISTEN]
    assert all(ipaddress.ip_address(address.ip).is_loopback for address in listening), listening
    expected = {number for name in SERVERS for number in stack.services[name].ports.values()}
    assert {address.port for address in listening} == expected


def test_no_secret_on_a_command_line_or_in_a_file_that_others_may_read(stack):
    secrets = [value for name, value in stack.settings.items() if len(value) >= 40 and "/" not in value]
    assert len(secrets) >= 10
    lines = [" ".join(process.cmdline()) for process in processes(stack)]
    assert len(lines) >= len(SERVERS) and not [line for line in lines for secret in secrets if secret in line]
    assert stack.env_file.stat().st_mode & 0o077 == 0
    for folder in ("logs", "run", "data/postgres", "data/s3"):
        assert (stack.folder / folder).stat().st_mode & 0o077 == 0, folder


def test_mlflow_and_prefect_ask_for_a_password(stack):
    there = stack.environment
    mlflow, prefect = there["MLFLOW_TRACKING_URI"], there["PREFECT_API_URL"]
    closed = [mlflow + "/api/2.0/mlflow/experiments/search?max_results=1", mlflow + "/", prefect + "/admin/version",
              mlflow + "/api/2.0/mlflow-artifacts/artifacts", prefect + "/flows/count"]
    for url in closed:
        assert status(url) == 401, url
        assert status(url, Authorization="Basic YWRtaW46d3Jvbmc=") == 401, url       # admin:wrong
    assert status(mlflow + "/health") == status(prefect + "/ready") == 200
    assert status(mlflow + "/health", Host="evil.example.org") in (200, 403)
    assert status(mlflow + "/api/2.0/mlflow/experiments/search", Host="evil.example.org") == 403


def test_postgresql_asks_for_a_password_and_keeps_services_apart(stack):
    there = stack.environment
    at = {"host": there["PGHOST"], "port": there["PGPORT"]}
    with pytest.raises(psycopg2.OperationalError, match="no password supplied"):
        psycopg2.connect(**at, user="optuna", dbname="optuna", password="")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(**at, user="postgres", dbname="postgres", password="wrong")
    own = {**at, "user": there["PGUSER"], "password": there["PGPASSWORD"]}
    psycopg2.connect(**own, dbname="optuna").close()
    for other in ("mlflow", "mlflow_auth", "prefect", "postgres"):
        with pytest.raises(psycopg2.OperationalError, match="permission denied"):
            psycopg2.connect(**own, dbname=other)


def test_the_object_store_asks_for_a_key_at_every_port(stack):
    there = stack.environment
    assert status(there["AWS_ENDPOINT_URL"] + "/mlflow?list-type=2") == 403
    key = {"aws_access_key_id": there["AWS_ACCESS_KEY_ID"], "endpoint_url": there["AWS_ENDPOINT_URL"],
           "region_name": there["AWS_DEFAULT_REGION"]}
    own = boto3.client("s3", **key, aws_secret_access_key=there["AWS_SECRET_ACCESS_KEY"])
    own.put_object(Bucket="dvc", Key="known", Body=b"what only those with a key may read")
    assert own.get_object(Bucket="dvc", Key="known")["Body"].read().startswith(b"what")
    with pytest.raises(botocore.exceptions.ClientError, match="SignatureDoesNotMatch"):
        boto3.client("s3", **key, aws_secret_access_key="wrong").get_object(Bucket="dvc", Key="known")
    filer = f"http://127.0.0.1:{stack.settings['S3_FILER_PORT']}"
    assert status(filer + "/buckets/dvc/known") in (401, 403)
    assert status(filer + "/buckets/dvc/") in (401, 403)
    assert status(f"http://127.0.0.1:{stack.settings['S3_VOLUME_PORT']}/1,01") in (400, 401, 404)


def test_a_server_that_was_killed_is_started_again_with_its_data(stack):
    store = bucket_client(stack)
    store.put_object(Bucket="dvc", Key="kept", Body=b"x" * 100_000)
    before = stack.pid("s3")
    stack.kill("s3")
    assert stack.pid("s3") is None and not stack.pids("s3")
    assert stack.start() == ["s3"]
    assert stack.pid("s3") != before
    assert store.get_object(Bucket="dvc", Key="kept")["Body"].read() == b"x" * 100_000
    store.put_object(Bucket="dvc", Key="new", Body=b"y")


def test_on_a_small_disk_every_bucket_takes_objects(stack_folder):
    """SeaweedFS gives a bucket several volumes at once: counted against the disk, the first bucket had them all."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500m", "tmpfs", str(stack_folder)],
                             capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    stack = Stack(stack_folder, ["s3"])
    try:
        stack.start()
        store, sound = bucket_client(stack), os.urandom(1_000_000)
        for name in ("voices", "noises", "models"):
            store.create_bucket(Bucket=name)
            store.put_object(Bucket=name, Key="sound", Body=sound)
            assert store.get_object(Bucket=name, Key="sound")["Body"].read() == sound
    finally:
        stack.kill()
        subprocess.run(["umount", "--lazy", str(stack_folder)], check=True)


@pytest.fixture
def command(stack_folder: Path) -> Iterator["Command"]:
    command = Command(stack_folder)
    yield command
    Stack(stack_folder).kill()


class Command:
    """`python -m infra.stack` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def line(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "infra.stack", words[0], "--folder", str(self.folder), *words[1:]]

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(self.line(*words), cwd=PROJECT, capture_output=True, text=True, timeout=120)
        assert not check or done.returncode == 0, done.stderr
        return done

    def processes(self) -> list[psutil.Process]:
        """Whatever runs with this folder in its command line or environment."""
        return [one for one in psutil.process_iter() if self._is_mine(one)]

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            return process.pid != os.getpid() and str(self.folder) in " ".join(
                [*process.cmdline(), *process.environ().values()])
        except psutil.Error:
            return False


def test_up_twice_and_down_leaves_nothing(command):
    assert command.run("up", "postgres").stdout.startswith("up: postgres\n")
    assert command.run("up", "postgres").stdout.startswith("up already: postgres\n")
    state = command.run("status", check=False)
    assert state.returncode == 1 and "mlflow       down" in state.stdout     # not all of it runs
    given = dict(line.split("=", 1) for line in command.run("env").stdout.splitlines())
    with socket.create_connection((given["PGHOST"], int(given["PGPORT"]))):
        pass
    assert command.processes()
    assert command.run("down").stdout == "down: postgres\n"
    assert not command.processes() and not list((command.folder / "run").iterdir())
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((given["PGHOST"], int(given["PGPORT"])))
    assert command.run("down").stdout == "nothing was up\n"


def test_what_a_killed_up_has_started_ends_with_down(command):
    starting = subprocess.Popen(command.line("up", "postgres", "s3"), cwd=PROJECT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (command.folder / "run" / "s3.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    starting.send_signal(signal.SIGKILL)
    starting.wait()
    assert command.processes()
    command.run("down")
    assert not command.processes()


def test_a_port_that_is_taken_is_one_line(command):
    port = Stack(command.folder).services["postgres"].ports["POSTGRES_PORT"]
    with socket.create_server(("127.0.0.1", port)):
        done = command.run("up", "postgres", check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == (f"infra.stack: postgres: port {port} is taken: end what listens there, or set "
                                   f"POSTGRES_PORT in {command.folder / '.env'}")
    assert not command.processes()


def test_a_service_that_ends_at_once_says_why_and_the_others_end_too(command):
    stack = Stack(command.folder)
    (stack.folder / "data" / "s3").mkdir(parents=True)
    (stack.folder / "data" / "s3" / "filerldb2").write_text("a file where SeaweedFS wants a folder")
    done = command.run("up", "postgres", "s3", check=False)
    assert done.returncode == 1 and done.stderr.startswith("infra.stack: s3: ended with ")
    assert len(done.stderr.splitlines()) == 1 and str(stack.log("s3")) in done.stderr
    assert not command.processes()


def test_without_postgresql_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(postgres, "_DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="PostgreSQL is not installed: apt-get install postgresql"):
        postgres.programs()
