"""Records of a service: one for each answer, the id in the answer, the estimated SNR in /metrics; none unasked."""

import pytest
from serving_process import multipart, running, settings, sound, wav

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


def test_nothing_is_kept_unasked(server):
    body, kind = multipart([("a.wav", wav(sound(0.8)))])
    assert "record" not in server.predict(body, kind).json["results"][0]
