"""What is said and written holds no secret, and is otherwise as it was."""

import base64
import json
from pathlib import Path

from ser_ops.tracking.runs import open_run
from ser_ops.tracking.server import redacted, without_login


def test_a_login_is_masked_in_each_of_its_forms(monkeypatch):
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:planted-word")
    coded = base64.b64encode(b"admin:planted-word").decode()
    assert redacted(f"admin:planted-word or planted-word or Basic {coded}") == "*** or *** or Basic ***"


def test_a_short_password_leaves_words_as_they_are(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "serve")
    assert redacted("http://ann:serve@host: the server refused") == "http://host: the server refused"


def test_run_json_names_its_store_whatever_the_password(params, monkeypatch):
    uri = params.tracking.uri
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.replace("://", "://ann:planted@"))
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", f"admin:{uri.partition('://')[2]}")
    with open_run(params, "a", {}) as run:
        run.write(Path("run.json"))
    assert json.loads(Path("run.json").read_text())["tracking_uri"] == uri
    assert without_login("postgresql://ann:planted@host/db?password=planted") == "postgresql://host/db"
