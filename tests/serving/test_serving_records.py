"""Records of a service: one for each answer, the id in the answer, the estimated SNR in /metrics; none unasked."""

import json
import resource
from itertools import pairwise

import pytest
from project_copy import change_settings
from serving_process import RATE, multipart, running, settings, sound, wav
from websockets.sync.client import connect

from ser_ops.config.model_json import fingerprint
from ser_ops.watch.records import read_records

pytestmark = pytest.mark.slow


def test_each_answer_leaves_a_record(model, tmp_path):
    with running(settings(tmp_path / "service"), "--model", str(model), "--records", str(tmp_path / "heard")) as server:
        body, kind = multipart([("a.wav", wav(sound(0.8))), ("b.wav", wav(sound(1.5, seed=1))), ("c.txt", b"no")])
        results = server.predict(body, kind).json["results"]
        while_it_runs = read_records(tmp_path / "heard")
        assert "ser_ops_snr_db_count" in server.ask("GET", "/metrics").body.decode()
        assert server.metric("ser_ops_unrecorded_total") == 0
    records = read_records(tmp_path / "heard")
    assert set(records.ids) == set(while_it_runs.ids) == {result["record"] for result in results[:2]}
    assert "record" not in results[2] and set(records.models) == {fingerprint(model)}
    for result in results[:2]:
        own = records.of(records.ids == result["record"])
        assert own.figure("seconds")[0] == pytest.approx(result["seconds"], abs=1e-3)
        assert own.probabilities[0].tolist() == pytest.approx(list(result["probabilities"].values()), abs=1e-5)
    assert not list((tmp_path / "heard").glob("*.jsonl"))       # it ended well


def test_live_sound_is_counted_and_recorded_once_where_windows_overlap(model, tmp_path):
    folder = settings(tmp_path / "service")
    change_settings(folder, predict={"window_hop": 0.2})
    samples, answers = sound(1.2), []
    with running(folder, "--model", str(model), "--records", str(tmp_path / "heard")) as server, \
            connect(server.address.replace("http", "ws") + "/v1/live") as socket:
        socket.send(json.dumps({"sample_rate": RATE}))
        for start, end in pairwise((0.0, 0.5, 0.7, 1.0, 1.2)):
            socket.send(samples[round(start * RATE):round(end * RATE)].tobytes())
            answers.append(json.loads(socket.recv(60)))
        assert server.metric("ser_ops_answers_total") == 2      # as many as there are records
        assert server.metric("ser_ops_sound_seconds_total") == pytest.approx(1.0)
    assert [(answer["end"], "record" in answer) for answer in answers] == [
        (0.5, True), (0.7, False), (1.0, True), (1.2, False)]
    assert set(read_records(tmp_path / "heard").ids) == {answers[0]["record"], answers[2]["record"]}


def test_nothing_is_kept_unasked(server):
    body, kind = multipart([("a.wav", wav(sound(0.8)))])
    assert "record" not in server.predict(body, kind).json["results"][0]


def test_a_full_disk_costs_records_and_no_answer(model, tmp_path):
    """A real limit on the size of files: first the log of records reaches it, then recordings that are decoded do."""
    small, large, huge = wav(sound(0.5)), wav(sound(1.0)), wav(sound(1.0)).ljust(2**20 + 9, b"\0")
    heard, ids = tmp_path / "heard", []
    with running(settings(tmp_path / "service"), "--model", str(model), "--records", str(heard)) as server:
        limit = (len(small) + 1000, resource.RLIM_INFINITY)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limit)
        while server.metric("ser_ops_unrecorded_total") < 3:
            answer = server.predict(*multipart([("a.wav", small), ("b.wav", small)]))
            assert answer.status == 200 and all(result["emotion"] for result in answer.json["results"])
            ids += [result["record"] for result in answer.json["results"] if "record" in result]
        with connect(server.address.replace("http", "ws") + "/v1/live") as socket:
            socket.send(json.dumps({"sample_rate": RATE}))
            for end in (0.5, 1.0):
                socket.send(sound(0.5).tobytes())
                answer = json.loads(socket.recv(60))
                assert answer["end"] == end and answer["emotion"] and "record" not in answer
        assert server.metric("ser_ops_unrecorded_total") == 5
        answer = server.predict(*multipart([("a.wav", small), ("b.wav", large)]))
        assert answer.status == 200 and answer.json["results"][0]["emotion"]
        assert answer.json["results"][1]["error"].startswith("b.wav: this service has no room for it now (")
        for body, kind in ((large, "audio/wav"), (huge, "audio/wav"), multipart([("a.wav", huge)])):
            refused = server.predict(body, kind)
            assert refused.status == 507 and "no room for it now" in refused.body.decode()
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        ids += [server.predict(large, "audio/wav").json["results"][0]["record"]]
        server.process.terminate()
        assert server.process.wait(60) == 0
    log = (tmp_path / "service" / "log").read_text()
    assert "Traceback" not in log and log.count("ser_ops_unrecorded_total") == log.count("cannot be decoded") == 1
    assert set(read_records(heard).ids) == set(ids) and not list(heard.glob("*.jsonl"))


def test_an_end_on_a_full_disk_keeps_the_records_and_is_a_good_one(model, tmp_path):
    heard = tmp_path / "heard"
    with running(settings(tmp_path / "service"), "--model", str(model), "--records", str(heard)) as server:
        result, = server.predict(wav(sound(0.5)), "audio/wav").json["results"]
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        server.process.terminate()
        assert server.process.wait(60) == 0
    log = (tmp_path / "service" / "log").read_text()
    assert "Traceback" not in log and "the log stays" in log
    assert read_records(heard).ids.tolist() == [result["record"]]
