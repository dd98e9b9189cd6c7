"""Live sound: the answers to a stream are those to its last windows; what is no session is refused with a code."""

import json

import numpy as np
import pytest
from serving_process import RATE, running, settings, sound, until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from ser_ops.config.params import load_params
from ser_ops.inference.recogniser import Recogniser

HOP, WINDOW = 0.5, 0.5      # seconds: no hop is longer than the small model's window


def session(server, first=None, **more):
    socket = connect(server.address.replace("http", "ws") + "/v1/live", **more)
    if first is not None:
        socket.send(first if isinstance(first, str | bytes) else json.dumps(first))
    return socket


@pytest.mark.parametrize("encoding", ["float32", "int16"])
def test_each_hop_has_the_answer_of_its_window(server, model, encoding):
    alone, samples = Recogniser(model, "cpu", 16, load_params().predict.window_hop), sound(1.5)
    sent = samples if encoding == "float32" else (samples * 32767).astype("<i2")
    with session(server, {"sample_rate": RATE, "encoding": encoding}) as socket:
        for number in range(3):
            hop = slice(round(number * HOP * RATE), round((number + 1) * HOP * RATE))
            socket.send(sent[hop].tobytes())
            answer = json.loads(socket.recv(60))
            own = alone.answer(samples[hop], RATE).record()
            assert (answer["start"], answer["end"]) == (number * HOP, (number + 1) * HOP)
            assert answer["probabilities"] == pytest.approx(own["probabilities"], abs=1e-3)
            assert answer["skipped"] == 0 and answer["latency_ms"] > 0
        socket.send(np.zeros(RATE, sent.dtype).tobytes())
        silent = json.loads(socket.recv(60))
        assert "silent" in silent["error"] and silent["end"] == 2.5 and silent["skipped"] == 1


@pytest.mark.parametrize(("first", "then", "code"), [
    ("no json", None, 1003), ("[]", None, 1003), ("[" * 10**5, None, 1003), (b"bytes", None, 1003),
    ({"sample_rate": 3}, None, 1003), ('{"sample_rate": 1e999}', None, 1003), ('{"sample_rate": NaN}', None, 1003),
    ('{"sample_rate": 1e308}', None, 1003), (f'{{"sample_rate": 1{"0" * 400}}}', None, 1003),
    ({"sample_rate": True}, None, 1003), ({"sample_rate": "16000"}, None, 1003), ({"sample_rate": 16000.5}, None, 1003),
    ({"sample_rate": None}, None, 1003), ({"encoding": "int16"}, None, 1003),
    ({"sample_rate": RATE, "encoding": ["int16"]}, None, 1003), ({"sample_rate": RATE, "encoding": None}, None, 1003),
    ({"sample_rate": RATE, "channels": 2}, None, 1003), ({"sample_rate": RATE, "\xe9" * 99: 1}, None, 1003),
    ({"sample_rate": RATE, "encoding": "mp3"}, None, 1003), ({"sample_rate": RATE}, b"abc", 1003),
    ({"sample_rate": RATE}, "words", 1003), ({"sample_rate": RATE}, b"x" * (2**20 + 4), 1009)])
def test_what_is_no_live_sound_ends_the_session(server, first, then, code):
    with session(server, first) as socket:
        if then is not None:
            socket.send(then)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(60)
        assert closed.value.rcvd.code == code
        assert closed.value.rcvd.reason or code == 1009
    until(lambda: server.metric("ser_ops_live_sessions") == 0)
    assert server.ask("GET", "/readyz").status == 200


def test_no_more_sessions_than_are_allowed_and_none_from_another_page(server):
    with session(server, {"sample_rate": RATE}) as held:
        held.send(sound(0.5).tobytes())
        held.recv(60)
        with session(server, {"sample_rate": RATE}) as second, pytest.raises(ConnectionClosed) as closed:
            second.recv(60)
        assert closed.value.rcvd.code == 1013
    with pytest.raises(InvalidStatus) as refused:
        session(server, origin="http://elsewhere.example")
    assert refused.value.response.status_code == 403


def test_a_rate_may_be_written_as_a_whole_float(server):
    with session(server, {"sample_rate": float(RATE)}) as socket:
        socket.send(sound(0.5).tobytes())
        assert json.loads(socket.recv(60))["emotion"]


TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def guarded(model, tmp_path_factory):
    """One with a token, room for one session, and no patience for a silent one."""
    folder = settings(tmp_path_factory.mktemp("guarded"), live_wait=3)
    with running(folder, "--model", str(model), SER_OPS_SERVE_TOKEN=TOKEN) as server:
        server.log = folder / "log"
        yield server


@pytest.mark.slow
def test_who_says_nothing_holds_no_room_and_is_sent_away(guarded):
    silent = [session(guarded) for _ in range(3)]
    with session(guarded, {"sample_rate": RATE, "token": TOKEN}) as admitted:
        admitted.send(sound(0.5).tobytes())
        assert json.loads(admitted.recv(60))["emotion"]
        for socket in silent:
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(60)
            assert closed.value.rcvd.code == 1008 and "no first message within 3 s" in closed.value.rcvd.reason
        admitted.send(sound(0.5).tobytes())     # who was admitted may take longer
        assert json.loads(admitted.recv(60))["end"] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("first", [
    {"sample_rate": RATE}, '{"sample_rate": 1e999}', {"sample_rate": RATE, "token": TOKEN + "x"}, "[]",
    {"sample_rate": RATE, "token": [TOKEN]}, '{"sample_rate": 16000, "token": "\\ud800"}', {"channels": True}])
def test_the_token_is_looked_at_first(guarded, first):
    with session(guarded, first) as socket, pytest.raises(ConnectionClosed) as closed:
        socket.recv(60)
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "send the token")
    assert "Traceback" not in guarded.log.read_text()
