"""ser-ops models check: plain lines, JSON, exit codes."""

import json

import pytest
from typer.testing import CliRunner

from ser_ops.cli import app
from ser_ops.errors import UserError
from ser_ops.methods import METHODS
from ser_ops.models.paper2 import LSTMModel


@pytest.fixture(autouse=True)
def here(monkeypatch, request):
    monkeypatch.chdir(request.config.rootpath)


def test_a_whole_model_in_json():
    found = CliRunner().invoke(app, ["models", "check", "lstm", "--json"])
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert found.exit_code == 0 and all(one["passed"] and one["model"] == "lstm" for one in lines)
    assert {one["what"] for one in lines} >= {one.title for one in METHODS.values()} | {"answer", "gradients", "folder"}


def test_what_is_missing_is_counted_and_ends_with_1(monkeypatch):
    monkeypatch.setattr(LSTMModel, "name", "gru")
    found = CliRunner().invoke(app, ["models", "check", "lstm"])
    assert found.exit_code == 1 and found.stdout.splitlines()[-1] == "lstm: 1 missing"
    assert "MISSING network: LSTMModel.name is 'gru': set it to 'lstm'" in found.stdout


def test_an_unknown_model_is_one_line():
    with pytest.raises(UserError, match="unknown model 'perceptron': expected one of fusion, "):
        CliRunner().invoke(app, ["models", "check", "perceptron"], catch_exceptions=False)
