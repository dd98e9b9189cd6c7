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
    result = CliRunner().invoke(app, ["models", "check", "lstm", "--json"])
    trials = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0 and all(trial["passed"] and trial["model"] == "lstm" for trial in trials)
    titles = {method.title for method in METHODS.values()}
    assert {trial["what"] for trial in trials} >= titles | {"answer", "gradients", "folder"}


def test_what_is_missing_is_counted_and_ends_with_1(monkeypatch):
    monkeypatch.setattr(LSTMModel, "name", "gru")
    result = CliRunner().invoke(app, ["models", "check", "lstm"])
    assert result.exit_code == 1 and result.stdout.splitlines()[-1] == "lstm: 1 missing"
    assert "MISSING network: LSTMModel.name is 'gru': set it to 'lstm'" in result.stdout


def test_an_unknown_model_is_one_line():
    with pytest.raises(UserError, match="unknown model 'perceptron': expected one of fusion, "):
        CliRunner().invoke(app, ["models", "check", "perceptron"], catch_exceptions=False)
