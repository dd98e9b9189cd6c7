"""What a request may bring, what it gets, and each way to be refused, from a real server."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
from serving_process import RATE, multipart, running, settings, sound, until, wav

from ser_ops.caveats import FORBIDDEN_USES
from ser_ops.config.model_json import fingerprint
from ser_ops.config.params import load_params
from ser_ops.inference.recogniser import Recogniser
from ser_ops.serving.schema import Error, Model, Prediction, Result

JSON = "application/json"


def as_json(samples, rate=RATE, **more):
    return {"samples": np.asarray(samples, np.float64).tolist(), "sample_rate": rate, **more}


@pytest.fixture(scope="module")
def alone(model):
    """What `ser-ops predict` would answer."""
    return Recogniser(model, "cpu", 16, load_params().predict.window_hop)


def test_a_file_is_answered_as_predict_does_however_it_is_sent(server, alone, tmp_path):
    path = tmp_path / "a.flac"
    path.write_bytes(wav(sound(2.0), "FLAC"))
    expected = alone.answer_file(path).record()
    form = server.predict(*multipart([("a.flac", path.read_bytes())])).json
    raw = server.predict(path.read_bytes(), "audio/flac").json
    unnamed = server.predict(path.read_bytes(), "application/octet-stream").json
    samples = soundfile.read(path, dtype="float32")[0]
    numbers = server.predict(json.dumps(as_json(samples, name="n")).encode(), JSON).json
    assert [answer["results"][0]["name"] for answer in (form, raw, unnamed, numbers)] == [
        "a.flac", "recording", "recording", "n"]
    for answer in (form, raw, unnamed, numbers):
        result, = answer["results"]
        assert {key: result[key] for key in ("emotion", "seconds", "warnings", "caveats")} == {
            key: expected[key] for key in ("emotion", "seconds", "warnings", "caveats")}
        for window, own in zip(result["windows"], expected["windows"], strict=True):
            assert (window["start"], window["end"]) == (own["start"], own["end"])
            assert window["probabilities"] == pytest.approx(own["probabilities"], abs=2e-6)


@pytest.mark.parametrize(("name", "kind", "coded"), [
    ("-", "application/octet-stream", "WAV"), ("-", "", "FLAC"), ("blob", "audio/wav", "WAV"),
    ("blob", "audio/ogg; codecs=opus", "OGG"), ("blob", "Audio/FLAC", "FLAC"), ("blob", "audio/webm", "WAV"),
    (".wav", "", "WAV"), ("speech", "text/plain", "OGG"), ("a.flac", "text/plain", "FLAC"), ("a.WAV", "", "OGG")])
def test_a_file_without_a_suffix_is_known_by_its_type_or_its_bytes(server, name, kind, coded):
    result, = server.predict(*multipart([(name, wav(sound(0.5), coded))], kind)).json["results"]
    assert result["name"] == name and result["emotion"], result


def test_a_file_that_is_no_sound_is_refused_by_what_it_is(server):
    for name, kind in (("-", ""), ("blob", "audio/wav"), ("notes", "text/plain")):
        result, = server.predict(*multipart([(name, b"words, no sound")], kind)).json["results"]
        assert result["error"].startswith(f"{name}: not readable as audio"), result


def test_endless_headers_are_cut_off(server):
    connection = server.connection()
    connection.putrequest("GET", "/healthz")
    connection.endheaders()
    assert connection.getresponse().read()      # the connection stays, for the next request
    with pytest.raises(OSError):    # closed by the service, before a tenth of them came
        for number in range(1000):
            connection.sock.sendall(("GET /healthz HTTP/1.1\r\n" if not number else "").encode()
                                    + f"X-{number}: {'x' * 10_000}\r\n".encode())
            if number and not number % 20 and not connection.sock.recv(65536):
                raise ConnectionResetError
    connection.close()
    assert server.ask("GET", "/healthz").status == 200


def test_answers_are_those_that_openapi_promises(server, model):
    body, kind = multipart([("a.wav", wav(sound(1.0))), ("b.wav", b"RIFF")])
    answer = server.predict(body, kind, **{"X-Request-ID": "mine-1"})
    assert answer.headers["X-Request-ID"] == answer.json["request_id"] == "mine-1"
    assert answer.json["model"] == {"uri": "small-fusion", "version": None, "fingerprint": fingerprint(model)}
    assert Prediction.model_validate(answer.json, strict=True)
    for result in answer.json["results"]:
        assert set(result) <= set(Result.model_fields)
    schema = server.ask("GET", "/openapi.json").json
    assert {"/v1/predict", "/v1/model", "/healthz", "/readyz", "/metrics"} <= set(schema["paths"])
    card = schema["paths"]["/v1/model"]["get"]["responses"]["200"]["content"][JSON]["schema"]
    assert {"coverage", "gate", "caveats"} <= set(schema["components"]["schemas"][card["$ref"].rpartition("/")[2]][
        "properties"])
    assert "securitySchemes" not in schema["components"]       # there is no token
    refused = server.predict(b"", "text/html", **{"X-Request-ID": "a b\u00e9"})
    assert Error.model_validate(refused.json, strict=True) and len(refused.json["request_id"]) == 32


def test_each_bad_recording_has_its_own_line_and_the_others_are_answered(server):
    body, kind = multipart([("good.wav", wav(sound(0.5))), ("../quiet\x1b.wav", wav(np.zeros(RATE))),
                            ("notes.txt", b"words")])
    answer = server.predict(body, kind)
    good, quiet, notes = answer.json["results"]
    assert answer.status == 200 and good["emotion"]
    assert quiet["name"] == "../quiet\\x1b.wav" and quiet["error"].startswith("../quiet\\x1b.wav: silent")
    assert notes["error"].startswith("notes.txt: .txt is not a supported format")
    for bad, words in (
            (as_json([0.1]), "shorter than"), ({"samples": "x", "sample_rate": RATE}, 'samples: "x" is no list'),
            (1, "1 is no object: give {"), (as_json(sound(0.5), channels=2), "channels is no field: give {")):
        rows = {"recordings": [as_json(sound(0.5)), bad, as_json(sound(0.5), float(RATE))]}
        answer = server.predict(json.dumps(rows).encode(), JSON)
        before, refused, after = answer.json["results"]
        assert answer.status == 200 and before["emotion"] and before["probabilities"] == after["probabilities"]
        assert refused["error"].startswith("recording 1: ") and words in refused["error"]


@pytest.mark.parametrize(("body", "kind", "status", "words"), [
    (wav(np.zeros(RATE)), "audio/wav", 422, "recording: silent"),
    (b"RIFF", "audio/wav", 422, "not readable as audio"),
    (b"", "audio/wav", 422, "empty file"),
    (wav(sound(11)), "audio/wav", 422, "lasts more than 10 s"),
    (json.dumps(as_json(np.zeros(11 * 8000), 8000)).encode(), JSON, 422, "lasts more than 10 s"),
    (json.dumps(as_json([[0.1], [0.2]])).encode(), JSON, 422, "mono"),
    (json.dumps({"samples": ["a"], "sample_rate": 16000}).encode(), JSON, 422, 'sample 0 is "a": give mono'),
    (json.dumps({"samples": ["0.1"] * 4000, "sample_rate": 16000}).encode(), JSON, 422, 'sample 0 is "0.1"'),
    (json.dumps({"samples": [0.1, "0.1"] * 4000, "sample_rate": 16000}).encode(), JSON, 422, 'sample 1 is "0.1"'),
    (json.dumps({"samples": [True] * 4000, "sample_rate": 16000}).encode(), JSON, 422, "sample 0 is true"),
    (json.dumps({"samples": [0.1] * 4000 + [False], "sample_rate": 16000}).encode(), JSON, 422, "sample 4000 is false"),
    (b'{"samples": [0.1, null], "sample_rate": 16000}', JSON, 422, "recording 0: sample 1 is null: give mono"),
    (json.dumps(as_json([0.1]) | {"samples": [[0.1], [0.1, 0.2]]}).encode(), JSON, 422, "sample 0 is [0.1]"),
    (json.dumps(as_json([0.1]) | {"samples": [10**400] * 4000}).encode(), JSON, 422, "whole numbers beyond"),
    (json.dumps(as_json([0.1]) | {"samples": [1e300] * 4000}).encode(), JSON, 422, "NaN or infinite"),
    (json.dumps(as_json([0.1]) | {"samples": None}).encode(), JSON, 422, "samples: null is no list"),
    (json.dumps({"samples": [0.1] * 4000, "sample_rate": 3}).encode(), JSON, 422, "sample rate 3 Hz is not between"),
    (json.dumps(as_json([0.1] * 4000, 10**400)).encode(), JSON, 422, "is not between"),
    (b'{"samples": [], "sample_rate": 16000}', JSON, 422, "holds no samples"),
    (b'{"samples": [0.1], "sample_rate": 1e999}', JSON, 422, "Infinity is no whole number of hertz"),
    (b'{"samples": [0.1], "sample_rate": 16000.5}', JSON, 422, "16000.5 is no whole number of hertz"),
    (b'{"samples": [0.1]}', JSON, 422, "sample_rate is missing: give {"),
    (b'{"samples": [0.1], "sample_rate": 16000, "coverage": 0.9}', JSON, 422, "coverage is no field: give {"),
    (b'{"recordings": [], "coverage": 0.9}', JSON, 422, "and nothing beside"),
    (b'{"samples": [NaN' + b", 0.1" * 9000 + b'], "sample_rate": 16000}', JSON, 422, "NaN or infinite"),
    (b'{"samples": [0.1], "sample_rate": true}', JSON, 422, "true is no whole number of hertz: give one"),
    (b"{", JSON, 422, "no JSON"), (b"[" * 100_000, JSON, 422, "no JSON"), (b"\xff", JSON, 422, "no JSON"),
    (b"[]", JSON, 422, "holds no recordings"), (b'{"recordings": []}', JSON, 422, "no recording in the body"),
    (b'{"recordings": [1]}', JSON, 422, "recording 0: 1 is no object"),
    (b'{"recordings": 1}', JSON, 422, "holds no recordings"),
    (b'{"recordings": [{}, {}, {}, {}]}', JSON, 413, "more than 3 recordings"),
    (b"x" * (2**21 + 1), JSON, 413, "more than 2 MB"), (b"x" * (2**21 + 1), "audio/wav", 413, "more than 2 MB"),
    (*multipart([(f"{number}.wav", b"") for number in range(4)]), 413, "more than 3 recordings"),
    (b"--limit\r\nnonsense", "multipart/form-data; boundary=limit", 422, "the form cannot be read"),
    (b"", "multipart/form-data", 422, "the form cannot be read"),
    (*multipart([]), 422, "no recording in the body"),
    (b'--limit\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--limit--\r\n',
     "multipart/form-data; boundary=limit", 422, "a: is no file"),
    (b"<html>", "text/html", 415, "text/html: is no type of a recording")])
def test_a_bad_body_is_one_line(server, body, kind, status, words):
    answer = server.predict(body, kind)
    line = answer.json.get("error") or answer.json["results"][0]["error"]
    assert answer.status == status and words in line and "\n" not in line and "/tmp" not in line
    assert server.ask("GET", "/readyz").status == 200


def test_a_body_that_grows_beyond_the_limit_is_cut_although_it_never_said_so(server):
    connection = server.connection()
    connection.request("POST", "/v1/predict", iter([b"x" * 2**20] * 3), {"Content-Type": "audio/wav"},
                       encode_chunked=True)
    assert connection.getresponse().status == 413


def test_a_full_queue_says_when_to_come_back_and_nothing_that_was_let_in_is_lost(server):
    body = wav(sound(0.5))
    waiting = [server.half_asked(body) for _ in range(3)]
    until(lambda: server.metric("ser_ops_queue_requests") == 3)
    refused = server.predict(body, "audio/wav")
    assert refused.status == 429 and int(refused.headers["Retry-After"]) >= 1 and "later" in refused.json["error"]
    assert server.ask("GET", "/healthz").status == 200
    for connection in waiting:
        connection.send(body[len(body) // 2:])
        assert connection.getresponse().status == 200
    assert server.predict(body, "audio/wav").status == 200


def test_a_long_body_waits_for_no_other_and_keeps_none_from_its_turn(server):
    long, short = wav(np.tile(sound(1.0), 9), "WAV").ljust(2**20 + 9, b"\0"), wav(sound(0.5))
    waiting = server.half_asked(long)
    until(lambda: server.metric('ser_ops_queue_requests{kind="long"}') == 1)
    assert server.predict(long, "audio/wav").status == 429
    assert server.predict(short, "audio/wav").status == 200
    waiting.close()
    until(lambda: server.metric("ser_ops_queue_requests") == 0)


def test_requests_share_batches_and_each_gets_its_own_answer(server, alone):
    sounds = [sound(0.5, seed) for seed in range(12)]
    expected = [alone.answer(samples, RATE).record()["probabilities"] for samples in sounds]
    before = server.metric("ser_ops_batch_windows_count"), server.metric("ser_ops_batch_windows_sum")
    with ThreadPoolExecutor(3) as clients:
        answers = list(clients.map(lambda samples: server.predict(
            json.dumps(as_json(samples)).encode(), JSON).json["results"][0]["probabilities"], sounds * 4))
    for answer, own in zip(answers, expected * 4, strict=True):
        assert answer == pytest.approx(own, abs=2e-6)
    batches = server.metric("ser_ops_batch_windows_count") - before[0]
    assert server.metric("ser_ops_batch_windows_sum") - before[1] == 48 and batches < 48


def test_what_is_counted(server):
    before = [server.metric(name) for name in ("ser_ops_answers_total", "ser_ops_refused_total",
                                               "ser_ops_sound_seconds_total")]
    server.predict(*multipart([("a.wav", wav(sound(2.0))), ("b.wav", b"")]))
    after = [server.metric(name) for name in ("ser_ops_answers_total", "ser_ops_refused_total",
                                              "ser_ops_sound_seconds_total")]
    assert [round(new - old, 3) for new, old in zip(after, before, strict=True)] == [1, 1, 2.0]
    assert server.metric('ser_ops_requests_total{route="/v1/predict",status="200"}') >= 1
    assert 'version=""' in next(line for line in server.ask("GET", "/metrics").body.decode().splitlines()
                                if line.startswith("ser_ops_model{"))
    assert server.metric('ser_ops_model{') == 1 and server.metric("ser_ops_request_seconds_count") >= 1


def test_the_card_says_what_a_user_must_know(server):
    card = server.ask("GET", "/v1/model").json
    assert Model.model_validate(card, strict=True)
    assert set(card) == {field.alias or name for name, field in Model.model_fields.items()}
    assert card["licences"] == {"made": "CC0 1.0"} and card["gate"]["verdict"] == "not registered"
    assert card["forbidden_uses"] == list(FORBIDDEN_USES) and "Article 5(1)(f)" in card["forbidden_uses"][0]
    assert card["card"]["model"] == "fusion" and card["window_seconds"] == 0.5 and card["caveats"]


def test_health_and_what_is_not_there(server):
    assert server.ask("GET", "/healthz").json == {"status": "ok"}
    assert server.ask("GET", "/readyz").json["ready"] is True
    assert server.ask("GET", "/docs").status == 404 and "error" in server.ask("GET", "/nothing").json
    assert server.ask("GET", "/v1/predict").status == 405


def test_without_the_token_nothing_but_health_and_the_page(model, tmp_path):
    token = "a-token-of-some-length"
    with running(settings(tmp_path / "server"), "--model", str(model), SER_OPS_SERVE_TOKEN=token) as server:
        for path in ("/v1/model", "/metrics"):
            refused = server.ask("GET", path)
            assert refused.status == 401 and refused.headers["WWW-Authenticate"] == "Bearer"
            assert server.ask("GET", path, Authorization=f"Bearer {token}x").status == 401
            assert server.ask("GET", path, Authorization=f"Bearer {token}").status == 200
        schema = server.ask("GET", "/openapi.json").json
        (name, scheme), = schema["components"]["securitySchemes"].items()
        assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
        asked = {path for path, methods in schema["paths"].items() for said in methods.values()
                 if said.get("security") == [{name: []}]}
        assert asked == {"/v1/predict", "/v1/model", "/metrics"}
        for wrong in ("", token, "Basic " + token, "Bearer", "Bearer \xe9"):
            assert server.ask("GET", "/v1/model", Authorization=wrong).status == 401
        assert server.predict(b"", "audio/wav").status == 401
        assert server.predict(wav(sound(0.5)), "audio/wav", Authorization=f"bearer {token}").status == 200
        assert {server.ask("GET", path).status for path in ("/healthz", "/readyz", "/")} == {200}
        assert token not in (tmp_path / "server" / "log").read_text()
