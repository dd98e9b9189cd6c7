"""`prefect deployment run train-fusion/local` through a real server and a real worker."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def prefect(reproduced, tmp_path_factory):
    """The reproduced workspace with a Prefect server, its deployments and a worker of the local pool."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    workspace, home = reproduced, tmp_path_factory.mktemp("prefect")
    workspace.environment |= {"PREFECT_HOME": str(home), "PREFECT_LOGGING_LEVEL": "INFO",
                              "PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PREFECT_WORKER_QUERY_SECONDS": "2"}
    started = [workspace.start("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui",
                               log=home / "server.log")]
    try:
        _wait(f"http://127.0.0.1:{port}/api/health")
        for _ in range(2):   # again brings it up to date
            workspace.run("python", "-m", "pipelines.deploy")
        started.append(workspace.start("prefect", "worker", "start", "--pool", "local-pool", log=home / "worker.log"))
        yield workspace
    finally:
        for process in reversed(started):
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:   # a busy machine; nothing is asked of them any more
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait(url: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > end:
                raise
            time.sleep(0.5)


def test_all_flows_are_deployed(prefect):
    listed = prefect.run("prefect", "deployment", "ls").stdout
    for flow in ("validate-data", "augment-data", "train-fusion", "train-ablations", "evaluate-model", "promote-model",
                 "reproduce-paper1", "reproduce-paper2", "reproduce-splits", "reproduce-across", "score"):
        assert f"{flow}/local" in listed
    assert "train-fusion/gpu" in listed
    automations = json.loads(prefect.run("prefect", "automation", "inspect", "--json",
                                         "ser-ops a silent run has crashed").stdout)
    assert len(automations) == 1, "made once, however often it is deployed"


def test_train_fusion_ends_completed_with_its_tables_and_a_candidate(prefect):
    done = prefect.run("prefect", "deployment", "run", "train-fusion/local", "--watch", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Completed" in done.stdout
    listed = prefect.run("prefect", "artifact", "ls").stdout
    for key in ("robustness", "ablation", "gate", "verdict"):
        assert re.search(rf"\b{key}\b", listed), listed
    gate = json.loads((prefect.folder / "reports/gate.json").read_text())
    reason = [] if gate["passed"] else ["--override", "trying the candidate of the flow"]
    answer = prefect.run("ser-ops", "promote", *reason)
    assert "staging" in answer.stdout


def test_two_flows_that_need_the_same_workspace_queue(prefect):
    """Both run at once; neither fails on DVC's lock, and what both need is made once."""
    log = Path(prefect.environment["PREFECT_HOME"]) / "worker.log"
    settings, said = (prefect.folder / "params.yaml").read_text(), len(log.read_text())
    prefect.change(validation={"silent_share": 0.96}, augment={"seed": 31})
    try:
        asked = [prefect.start("prefect", "deployment", "run", f"{flow}/local", "--watch")
                 for flow in ("validate-data", "augment-data")]
        answers = [one.communicate(timeout=600)[0] for one in asked]
    finally:
        (prefect.folder / "params.yaml").write_text(settings)
    lines = log.read_text()[said:].splitlines()
    assert [one.returncode for one in asked] == [0, 0], "\n".join([*answers, *lines])
    order = [next(at for at, line in enumerate(lines) if re.search(wanted, line)) for wanted in (
        "for flow 'validate-data'", "for flow 'augment-data'", r"Flow run .* Finished in state")]
    assert max(order[:2]) < order[2], "they were there together"
    for stage in ("validate", "augment", "audit"):
        assert sum(f"Running stage '{stage}'" in line for line in lines) == 1, stage
    assert not any("lock" in line.lower() and "error" in line.lower() for line in lines)


def test_a_blocked_promotion_fails_its_flow(prefect):
    done = prefect.run("prefect", "deployment", "run", "promote-model/local", "--watch", "--param", 'version="9999"',
                       check=False)
    assert done.returncode != 0 and "Failed" in done.stdout + done.stderr
