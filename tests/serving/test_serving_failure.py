"""A model that fails answers with 500 and without its reason, and the next request is another one."""

import json

import pytest
from serving_process import sound, wav
from starlette.testclient import TestClient

from ser_ops.config.params import load_params
from ser_ops.inference.recogniser import Recogniser
from ser_ops.serving.app import create_app
from ser_ops.serving.served import Served
from ser_ops.serving.service import Service


@pytest.fixture
def service(model, tmp_path):
    return Service(load_params().serve, Served(Recogniser(model, "cpu", 4, 0.5), "small", "0" * 64, None, ""), tmp_path)


def test_a_failure_is_counted_and_keeps_its_reason_to_the_log(service, tmp_path, monkeypatch):
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        with monkeypatch.context() as planted:
            planted.setattr(service.served.recogniser.network, "model", None)
            failed = client.post("/v1/predict", content=wav(sound(0.5)), headers={"Content-Type": "audio/wav"})
        assert failed.status_code == 500 and set(failed.json()) == {"error", "request_id"}
        assert "None" not in failed.text and failed.json()["error"].startswith("the service failed")
        good = client.post("/v1/predict", content=wav(sound(0.5)), headers={"Content-Type": "audio/wav"})
        assert good.status_code == 200
        counted = client.get("/metrics").text
        assert 'ser_ops_requests_total{route="/v1/predict",status="500"} 1.0' in counted
    assert not service.batcher.alive and not list(tmp_path.glob("*.*"))


def test_a_request_that_takes_too_long_ends(service, monkeypatch):
    slow = service.serve.model_copy(update={"timeout": 0.05})
    monkeypatch.setattr(service, "serve", slow)
    service.batcher.close()     # nobody answers any more
    with TestClient(create_app(service)) as client:
        ended = client.post("/v1/predict", content=json.dumps({"samples": sound(0.5).tolist(), "sample_rate": 16000}),
                            headers={"Content-Type": "application/json"})
        assert ended.status_code == 504 and "0.05 s" in ended.json()["error"]
        assert client.get("/readyz").status_code == 503 and client.get("/healthz").status_code == 200
