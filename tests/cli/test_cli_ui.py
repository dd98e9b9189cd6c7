"""ser-ops ui on an address that others reach says that there is no login."""

import os

import pytest
from typer.testing import CliRunner

from ser_ops import cli
from ser_ops.cli import registry
from ser_ops.errors import UserError
from ser_ops.tracking import compare


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path) -> list[list[str]]:
    """The commands that would have taken this process's place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    monkeypatch.setattr(registry, "load_params", lambda: None)
    monkeypatch.setattr(compare, "page_links", lambda params, address: {})
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, command: commands.append(command))
    return commands


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_where_others_reach_it_one_line_says_so(started: list[list[str]], host: str) -> None:
    done = CliRunner().invoke(cli.app, ["ui", "--host", host, "--port", "5417"])
    line, = done.stderr.splitlines()
    assert line.startswith(f"{host}: there is no login: anyone who reaches port 5417") and "--host" in line
    assert done.exit_code == 0 and started[0][-4:] == ["--host", host, "--port", "5417"]


@pytest.mark.parametrize("host", [[], ["--host", "127.0.0.1"], ["--host", "127.8.8.8"], ["--host", "localhost"],
                                  ["--host", "::1"]])
def test_on_loopback_nothing_is_said(started: list[list[str]], host: list[str]) -> None:
    done = CliRunner().invoke(cli.app, ["ui", *host])
    assert not done.stderr and len(started) == 1


@pytest.mark.parametrize("host", ["no-such-host.invalid", ""])
def test_a_name_that_is_no_host_starts_nothing(started: list[list[str]], host: str) -> None:
    done = CliRunner().invoke(cli.app, ["ui", "--host", host])
    assert isinstance(done.exception, UserError) and f"--host: {host!r} is no host (" in str(done.exception)
    assert not started
