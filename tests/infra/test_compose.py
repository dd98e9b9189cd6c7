"""infra/compose.yaml as its own schema has it, and what the project asks of it beyond that."""

import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from infra.stack import compose
from infra.stack.stack import COMPOSE
from ser_ops.errors import UserError

RAW: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
SECRET = re.compile(r"PASSWORD|SECRET|_KEY|AUTH_STRING|TOKEN")
LONG = [name for name in RAW["services"] if RAW["services"][name]["restart"] == "unless-stopped"]


def schema_says(file: str) -> str:
    done = subprocess.run([sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", file],
                          capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr if done.returncode else ""


def test_the_schema_of_compose_files_is_kept(tmp_path):
    assert not schema_says(str(COMPOSE))
    broken = tmp_path / "compose.yaml"
    broken.write_text(COMPOSE.read_text().replace("    healthcheck:", "    healthchecks:", 1))
    assert "healthchecks" in schema_says(str(broken))


@pytest.mark.parametrize("name", RAW["services"])
def test_published_on_loopback_alone_and_pinned(name):
    service = RAW["services"][name]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert re.search(r":\d+\.\d+", service["image"])
    assert not service.get("privileged") and "network_mode" not in service


@pytest.mark.parametrize("name", LONG)
def test_every_server_and_worker_has_a_health_check(name):
    assert RAW["services"][name]["healthcheck"]["test"][0] == "CMD"


def test_no_secret_stands_in_it():
    unquoted = [(name, key) for name, service in RAW["services"].items()
                for key, value in service.get("environment", {}).items()
                if SECRET.search(key) and not re.fullmatch(r"\$\{\w+:\?\}", value)]
    assert not unquoted
    commands = [text for service in RAW["services"].values() for text in service["command"]]
    assert not [text for text in commands if SECRET.search(text)], "a command line is seen by everybody on the machine"


def test_the_example_names_all_secrets_and_holds_none():
    lines = (COMPOSE.parent / ".env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert sorted(given) == sorted(compose.required(COMPOSE))
    assert set(given.values()) == {""}


@pytest.mark.parametrize(("text", "given", "filled"), [
    ("$A ${A} $$A", {"A": "1"}, "1 1 $A"),
    ("${A:-d}|${A-d}", {"A": ""}, "d|"),
    ("${A:-d}|${A-d}", {}, "d|d"),
    ("${A:+x}|${A+x}", {"A": ""}, "|x"),
    ("${A:-http://b:1/c}", {}, "http://b:1/c"),
])
def test_variables_are_filled_in_as_compose_does(text, given, filled):
    assert compose.interpolate(text, given) == filled


@pytest.mark.parametrize("text", ["${PASSWORD:?}", "${PASSWORD?}"])
def test_a_variable_that_must_be_set_is_named(text):
    with pytest.raises(UserError, match="PASSWORD is not set"):
        compose.interpolate(text, {})


def test_clients_hold_no_password_of_a_server():
    secrets = {name: f"<{name}>" for name in compose.required(COMPOSE)}
    held = " ".join(compose.client(COMPOSE, secrets).values())
    for name in ("POSTGRES_PASSWORD", "MLFLOW_PGPASSWORD", "PREFECT_PGPASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY",
                 "WEED_JWT_SIGNING_KEY", "WEED_JWT_FILER_SIGNING_KEY"):
        assert f"<{name}>" not in held
