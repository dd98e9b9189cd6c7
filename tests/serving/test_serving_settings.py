"""By which settings a service answers: those of `ser-ops predict` in the same folder, and what it says of them."""

import json

import pytest
from project_copy import change_settings
from serving_process import PROJECT, RATE, running, settings, sound, wav
from websockets.sync.client import connect

from ser_ops.config.params import load_params, load_params_anywhere
from ser_ops.inference.recogniser import Recogniser
from ser_ops.serving.served import Loading, load_served

SURE, UNSURE = 0.05, 0.95       # coverages that random weights can and cannot promise by one emotion


def test_a_loaded_model_obeys_every_setting_of_predict(model, tmp_path, monkeypatch):
    monkeypatch.chdir(settings(tmp_path / "project"))
    change_settings(tmp_path / "project", predict={
        "window_hop": 0.25, "coverage": SURE, "speech": {"start": 0.9, "stop": 0.8, "least": 1.0, "pause": 0.5}})
    params = load_params()
    own = Recogniser(model, "cpu", predict=params.predict)
    recogniser = load_served(Loading(params, str(model), params.predict)).recogniser
    for name in ("hop", "speech", "coverage"):
        assert getattr(recogniser, name) == getattr(own, name)
    assert load_served(Loading(params, str(model), params.predict, UNSURE)).recogniser.coverage == UNSURE
    assert load_served(Loading(params, str(model))).recogniser.coverage is None     # the model's own settings


@pytest.mark.slow
@pytest.mark.parametrize(("setting", "options", "coverage"), [
    (UNSURE, [], UNSURE), (SURE, ["--coverage", str(UNSURE)], UNSURE)])
def test_the_coverage_in_force_is_said_and_obeyed_by_files_and_live_sound(model, tmp_path, setting, options, coverage):
    change_settings(settings(tmp_path / "service"), predict={"coverage": setting})
    expected = Recogniser(model, "cpu", coverage=coverage).answer(sound(0.5), RATE).record()
    with running(tmp_path / "service", "--model", str(model), *options) as server:
        assert server.ask("GET", "/v1/model").json["coverage"] == coverage
        result, = server.predict(wav(sound(0.5)), "audio/wav").json["results"]
        with connect(server.address.replace("http", "ws") + "/v1/live") as socket:
            socket.send(json.dumps({"sample_rate": RATE}))
            socket.send(sound(0.5).tobytes())
            heard = json.loads(socket.recv(60))
    for answer in (result, heard):
        assert (answer["emotion"], answer["emotions"]) == (expected["emotion"], expected["emotions"])
    assert expected["emotion"] == "not sure"


@pytest.mark.slow
def test_a_model_is_served_where_no_project_is(model, tmp_path):
    with running(tmp_path, "--model", str(model), "--records", "heard") as server:
        result, = server.predict(wav(sound(0.5)), "audio/wav").json["results"]
        assert server.ask("GET", "/v1/model").json["hop_seconds"] == Recogniser(model, "cpu").hop / RATE
    expected = Recogniser(model, "cpu").answer(sound(0.5), RATE).record()
    assert (result["emotion"], result["emotions"]) == (expected["emotion"], None) and result["record"]
    assert {entry.name for entry in tmp_path.iterdir()} == {"heard", "log"}


def test_the_settings_of_a_service_without_a_project_are_those_of_the_project_as_it_comes(monkeypatch, tmp_path):
    of_project = load_params(PROJECT / "params.yaml").serve
    monkeypatch.chdir(tmp_path)
    assert load_params_anywhere().serve == of_project


@pytest.mark.parametrize("query", ["coverage=0.9", "coverage=0.9&channel=1", "x"])
def test_a_query_is_refused_and_not_ignored(server, query):
    refused = server.ask("POST", f"/v1/predict?{query}", wav(sound(0.5)), "audio/wav")
    assert refused.status == 422 and refused.json["error"].startswith(f"?{query}: a request has no parameters")
