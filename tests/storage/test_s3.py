"""S3 through a real HTTP endpoint (moto's server)."""

import os
import subprocess
import sys
from pathlib import Path

import boto3
import numpy as np
import pytest
import soundfile
from moto.server import ThreadedMotoServer
from project_copy import write_settings

from ser_ops.config.services import Storage
from ser_ops.errors import UserError
from ser_ops.files import sha256
from ser_ops.storage import s3

PROJECT = Path(__file__).resolve().parents[2]
LIMITS = Storage(part_megabytes=8, parallel=4, attempts=2, longest_wait=1, timeout=5)


def bring(source, folder):
    return s3.download(source, folder, LIMITS, folder.with_name(f"{folder.name}-parts"))


@pytest.fixture(scope="module")
def endpoint():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint, monkeypatch):
    for name, value in {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "planted",
                        "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="voices")
    yield client
    for entry in client.list_objects_v2(Bucket="voices").get("Contents", []):
        client.delete_object(Bucket="voices", Key=entry["Key"])
    client.delete_bucket(Bucket="voices")


def test_a_prefix_comes_whole_and_a_second_time_only_what_is_missing(bucket, tmp_path):
    big = os.urandom(20_000_000)  # more than one part
    bucket.put_object(Bucket="voices", Key="ravdess/Actor_01/a.wav", Body=big)
    bucket.put_object(Bucket="voices", Key="ravdess/Actor_02/b.wav", Body=b"b")
    bucket.put_object(Bucket="voices", Key="ravdess2/c.wav", Body=b"c")
    files = bring("s3://voices/ravdess", tmp_path)
    assert sorted(str(file.relative_to(tmp_path)) for file in files) == ["Actor_01/a.wav", "Actor_02/b.wav"]
    assert (tmp_path / "Actor_01/a.wav").read_bytes() == big
    first = (tmp_path / "Actor_01/a.wav").stat().st_mtime_ns
    (tmp_path / "Actor_02/b.wav").write_bytes(b"half of it")
    bring("s3://voices/ravdess", tmp_path)
    assert (tmp_path / "Actor_01/a.wav").stat().st_mtime_ns == first
    assert (tmp_path / "Actor_02/b.wav").read_bytes() == b"b"


def test_one_object_by_its_name(bucket, tmp_path):
    bucket.put_object(Bucket="voices", Key="zips/ravdess.zip", Body=b"zip")
    assert bring("s3://voices/zips/ravdess.zip", tmp_path) == [tmp_path / "ravdess.zip"]


@pytest.mark.parametrize(("source", "words"), [("s3://voices/none", "nothing is there"),
                                               ("s3://no-such-bucket/x", "NoSuchBucket")])
def test_what_is_not_there_is_one_line_without_secrets(bucket, tmp_path, source, words):
    with pytest.raises(UserError, match=words) as caught:
        bring(source, tmp_path)
    assert "\n" not in str(caught.value) and "planted" not in str(caught.value)


def test_a_key_that_leads_outside_is_refused(bucket, tmp_path):
    bucket.put_object(Bucket="voices", Key="evil/../../outside.wav", Body=b"x")
    with pytest.raises(UserError, match="leads out of its folder"):
        bring("s3://voices/evil", tmp_path / "in")
    assert not (tmp_path / "outside.wav").exists()


@pytest.mark.parametrize("other", ["set/a/b.wav", "set/./a"])
def test_two_keys_for_one_place_are_refused(bucket, tmp_path, other):
    for key in ("set/a", other):
        bucket.put_object(Bucket="voices", Key=key, Body=b"x")
    with pytest.raises(UserError, match="two keys would both become a:"):
        bring("s3://voices/set", tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.fixture
def ser_ops(bucket, tmp_path):
    """The command in a folder of its own."""
    (tmp_path / "data").mkdir()
    write_settings(tmp_path)
    return lambda *command: subprocess.run([sys.executable, "-m", "ser_ops.cli", *command], cwd=tmp_path, text=True,
                                           env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True,
                                           check=False)


def test_noise_comes_from_a_bucket(bucket, tmp_path, ser_ops):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(2).normal(0, 0.1, 48000), 16000)
    for key in ("market/a.wav", "market/b.wav"):
        bucket.upload_file(str(tmp_path / "a.wav"), "voices", key)
    done = ser_ops("noise", "add", "fish_market", "s3://voices/market/a.wav")
    assert done.returncode == 0 and "1 recordings" in done.stdout, done.stderr
    added = tmp_path / "data/noise/recorded/fish_market/a.wav"
    assert sha256(added) == sha256(tmp_path / "a.wav")
    assert os.listdir(tmp_path / "state/downloads") == []


@pytest.mark.parametrize(("arguments", "words", "kept"), [
    (("corpora", "add", "ravdess", "s3://voices/set"), "s3://voices/set: no RAVDESS speech recordings", 1),
    (("corpora", "add", "ravdess", "s3://voices/set", "--link"), "cannot be linked", 0),
    (("corpora", "add", "ravdess", "s3://voices/set", "--name", "here"), "is already there", 0),
    (("noise", "add", "fish_market", "s3://voices/set"), "s3://voices/set: holds no usable recordings", 1),
    (("noise", "add", "fish_market", "s3://"), "names no bucket", 0)])
def test_what_cannot_be_brought_in_is_one_line_and_known_before_it_comes_where_it_can_be(
        bucket, tmp_path, ser_ops, arguments, words, kept):
    (tmp_path / "data/corpora/here").mkdir(parents=True)
    bucket.put_object(Bucket="voices", Key="set/notes.txt", Body=b"x")
    done = ser_ops(*arguments)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and len(errors) == 1 and "Traceback" not in done.stderr, done.stderr
    assert words in errors[0], errors
    assert len(list((tmp_path / "state").rglob("notes.txt"))) == kept, "the next try does not fetch it again"
