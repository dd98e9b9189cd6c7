"""A disk that is full, and one that takes no larger files: one clear line each, and nothing half left.

The disk is a small one in memory where this account may mount one, and everywhere a limit to the size of files.
"""

import os
import subprocess
import sys
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from project_copy import write_settings

from ser_ops import workspace

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
PROJECT = Path(__file__).resolve().parents[2]
MB = 1_000_000
LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)); "
COMMAND = "import sys; from ser_ops.cli import main; sys.argv[0] = 'ser-ops'; main()"
CHECKPOINT = """
import torch
from pathlib import Path
from ser_ops.errors import UserError
from ser_ops.training.checkpoint import load, save
from ser_ops.training.history import Epoch
small, large = {"a": torch.zeros(1000)}, {"a": torch.zeros(1_500_000)}
epochs = [Epoch(**{**EPOCH, "epoch": number}) for number in (1, 2)]
"""


@pytest.fixture(params=["full disk", "file limit"])
def disk(request, tmp_path):
    """A folder on it, and how Python code is run there."""
    folder, small = tmp_path / "disk", request.param == "full disk"
    folder.mkdir()
    if small:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(folder)], capture_output=True,
                                 text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    (folder / "workspace/data").mkdir(parents=True)
    write_settings(folder / "workspace")

    def run(code, *arguments):
        return subprocess.run([sys.executable, "-c", ("" if small else LIMITED) + code, *arguments],
                              cwd=folder / "workspace", capture_output=True, text=True, check=False,
                              env={**workspace.environment(), "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1",
                                   "DVC_SITE_CACHE_DIR": str(tmp_path / "site")})
    yield folder / "workspace", run, small
    if small:
        subprocess.run(["umount", str(folder)], check=True)


def one_line(done, where):
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    assert where in lines[0] and "free space" in lines[0] and "run the same command again" in lines[0], lines[0]
    return lines[0]


@pytest.fixture
def recordings(tmp_path):
    """Eight recordings of 1.2 MB each, where there is space."""
    folder = tmp_path / "given/Actor_01"
    folder.mkdir(parents=True)
    for code in range(1, 9):
        (folder / f"03-01-{code:02d}-01-01-01-01.wav").write_bytes(os.urandom(1_200_000))
    return folder.parent


def test_a_corpus_that_does_not_fit_leaves_nothing(disk, recordings):
    folder, run, small = disk
    done = run(COMMAND, "corpora", "add", "ravdess", str(recordings))
    if small:
        assert "GB are needed and" in done.stderr and done.returncode == 1, "known before a byte is copied"
    else:
        assert "File too large" in one_line(done, "data/corpora/ravdess")
    assert not list((folder / "data").rglob("*.wav")) and not list((folder / "data").rglob(".*"))


@pytest.fixture
def bucket(recordings, monkeypatch):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test",
                        "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    client = boto3.Session().client("s3")
    client.create_bucket(Bucket="voices")
    for file in recordings.rglob("*.wav"):
        client.upload_file(str(file), "voices", f"set/Actor_01/{file.name}")
    yield
    server.stop()


def test_a_corpus_from_a_bucket_that_does_not_fit_is_said_and_nothing_taken_for_whole(disk, bucket):
    folder, run, _ = disk
    one_line(run(COMMAND, "corpora", "add", "ravdess", "s3://voices/set"), "state/downloads/")
    assert list((folder / "data").iterdir()) == [] and not list(folder.rglob("*.wav"))


def test_recordings_that_do_not_fit_are_not_half_pulled(disk, recordings, tmp_path):
    folder, run, _ = disk
    source = tmp_path / "source"
    source.mkdir()
    (recordings / "Actor_01").rename(source / "data")
    for command in (("init", "--no-scm"), ("add", "data"), ("remote", "add", "-d", "r", str(tmp_path / "remote")),
                    ("push",)):
        subprocess.run([sys.executable, "-m", "dvc", *command, "-q"], cwd=source, check=True,
                       env={**workspace.environment(), "DVC_SITE_CACHE_DIR": str(tmp_path / "site")})
    (folder / "data").rmdir()
    (folder / ".dvc").mkdir()
    for name in ("data.dvc", ".dvc/config"):
        (folder / name).write_bytes((source / name).read_bytes())
    done = run("import sys; from ser_ops import workspace; from ser_ops.errors import UserError\n"
               "try:\n    workspace.pull()\n"
               "except UserError as error:\n    sys.exit(f'error: {error}')")
    assert "error: data: 9.6 MB are needed here" in one_line(done, "data: ")
    assert not (folder / "data").exists() and not list(folder.rglob(".*.tmp"))


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(disk):
    folder, run, _ = disk
    from ser_ops.training.history import Epoch
    fields = dict.fromkeys(Epoch.__dataclass_fields__, 0.5)
    done = run(CHECKPOINT.replace("EPOCH", repr(fields)) + """
save(Path("state"), "mark", small, small, epochs[:1])
try:
    save(Path("state"), "mark", large, large, epochs)
except UserError as error:
    print("error:", error)
print(load(Path("state"), "mark").history[-1].epoch)
""")
    error, epoch = done.stdout.splitlines()
    assert "the checkpoint of epoch 2 cannot be written" in error and "free space" in error and epoch == "1"
    assert os.listdir(folder / "state") == ["epoch-0001"]
