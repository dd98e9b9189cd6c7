"""python -m pipelines.deploy: work pools, deployments of prefect.yaml and automations, made or brought up to date."""

import subprocess
import sys
from pathlib import Path

import yaml

from pipelines.checkout import CLONE
from ser_ops.errors import UserError

AUTOMATIONS = Path(__file__).with_name("automations.yaml")


def main() -> None:
    """Ask the server of PREFECT_API_URL for all of it."""
    definitions = yaml.safe_load((CLONE / "prefect.yaml").read_text())["definitions"]
    pools = [one["name"] for one in definitions["pools"].values()]
    _make_pools(pools)
    if subprocess.run([sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"], cwd=CLONE,
                      check=False).returncode:
        raise UserError("prefect deploy --all failed: see its lines above")
    _make_automations(yaml.safe_load(AUTOMATIONS.read_text()))
    print(f"deployed to {', '.join(pools)}: prefect worker start --pool {pools[0]} --limit 1")


def _make_pools(names: list[str]) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    with get_client(sync_client=True) as client:
        for name in names:
            try:
                client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))
            except ObjectAlreadyExists:   # with what somebody has set on it since
                continue


def _make_automations(wanted: list[dict]) -> None:
    from prefect.client.orchestration import get_client
    from prefect.events.schemas.automations import AutomationCore

    with get_client(sync_client=True) as client:
        for one in wanted:
            automation = AutomationCore.model_validate(one)
            there = client.read_automations_by_name(automation.name)
            if there:
                client.update_automation(there[0].id, automation)
            else:
                client.create_automation(automation)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
