"""Recordings of a bucket: fetched one at a time and checked; what is bad is a row, a store that fails is one line."""

import os
from pathlib import Path

import boto3
import numpy as np
import pyarrow.dataset
import pytest
import soundfile
from moto.server import ThreadedMotoServer

from ser_ops.config.params import load_params_anywhere, load_preset
from ser_ops.config.services import Storage
from ser_ops.errors import UserError
from ser_ops.models import architectures, model_folder
from ser_ops.scoring import parts, recordings
from ser_ops.scoring.run import score

RATE = 16000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    model_folder.save(folder, architectures.build("spectral", load_preset("demo"), seed=1), {})
    return folder


@pytest.fixture
def params(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = load_params_anywhere()
    return found.model_copy(update={
        "score": found.score.model_copy(update={"part": 3, "megabytes": 1}),
        "storage": Storage(attempts=1, longest_wait=0.1, timeout=5),
        "compute": found.compute.model_copy(update={"workers": 1})})


@pytest.fixture
def bucket(params, monkeypatch):
    """A client of a store, and what lies in its bucket: seven recordings, one of them too large, one damaged."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test",
                        "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    recordings._client.cache_clear()
    client = boto3.Session().client("s3")
    client.create_bucket(Bucket="calls")
    for number, name in enumerate(("1.wav", "deep/2.WAV", "a line ü?#.wav", "4.wav", "5.wav")):
        client.put_object(Bucket="calls", Key=f"set/{name}", Body=content(number))
    client.put_object(Bucket="calls", Key="set/large.wav", Body=content(6, 40))
    client.put_object(Bucket="calls", Key="set/bad.flac", Body=b"no audio" * 100)
    client.put_object(Bucket="calls", Key="set/notes.txt", Body=b"-")
    client.put_object(Bucket="calls", Key="settled.wav", Body=content(7))
    yield client
    server.stop()


def content(seed: int, seconds: float = 0.5) -> bytes:
    soundfile.write("made.wav", np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)), RATE)
    return Path("made.wav").read_bytes()


def table(name: str) -> dict[str, dict]:
    rows = pyarrow.dataset.dataset(f"out/{name}", format="parquet").to_table().to_pylist()
    return {row["path"]: row for row in rows}


def test_a_prefix_is_answered_as_its_files_are(params, model, bucket, tmp_path):
    scored = score(params, "s3://calls/set", Path("out"), str(model))
    answered, refused = table("answers"), table("refused")
    assert set(answered) == {f"s3://calls/set/{name}" for name in (
        "1.wav", "deep/2.WAV", "a line ü?#.wav", "4.wav", "5.wav")}
    assert refused["s3://calls/set/large.wav"]["error"] == (
        "has 1 MB, more than score.megabytes (1): raise that, or cut the recording into parts")
    assert refused["s3://calls/set/bad.flac"]["error"].startswith("not readable as audio") and scored.others == 1
    Path("local.wav").write_bytes(content(4))
    Path("list.txt").write_text("local.wav\ns3://calls/set/5.wav\ns3://calls/set/gone.wav\n")
    score(params, "list.txt", Path("listed"), str(model))
    rows = pyarrow.dataset.dataset("listed/answers", format="parquet").to_table().to_pylist()
    assert [row["path"] for row in rows] == ["local.wav", "s3://calls/set/5.wav"]
    assert rows[0] | {"path": ""} == rows[1] | {"path": ""}
    expected = answered["s3://calls/set/5.wav"]
    assert [rows[1][name] for name in rows[1] if name.startswith("p_")] == pytest.approx(
        [expected[name] for name in rows[1] if name.startswith("p_")], abs=2e-6), "another batch rounds otherwise"
    refused = pyarrow.dataset.dataset("listed/refused", format="parquet").to_table().to_pylist()
    assert [(row["path"], row["error"]) for row in refused] == [
        ("s3://calls/set/gone.wav", "is not there: correct the address")]


def test_what_is_gone_or_changed_after_it_was_listed_is_refused(params, model, bucket, monkeypatch):
    real = parts.read_part

    def meanwhile(out, number):
        if number == 0:
            bucket.delete_object(Bucket="calls", Key="set/1.wav")
            bucket.put_object(Bucket="calls", Key="set/4.wav", Body=content(40))
        return real(out, number)

    monkeypatch.setattr(parts, "read_part", meanwhile)
    assert score(params, "s3://calls/set", Path("out"), str(model)).answered == 3
    refused = table("refused")
    assert refused["s3://calls/set/1.wav"]["error"].startswith("was removed meanwhile")
    assert refused["s3://calls/set/4.wav"]["error"].startswith("was changed during the download")
    with pytest.raises(UserError, match=r"changed since out was begun \('s3://calls/set/1.wav' is gone"):
        score(params, "s3://calls/set", Path("out"), str(model))


def test_a_store_that_goes_away_is_one_line_and_no_recording_is_blamed(params, model, bucket, monkeypatch):
    address, real = os.environ["AWS_ENDPOINT_URL"], parts.read_part

    def away(out, number):
        if number == 1:
            monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
            recordings._client.cache_clear()
        return real(out, number)

    monkeypatch.setattr(parts, "read_part", away)
    with pytest.raises(UserError, match=r"^s3://calls/set/.*Could not connect.*run the same command again") as caught:
        score(params, "s3://calls/set", Path("out"), str(model))
    assert "\n" not in str(caught.value)
    assert [file.name for file in Path("out/answers").iterdir()] == ["part-000000.parquet"]
    monkeypatch.setattr(parts, "read_part", real)
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    recordings._client.cache_clear()
    scored = score(params, "s3://calls/set", Path("out"), str(model))
    assert (scored.answered, scored.refused, scored.done_before) == (5, 2, 3)


@pytest.mark.parametrize("source", ["s3://calls/nothing", "s3://nowhere/set"])
def test_a_prefix_that_holds_nothing_is_one_line(params, model, bucket, source):
    with pytest.raises(UserError, match=f"^{source}: (holds no recording|.*NoSuchBucket)") as caught:
        score(params, source, Path("out"), str(model))
    assert "\n" not in str(caught.value)
