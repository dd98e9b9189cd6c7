"""Prefect's server, asked over its own API as its pages do."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

ENDED = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")


def wait(for_what: Callable[[], Any], what: str, seconds: float) -> Any:
    end = time.monotonic() + seconds
    while not (found := for_what()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.2)
    return found


@dataclass
class Server:
    """Runs: asked for, looked at, cancelled."""

    client: httpx.Client

    def ask(self, deployment: str) -> str:
        """Ask for a run, as `prefect deployment run` does; its id."""
        there = self.client.get(f"/deployments/name/{deployment}").raise_for_status().json()
        made = self.client.post(f"/deployments/{there['id']}/create_flow_run", json={"state": {"type": "SCHEDULED"}})
        return str(made.raise_for_status().json()["id"])

    def run(self, identity: str) -> dict[str, Any]:
        return dict(self.client.get(f"/flow_runs/{identity}").raise_for_status().json())

    def cancel(self, identity: str) -> None:
        """What `prefect flow-run cancel` asks for, without the seconds that a new process takes."""
        self.turn(identity, "CANCELLING")

    def turn(self, identity: str, state: str) -> None:
        self.client.post(f"/flow_runs/{identity}/set_state",
                         json={"state": {"type": state, "name": state.title()}}).raise_for_status()

    def end(self, identity: str, seconds: float = 1500) -> dict[str, Any]:
        """The run, once it has ended for good."""
        wait(lambda: self.run(identity)["state_type"] in ENDED, f"end of {identity}", seconds)
        return self.run(identity)

    def states(self, identity: str) -> list[str]:
        found = self.client.get("/flow_run_states/", params={"flow_run_id": identity}).raise_for_status().json()
        return [one["name"] for one in sorted(found, key=lambda one: one["timestamp"])]

    def lines(self, identity: str) -> list[str]:
        """What a run has said, in order."""
        found: list[str] = []
        while True:
            page = self.client.post("/logs/filter", json={
                "logs": {"flow_run_id": {"any_": [identity]}}, "sort": "TIMESTAMP_ASC", "offset": len(found),
                "limit": 200}).raise_for_status().json()
            found += [one["message"] for one in page]
            if len(page) < 200:
                return found
