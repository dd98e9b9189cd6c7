"""Objects from the real store, on good days and bad ones: whole, checked, and on from where it was cut."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import boto3
import numpy as np
import pytest
import soundfile
import yaml
from boto3.s3.transfer import TransferConfig
from faulty_s3 import faulty
from project_copy import write_settings

from ser_ops.config.services import Storage
from ser_ops.errors import UserError
from ser_ops.files import sha256
from ser_ops.storage import s3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
PROJECT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
LIMITS = Storage(part_megabytes=1, parallel=4, attempts=4, longest_wait=0.2, timeout=5)
SOUND = random.Random(1).randbytes(5 * MIB + 12345)     # six parts


@pytest.fixture
def bucket(stack, monkeypatch):
    """A client of the store, and an empty bucket `voices` in it."""
    for name, value in stack.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    client = boto3.Session().client("s3")
    client.create_bucket(Bucket="voices")
    yield client
    for one in client.list_objects_v2(Bucket="voices").get("Contents", []):
        client.delete_object(Bucket="voices", Key=one["Key"])
    client.delete_bucket(Bucket="voices")


@pytest.fixture
def bad_day(bucket, monkeypatch):
    """The store behind a proxy: what is to go wrong, and what was asked."""
    with faulty(os.environ["AWS_ENDPOINT_URL"]) as (address, faults):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield faults


def bring(folder, source="s3://voices/set", limits=LIMITS):
    return s3.download(source, folder / "whole", limits, folder / "parts")


def upload(client, key="set/big.wav", content=SOUND, **extra):
    """In parts of 5 MiB, as large files come into a bucket."""
    file = Path("/dev/shm") / f"upload-{os.getpid()}"
    try:
        file.write_bytes(content)
        client.upload_file(str(file), "voices", key, ExtraArgs=extra,
                           Config=TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB))
    finally:
        file.unlink()


@pytest.mark.parametrize("how", ["one piece", "parts", "parts with SHA-256", "no checksum"])
def test_objects_come_whole_however_they_were_uploaded(bucket, tmp_path, how):
    if how == "one piece":
        bucket.put_object(Bucket="voices", Key="set/big.wav", Body=SOUND)
    else:
        upload(bucket, **({"ChecksumAlgorithm": "SHA256"} if how.endswith("256") else {}))
    for key, body in {"set/a/empty.wav": b"", "set/b.wav": b"b", "settled.wav": b"another"}.items():
        bucket.put_object(Bucket="voices", Key=key, Body=body)
    files = bring(tmp_path)
    assert {str(file.relative_to(tmp_path / "whole")): file.read_bytes() for file in files} == {
        "big.wav": SOUND, "a/empty.wav": b"", "b.wav": b"b"}
    assert os.listdir(tmp_path / "parts") == ["journal"]


def test_overloaded_and_cut_the_object_comes_with_no_part_twice(bucket, bad_day, tmp_path):
    upload(bucket)
    bad_day.slow_down, bad_day.cut = 3, 5
    (file,) = bring(tmp_path)
    assert file.read_bytes() == SOUND
    starts = [int(asked.removeprefix("bytes=").split("-")[0]) for _, _, asked in bad_day.objects()]
    assert sum(start % MIB != 0 for start in starts) == 5, "each cut goes on in the middle of its part"
    assert len(starts) <= 6 + 5 + 3


def test_a_store_that_stays_overloaded_is_one_line_and_what_came_is_kept(bucket, bad_day, tmp_path):
    upload(bucket)
    bad_day.before = lambda number: setattr(bad_day, "slow_down", -1 if number == 3 else 0)
    with pytest.raises(UserError, match="the store is overloaded: run the same command later") as caught:
        bring(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "whole").exists(), "nothing is taken for whole"
    bad_day.before, bad_day.slow_down, before = None, 0, len(bad_day.objects())
    assert bring(tmp_path)[0].read_bytes() == SOUND
    assert len(bad_day.objects()) - before < 6, "some parts were here"


def test_cut_each_time_with_nothing_coming_ends(bucket, bad_day, tmp_path):
    bucket.put_object(Bucket="voices", Key="set/b.wav", Body=b"b")     # half of one byte is none
    bad_day.cut = -1
    began = time.monotonic()
    with pytest.raises(UserError, match="was cut 4 times and nothing came"):
        bring(tmp_path)
    assert time.monotonic() - began < 20 and len(bad_day.objects()) == 4


@pytest.mark.parametrize("size", [1000, len(SOUND)])
def test_a_flipped_bit_is_found_and_fetched_again(bucket, bad_day, tmp_path, size):
    upload(bucket, content=SOUND[:size])
    bad_day.flip = 1
    assert bring(tmp_path)[0].read_bytes() == SOUND[:size]
    assert bad_day.flip == 0
    bad_day.flip = -1
    with pytest.raises(UserError, match="differ from the store's checksum, twice"):
        bring(tmp_path / "other")
    assert not (tmp_path / "other/whole/big.wav").exists()


def test_an_object_changed_between_its_parts_is_not_mixed(bucket, bad_day, tmp_path):
    other = random.Random(2).randbytes(len(SOUND))
    upload(bucket)
    bad_day.before = lambda number: upload(bucket, content=other) if number == 4 else None
    with pytest.raises(UserError, match="was changed during the download"):
        bring(tmp_path)
    bad_day.before = None
    assert bring(tmp_path)[0].read_bytes() == other, "the same command brings the new one whole"
    upload(bucket)
    assert bring(tmp_path)[0].read_bytes() == SOUND, "and notices a change after it, of the same size"


def test_parts_damaged_on_this_disk_come_again(bucket, bad_day, tmp_path):
    upload(bucket)
    (file,) = bring(tmp_path)
    file.write_bytes(SOUND[:3 * MIB] + b"x" + SOUND[3 * MIB + 1:])
    before = len(bad_day.objects())
    assert bring(tmp_path)[0].read_bytes() == SOUND
    assert [asked for _, _, asked in bad_day.objects()[before:]] == [f"bytes={3 * MIB}-{4 * MIB - 1}"]


@pytest.mark.parametrize(("change", "words"), [
    ({"AWS_SECRET_ACCESS_KEY": "planted-secret"}, "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ({"AWS_ENDPOINT_URL": "http://user:planted-secret@127.0.0.1:9"}, "check AWS_ENDPOINT_URL"),
    ({"AWS_ENDPOINT_URL": "no-address"}, "write AWS_ENDPOINT_URL as")])
def test_wrong_settings_are_one_line_without_secrets(bucket, tmp_path, monkeypatch, change, words):
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=words) as caught:
        bring(tmp_path)
    assert "\n" not in str(caught.value) and "planted-secret" not in str(caught.value)


@pytest.fixture
def workspace(tmp_path):
    """A folder with params.yaml where a corpus can be brought in, and the recordings of one."""
    folder = tmp_path / "workspace"
    (folder / "data").mkdir(parents=True)
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    params["storage"] |= {"part_megabytes": 1, "parallel": 1}
    write_settings(folder, params)
    return folder


def corpora_add(workspace, *arguments, **options):
    command = [sys.executable, "-m", "ser_ops.cli", "corpora", "add", *arguments, "--json"]
    return subprocess.Popen(command, cwd=workspace, env={**os.environ, "PYTHONPATH": str(PROJECT)}, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_killed_corpora_add_goes_on_with_what_it_has(bucket, bad_day, workspace, tmp_path, kind):
    """Eight recordings of 0.9 MB, or one zip of seven parts, one after another; killed in the middle of the sixth."""
    rng, given = np.random.default_rng(1), tmp_path / "Actor_01"
    given.mkdir()
    for code in range(1, 9):
        soundfile.write(given / f"03-01-{code:02d}-01-01-01-01.wav", rng.normal(0, 0.05, 450_000), 16000)
    if kind == "folder":
        for file in given.iterdir():
            bucket.upload_file(str(file), "voices", f"set/Actor_01/{file.name}")
    else:
        upload(bucket, "set.zip", Path(shutil.make_archive(str(tmp_path / "set"), "zip", given)).read_bytes())
    source, pieces = {"folder": ("s3://voices/set", 8), "zip": ("s3://voices/set.zip", 7)}[kind]
    bad_day.before = lambda number: time.sleep(30 if number == 6 else 0)
    process = corpora_add(workspace, "ravdess", source, start_new_session=True)
    while len(bad_day.objects()) < 6:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (workspace / "data/corpora").exists()
    bad_day.before, before = None, len(bad_day.objects())
    process = corpora_add(workspace, "ravdess", source)
    answer, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert json.loads(answer)["found"] == 8
    assert len(bad_day.objects()) - before == pieces - 5, "five had come"
    for file in given.iterdir():
        assert sha256(workspace / "data/corpora/ravdess/Actor_01" / file.name) == sha256(file)
    assert os.listdir(workspace / "state/downloads") == [], "what was fetched for it is gone"


def test_two_commands_do_not_bring_the_same_at_once(bucket, tmp_path):
    bucket.put_object(Bucket="voices", Key="set/b.wav", Body=b"b")
    with (s3.downloaded("s3://voices/set", tmp_path, LIMITS) as folder,
          pytest.raises(UserError, match="another process is downloading it"),
          s3.downloaded("s3://voices/set", tmp_path, LIMITS)):
        pass
    assert folder.name == "set"


def test_a_zip_comes_as_a_file(bucket, tmp_path):
    upload(bucket, key="sets/ravdess.zip")
    with s3.downloaded("s3://voices/sets/ravdess.zip", tmp_path, LIMITS) as file:
        assert file.name == "ravdess.zip"
        assert hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(SOUND).digest()
    assert os.listdir(tmp_path) == []
