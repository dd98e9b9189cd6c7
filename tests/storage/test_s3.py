"""S3 through a real HTTP endpoint (moto's server)."""

import os

import boto3
import pytest
from moto.server import ThreadedMotoServer

from ser_ops import storage
from ser_ops.config.sections import Storage
from ser_ops.errors import UserError

LIMITS = Storage(part_megabytes=8, parallel=4, attempts=2, longest_wait=1, timeout=5)


def bring(source, folder):
    return storage.bring(source, folder, LIMITS, folder.with_name(f"{folder.name}-parts"))


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
    for one in client.list_objects_v2(Bucket="voices").get("Contents", []):
        client.delete_object(Bucket="voices", Key=one["Key"])
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


@pytest.mark.parametrize(("source", "words"), [("s3://voices/none", "nothing lies there"),
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
    with pytest.raises(UserError, match="two keys want the place a:"):
        bring("s3://voices/set", tmp_path)
    assert os.listdir(tmp_path) == []
