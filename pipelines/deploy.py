"""python -m pipelines.deploy: work pools, deployments of prefect.yaml and automations, made or brought up to date.

`prefect deploy --all` makes the same deployments more slowly: for each it loads the flow and runs git again.
"""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import yaml

from pipelines.checkout import CLONE
from ser_ops.errors import UserError

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.actions import DeploymentScheduleCreate

AUTOMATIONS = Path(__file__).with_name("automations.yaml")
_KEYS = {"name", "entrypoint", "description", "tags", "work_pool", "build", "pull", "parameters", "schedules"}
_COMMAND = "prefect.deployments.steps.run_shell_script"


def main() -> None:
    """Ask the server of PREFECT_API_URL for all of it.

    Raises:
        UserError: The server does not answer or refuses, or prefect.yaml asks for what this command does not know.
    """
    from httpx import HTTPError
    from prefect.client.orchestration import get_client

    content = yaml.safe_load((CLONE / "prefect.yaml").read_text(encoding="utf-8"))
    pools = [pool["name"] for pool in content["definitions"]["pools"].values()]
    with get_client(sync_client=True) as client:
        try:
            _make_pools(client, pools)
            _make_deployments(client, content["deployments"], content["pull"])
            _make_automations(client, yaml.safe_load(AUTOMATIONS.read_text(encoding="utf-8")))
        except HTTPError as error:
            said = str(error).splitlines() or [type(error).__name__]
            raise UserError(f"{client.api_url}: {said[0]}: start the server there, or set PREFECT_API_URL and "
                            "PREFECT_API_AUTH_STRING") from error
    print(f"deployed to {', '.join(pools)}: prefect worker start --pool {pools[0]} --limit 1")


def _make_pools(client: "SyncPrefectClient", names: Iterable[str]) -> None:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    for name in names:
        try:
            client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))
        except ObjectAlreadyExists:   # with what somebody has set on it since
            continue


def _make_deployments(client: "SyncPrefectClient", wanted: Iterable[Mapping[str, Any]],
                      pull: list[dict[str, Any]]) -> None:
    """Make deployments.

    Args:
        client: The server's.
        wanted: Entries of `deployments` in prefect.yaml.
        pull: The pull steps of those that have none of their own.
    """
    from prefect.utilities.callables import parameter_schema
    from prefect.utilities.templating import apply_values

    flow_ids: dict[str, UUID] = {}
    built: dict[str, dict[str, dict[str, str]]] = {}    # by the build steps
    for deployment in wanted:       # in turn: eight requests at once were no faster with a server of one process
        flow, name = _flow(deployment["entrypoint"]), deployment["name"]
        if unknown := set(deployment) - _KEYS:
            raise UserError(f"prefect.yaml: {flow.name}/{name}: pipelines.deploy does not know "
                            f"'{sorted(unknown)[0]}': remove it, or make this one with prefect deploy")
        steps = deployment.get("build", [])
        as_key = json.dumps(steps)
        if as_key not in built:
            built[as_key] = _built(steps)
        if flow.name not in flow_ids:
            flow_ids[flow.name] = client.create_flow_from_name(flow.name)
        pool = deployment["work_pool"]
        filled: Any = apply_values(deployment.get("pull", pull), built[as_key], remove_notset=False)
        client.create_deployment(
            flow_id=flow_ids[flow.name], name=name, version=flow.version,
            description=deployment["description"], tags=deployment["tags"], entrypoint=deployment["entrypoint"],
            work_pool_name=pool["name"], work_queue_name=pool["work_queue_name"], job_variables=pool["job_variables"],
            pull_steps=filled, parameters=deployment.get("parameters"),
            schedules=[_schedule(asked) for asked in deployment.get("schedules", [])],
            parameter_openapi_schema=parameter_schema(flow).model_dump(exclude_unset=True),
            enforce_parameter_schema=True)
        print(f"{flow.name}/{name}", flush=True)


def _schedule(asked: Mapping[str, Any]) -> "DeploymentScheduleCreate":
    """A schedule as it stands in prefect.yaml: cron, timezone and whether it is active."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule

    if set(asked) != {"cron", "timezone", "active"}:
        raise UserError(f"prefect.yaml: the schedule {dict(asked)}: pipelines.deploy knows cron, timezone and active: "
                        "give these, or make this deployment with prefect deploy")
    return DeploymentScheduleCreate(schedule=CronSchedule(cron=asked["cron"], timezone=asked["timezone"]),
                                    active=asked["active"])


def _flow(entrypoint: str) -> "Flow[..., Any]":
    """The flow of a file and a function, as `pipelines/flows.py:train_fusion`."""
    file, function = entrypoint.split(":")
    flow: Flow[..., Any] = getattr(import_module(file.removesuffix(".py").replace("/", ".")), function)
    return flow


def _built(steps: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """What the command of each build step prints, by the step's id, as `{{ commit.stdout }}` in prefect.yaml."""
    printed = {}
    for step in steps:
        (kind, given), = step.items()
        if kind != _COMMAND or "id" not in given:
            raise UserError(f"prefect.yaml: pipelines.deploy does not know the build step {kind}: use {_COMMAND} with "
                            "an id, or make this deployment with prefect deploy")
        try:
            done = subprocess.run(shlex.split(given["script"]), cwd=CLONE, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
            raise UserError(f"prefect.yaml: the build step '{given['script']}' failed: {said[-1]}") from error
        printed[given["id"]] = {"stdout": done.stdout.strip()}
    return printed


def _make_automations(client: "SyncPrefectClient", wanted: Iterable[dict[str, Any]]) -> None:
    from prefect.events.schemas.automations import AutomationCore

    for content in wanted:
        automation = AutomationCore.model_validate(content)
        known = client.read_automations_by_name(automation.name)
        if known:
            client.update_automation(known[0].id, automation)
        else:
            client.create_automation(automation)


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m pipelines.deploy", description=__doc__).parse_args()
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
