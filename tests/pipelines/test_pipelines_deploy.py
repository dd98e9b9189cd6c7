"""What `python -m pipelines.deploy` asks of a server; tests/end_to_end/test_prefect.py asks a real one."""

import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines import deploy
from ser_ops.errors import UserError

PROJECT = Path(__file__).resolve().parents[2]
WANTED = yaml.safe_load((PROJECT / "prefect.yaml").read_text())
COMMIT = "{{ commit.stdout }}"


class Client:
    """What a server was asked for."""

    def __init__(self) -> None:
        self.flows: dict[str, uuid.UUID] = {}
        self.deployments: list[dict[str, Any]] = []

    def create_flow_from_name(self, name: str) -> uuid.UUID:
        assert name not in self.flows, f"{name}: asked for once"
        return self.flows.setdefault(name, uuid.uuid4())

    def create_deployment(self, **asked: Any) -> uuid.UUID:
        self.deployments.append(asked)
        return uuid.uuid4()


def test_each_deployment_of_prefect_yaml_is_made_as_it_stands_there(monkeypatch, capsys):
    asked_for: list[Any] = []
    real = deploy._built

    def built(steps: Any) -> Any:
        asked_for.append(steps)
        return real(steps)

    monkeypatch.setattr(deploy, "_built", built)
    client, wanted = Client(), WANTED["deployments"]
    deploy._make_deployments(client, wanted, WANTED["pull"])
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert len(client.deployments) == len(wanted)
    assert len(client.flows) == len({deployment["entrypoint"] for deployment in wanted})
    assert len(asked_for) == 2, "git is asked once, not for each"
    for given, asked in zip(client.deployments, wanted, strict=True):
        flow = asked["entrypoint"].split(":")[1].replace("_", "-")
        assert given["flow_id"] == client.flows[flow]
        assert given["name"] == asked["name"] and given["entrypoint"] == asked["entrypoint"]
        assert given["version"] and given["enforce_parameter_schema"]
        assert (given["description"], given["tags"]) == (asked["description"], asked["tags"])
        pool = asked["work_pool"]
        assert (given["work_pool_name"], given["work_queue_name"]) == (pool["name"], pool["work_queue_name"])
        assert given["job_variables"] == pool["job_variables"]
        assert given["parameters"] == asked.get("parameters")
        assert [{"cron": made.schedule.cron, "timezone": made.schedule.timezone, "active": made.active}
                for made in given["schedules"]] == asked.get("schedules", [])
        pull = yaml.safe_dump(asked.get("pull", WANTED["pull"])).replace(COMMIT, head.stdout.strip())
        assert given["pull_steps"] == yaml.safe_load(pull) and COMMIT not in yaml.safe_dump(given["pull_steps"])
    active = {given["flow_id"]: [made.schedule.cron for made in given["schedules"] if made.active]
              for given in client.deployments if any(made.active for made in given["schedules"])}
    assert active == {client.flows["watch-model"]: ["0 6 * * 1"]}
    parameters = {deployment["entrypoint"].split(":")[1]: deployment["parameter_openapi_schema"]["properties"]
                  for deployment in client.deployments}
    assert set(parameters["promote_model"]) == {"version", "to", "override_reason"}
    assert list(parameters["train_fusion"]) == ["preset", "model", "corpora", "trials", "overrides"]
    assert all(parameter["description"] for parameter in parameters["train_fusion"].values()), "the run form says it"
    assert "spectral" in parameters["train_fusion"]["model"]["enum"]
    assert len(capsys.readouterr().out.splitlines()) == len(wanted), "a line for each, as soon as it is there"


def test_what_it_does_not_know_is_refused_and_not_left_out():
    paused = {**WANTED["deployments"][0], "paused": True}
    with pytest.raises(UserError, match=r"^prefect\.yaml: validate-data/local: .* does not know 'paused'"):
        deploy._make_deployments(Client(), [paused], WANTED["pull"])
    scheduled = {**WANTED["deployments"][0], "schedules": [{"interval": 60}]}
    with pytest.raises(UserError, match=r"^prefect\.yaml: the schedule \{'interval': 60\}: .* knows cron"):
        deploy._make_deployments(Client(), [scheduled], WANTED["pull"])


@pytest.mark.parametrize(("step", "words"), [
    ({deploy._COMMAND: {"id": "commit", "script": "git rev-parse nowhere"}}, "'git rev-parse nowhere' failed: "),
    ({deploy._COMMAND: {"id": "commit", "script": "nocommand"}}, "'nocommand' failed: "),
    ({"prefect_docker.deployments.steps.build_docker_image": {"id": "image"}}, "build_docker_image: use "),
])
def test_a_build_step_that_fails_or_is_not_known_is_one_line(step, words):
    with pytest.raises(UserError, match=r"^prefect\.yaml: ") as failure:
        deploy._built([step])
    assert words in str(failure.value) and len(str(failure.value).splitlines()) == 1


def test_a_server_that_does_not_answer_is_one_line(monkeypatch):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), pytest.raises(UserError) as failure:
        deploy.main()
    assert "http://127.0.0.1:9/api" in str(failure.value) and "PREFECT_API_URL" in str(failure.value)
    assert len(str(failure.value).splitlines()) == 1
