"""The database of a shared search: what is said of an address that is none, and while it is waited for."""

import socket

import pytest

from ser_ops.errors import UserError
from ser_ops.training.study_store import StudyStore


def test_a_port_that_is_no_number_is_one_line_without_the_password(params, monkeypatch):
    monkeypatch.setenv("OPTUNA_STORAGE", "postgresql://ann:planted@host:planted/optuna")
    with pytest.raises(UserError, match="OPTUNA_STORAGE: is no address") as raised:
        StudyStore("a", params.compute)
    assert "planted" not in str(raised.value) and "\n" not in str(raised.value)


def test_waiting_is_said_once(params, monkeypatch, capsys):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("OPTUNA_STORAGE", f"postgresql://ann:planted@127.0.0.1:{nobody.getsockname()[1]}/optuna")
        store = StudyStore("a", params.compute.model_copy(update={"outage_seconds": 0.5, "heartbeat_seconds": 0.1}))
        with pytest.raises(UserError, match="does not answer"):
            store.exists()
    said = capsys.readouterr().err
    assert said.startswith("waiting for up to 0.5 s: postgresql://127.0.0.1") and said.count("waiting") == 1
    assert "planted" not in said and said.count("\n") == 1
