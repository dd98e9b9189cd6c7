"""ser-ops doctor against the real servers: what it says of each that answers, and that a wrong password is found."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from warm_programs import warm_programs

PROJECT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def examined(environment: dict[str, str], home: Path) -> tuple[dict[str, dict[str, str]], str]:
    command = [warm_programs() / "python", "-c", "from ser_ops.cli import main; main()", "doctor", "--json"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120,
                          env=os.environ | environment | {"PREFECT_HOME": str(home)})
    assert "Traceback" not in done.stderr, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {one["subject"]: one for one in found if one["group"] == "servers"}, done.stdout + done.stderr


def test_every_server_of_the_stack_answers(stack, tmp_path):
    found, said = examined(stack.environment, tmp_path)
    for subject in ("MLflow", "Prefect", "tuning"):
        assert found[subject]["verdict"] == "ok", found[subject]
    assert "answers to admin" in found["MLflow"]["found"] and "PostgreSQL 1" in found["tuning"]["found"]
    secrets = [value for name, value in stack.settings.items() if value and ("PASSWORD" in name or "SECRET" in name)]
    assert secrets and not any(secret in said for secret in secrets)


def test_a_wrong_password_is_a_fault_with_its_remedy(stack, tmp_path):
    wrong = {"MLflow": "MLFLOW_TRACKING_PASSWORD", "Prefect": "PREFECT_API_AUTH_STRING", "tuning": "PGPASSWORD"}
    found, said = examined(stack.environment | {"MLFLOW_TRACKING_PASSWORD": "wrong-password", "PGPASSWORD":
                           "wrong-password", "PREFECT_API_AUTH_STRING": "admin:wrong-password"}, tmp_path)
    for subject, variable in wrong.items():
        assert found[subject]["verdict"] == "fault" and variable in found[subject]["mend"], found[subject]
    assert "wrong-password" not in said
