"""A team's recordings in a bucket: pushed from one clone, pulled into another that has address and credentials only."""

import os
import random
import shutil
import subprocess
from pathlib import Path

import boto3
import pytest
from faulty_s3 import faulty
from warm_programs import warm_programs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
PROJECT = Path(__file__).resolve().parents[2]
PULL = "from ser_ops import workspace; workspace.pull()"


class Clone:
    """A clone with an environment of its own: a new home, the store's address and credentials, nothing else."""

    def __init__(self, folder: Path, given: dict[str, str]) -> None:
        self.folder, self.home, self.given = folder / "ser-ops", folder / "home", given
        self.home.mkdir(parents=True)

    def run(self, *command: str, check: bool = True, **given: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{warm_programs()}{os.pathsep}{os.environ['PATH']}",
                       "HOME": str(self.home), "DVC_SITE_CACHE_DIR": str(self.home / "dvc"), "DVC_NO_ANALYTICS": "1",
                       "PYTHONPATH": str(PROJECT), "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t",
                       "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t", **self.given, **given}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def recordings(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in sorted((self.folder / "data").iterdir())}

    def pull(self, check: bool = True, **given: str) -> subprocess.CompletedProcess[str]:
        """As the flows do it."""
        return self.run("python", "-c", PULL, check=check, **given)


@pytest.fixture(scope="module")
def given(stack):
    return {name: value for name, value in stack.environment.items() if name.startswith("AWS_")}


@pytest.fixture(scope="module")
def store(given):
    return boto3.client("s3", endpoint_url=given["AWS_ENDPOINT_URL"], aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
                        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"], region_name="us-east-1")


@pytest.fixture(scope="module")
def first(given, store, tmp_path_factory):
    """The first machine: the project's own DVC settings with the team's remote as default, and recordings pushed."""
    clone = Clone(tmp_path_factory.mktemp("first"), given)
    (clone.folder / ".dvc").mkdir(parents=True)
    (clone.folder / "data").mkdir()
    for name in ("params.yaml", ".gitignore", ".dvc/config", ".dvc/.gitignore"):
        shutil.copy(PROJECT / name, clone.folder / name)
    shutil.copytree(PROJECT / "presets", clone.folder / "presets")
    draw = random.Random(3)
    for number in range(12):
        (clone.folder / f"data/{number}.wav").write_bytes(draw.randbytes(200_000))
    (clone.folder / "data/long.wav").write_bytes(draw.randbytes(12_000_000))
    for command in (("git", "init", "-q", "-b", "main"), ("dvc", "remote", "default", "team"),
                    ("dvc", "add", "-q", "data"), ("dvc", "push"), ("git", "add", "-A"), ("git", "commit", "-qm", "a")):
        clone.run(*command)
    return clone


@pytest.fixture
def second(first, given, tmp_path):
    clone = Clone(tmp_path, given)
    subprocess.run(["git", "clone", "-q", str(first.folder), str(clone.folder)], check=True)
    return clone


def test_a_second_clone_pulls_with_the_environment_alone(first, second, given):
    assert not (second.folder / "data").exists()
    second.pull()
    assert second.recordings() == first.recordings()
    secrets = [given[name].encode() for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")]
    for machine in (first, second):
        files = [file for place in (machine.folder, machine.home) for file in place.rglob("*") if file.is_file()]
        assert len(files) > 30
        for file in files:
            assert not any(secret in file.read_bytes() for secret in secrets), file


@pytest.mark.parametrize(("change", "words"), [
    ({"AWS_SECRET_ACCESS_KEY": "planted-secret"}, ("403", "Forbidden", "denied", "SignatureDoesNotMatch")),
    ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}, ("Could not connect",))])
def test_wrong_credentials_and_a_store_that_is_away_are_said_without_secrets(second, given, change, words):
    done = second.pull(check=False, **change)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode and last.startswith("ser_ops.errors.UserError: dvc pull"), done.stderr
    assert any(word in last for word in words), last
    for secret in ("planted-secret", given["AWS_SECRET_ACCESS_KEY"]):
        assert secret not in done.stdout + done.stderr
    assert not (second.folder / "data").exists()


def test_overloaded_and_cut_dvc_brings_all_or_says_so(first, second, given):
    with faulty(given["AWS_ENDPOINT_URL"]) as (address, faults):
        faults.slow_down, faults.cut = 3, 3
        for _ in range(3):      # the flows' task is tried three times too
            done = second.pull(check=False, AWS_ENDPOINT_URL=address)
            if done.returncode == 0:
                break
            assert not (second.folder / "data").exists(), "all or nothing"
        assert done.returncode == 0, done.stdout + done.stderr
        assert faults.slow_down == faults.cut == 0
    assert second.recordings() == first.recordings()


def test_half_a_file_in_the_bucket_is_named_and_mended_by_a_push(first, second, store):
    name = (first.folder / "data.dvc").read_text().split("md5: ")[1].split(".dir")[0]
    listing = f"files/md5/{name[:2]}/{name[2:]}.dir"
    key = next(one["Key"] for one in store.list_objects_v2(Bucket="dvc", Prefix="ser-ops/files/md5")["Contents"]
               if one["Size"] == 12_000_000)
    whole = store.get_object(Bucket="dvc", Key=key)["Body"].read()
    store.put_object(Bucket="dvc", Key=key, Body=whole[:6_000_000])
    done = second.pull(check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode and "data/long.wav: 1 files are not, or not whole, in the DVC remote" in last, done.stderr
    assert key.removeprefix("ser-ops/") in last and listing in last and not (second.folder / "data").exists()
    for one in (key, f"ser-ops/{listing}"):     # what the line says
        store.delete_object(Bucket="dvc", Key=one)
    first.run("dvc", "push")
    second.pull()
    assert second.recordings() == first.recordings()


def test_a_damaged_cache_file_is_named_and_fetched_from_the_bucket(first, second):
    second.pull()
    file = next(file for file in (second.folder / ".dvc/cache/files/md5").rglob("*") if file.is_file()
                and file.stat().st_size == 12_000_000)
    file.chmod(0o644)
    with file.open("r+b") as opened:
        opened.seek(5_000_000)
        opened.write(b"damaged!")
    file.chmod(0o444)
    shutil.rmtree(second.folder / "data")
    done = second.pull()
    assert f"{file.name} (data/long.wav) is damaged: fetched again" in done.stdout
    assert second.recordings() == first.recordings()
