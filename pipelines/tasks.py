"""The steps as Prefect tasks. Prefect's own result cache is off: DVC decides what to skip."""

import datetime
import logging
import os
import platform
from pathlib import Path
from typing import Any, Literal

from prefect import get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE

from pipelines import cluster, steps


@task(name="pull-data", cache_policy=NO_CACHE, persist_result=False, retries=2, retry_delay_seconds=10)
def pull_data(of_commit: bool = False) -> None:
    """Bring data/ from the DVC remote; retried, since a remote may be away for a moment.

    A deployment `local` takes data/ as it lies, like all of the folder; any other, and a run with settings of its own
    (`of_commit`), takes the data of its commit.
    """
    log = get_run_logger().info
    log("on %s in %s, CUDA_VISIBLE_DEVICES=%s", platform.node(), Path.cwd(), os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    steps.pull(say=log, as_named=of_commit or runtime.deployment.name not in (None, "local"))


@task(name="dvc-repro", task_run_name="dvc-repro-{stage}", cache_policy=NO_CACHE, persist_result=False)
def repro(stage: str) -> dict[str, float]:
    """`dvc repro STAGE` with all that it stands on."""
    with cluster.shared_with_stages():
        return steps.repro(stage, say=get_run_logger().info)


@task(name="reproduce", task_run_name="reproduce-{paper}", cache_policy=NO_CACHE, persist_result=False)
def reproduce(paper: Literal["paper1", "paper2", "splits", "across"]) -> dict[str, float]:
    """`dvc repro reproduction/dvc.yaml:PAPER` with all that it stands on, the main graph's stages among it."""
    with cluster.shared_with_stages():
        return steps.reproduce(paper, say=get_run_logger().info)


@task(name="push-outputs", cache_policy=NO_CACHE, persist_result=False, retries=2, retry_delay_seconds=10)
def push_outputs() -> None:
    """Outputs and run cache to the shared DVC remote, where there is one: no other machine makes them again."""
    steps.push(say=get_run_logger().info)


@task(name="register-candidate", cache_policy=NO_CACHE, persist_result=False, retries=2, retry_delay_seconds=10)
def register_candidate() -> str:
    """Register the model with its reports under the alias candidate."""
    version = steps.register()
    get_run_logger().info("registered version %s as candidate", version)
    return version


@task(name="promote", cache_policy=NO_CACHE, persist_result=False)
def promote(version: str | None, to: Literal["staging", "production"], reason: str | None) -> dict:
    """Move the alias when every rule passes."""
    return steps.promote(version, to, reason)


@task(name="score", cache_policy=NO_CACHE, persist_result=False, retries=2, retry_delay_seconds=60)
def score(source: str, out: str, model: str | None, coverage: float | None, records: str | None,
          day: datetime.date) -> dict[str, Any]:
    """Answer the recordings of a source; retried, since a store may be away, and each attempt goes on."""
    with cluster.shared_with_stages():
        scored = steps.score(source, out, model, coverage, records, day)
    get_run_logger().info(scored.words())
    return scored.record()


@task(name="watch", cache_policy=NO_CACHE, persist_result=False)
def watch(records: str | None, corrections: str | None, model: str | None) -> dict:
    """Judge the records of a service, and say the verdict in the log and as an artifact of this flow run."""
    from prefect.artifacts import create_markdown_artifact

    report = steps.watch(records, corrections, model)
    words = "\n".join(f"- {line}" for line in report.get("words", []))
    get_run_logger().log(logging.ERROR if report.get("alarm") else logging.INFO, "%s\n%s", report["verdict"], words)
    create_markdown_artifact(f"**{report['verdict']}**\n\n{words}\n\n{report.get('page', '')}", key="watch")
    return report


@task(name="retrain", cache_policy=NO_CACHE, persist_result=False)
def retrain() -> str:
    """Ask for a run of train-fusion/local and do not wait for it; returns which one, in words."""
    from prefect.deployments import run_deployment

    started = run_deployment("train-fusion/local", timeout=0, as_subflow=False)
    said = f"train-fusion/local starts: {started.name}"
    get_run_logger().info(said)
    return said


@task(name="publish-tables", cache_policy=NO_CACHE, persist_result=False)
def publish_tables() -> None:
    """The tables of reports/ as artifacts of this flow run."""
    from pipelines import tables

    tables.publish()
