"""A wrong address, whatever answers there: one line, within one limit, in every command that asks the server."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from strangers import STRANGERS, Stranger
from tracking_project import PARAMS

from ser_ops.config.params import Params
from ser_ops.doctor import servers
from ser_ops.errors import UserError
from ser_ops.gate.promotion import demote, promote
from ser_ops.tracking.compare import latest_models
from ser_ops.tracking.exchange import LARGEST_ANSWER, Refused, ask_json
from ser_ops.tracking.models import fetch_model
from ser_ops.tracking.outage import wait_while_away
from ser_ops.tracking.runs import open_run
from ser_ops.tracking.server import connect

LIMIT = 1.0
SLACK = 1.5     # seconds that a busy machine may add


@pytest.fixture
def stranger(request: pytest.FixtureRequest) -> Iterator[Stranger]:
    there = Stranger(request.param)
    yield there
    there.end()


@pytest.fixture
def wrong(stranger: Stranger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Settings that name the stranger as tracking server."""
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "OPTUNA_STORAGE", "DASK_SCHEDULER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return PARAMS.model_copy(update={"tracking": PARAMS.tracking.model_copy(
        update={"uri": stranger.uri, "timeout": LIMIT})})


def refused(act: Callable[[], object]) -> str:
    """The one line of the UserError that `act` raises within LIMIT."""
    began = time.monotonic()
    with pytest.raises(UserError) as raised:
        act()
    assert time.monotonic() - began < LIMIT + SLACK
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 400
    return str(raised.value)


@pytest.mark.parametrize("stranger", STRANGERS, indirect=True)
def test_whatever_answers_is_one_line_within_one_limit(wrong: Params) -> None:
    said = refused(lambda: connect(wrong))
    assert wrong.tracking.uri in said and "tracking.uri in params.yaml" in said


def train(params: Params) -> None:
    with open_run(params, "train", {}):
        pass


COMMANDS: dict[str, Callable[[Params], object]] = {
    "predict": lambda params: fetch_model(params, "models:/ser-fusion@staging"), "compare": latest_models,
    "promote": lambda params: promote(params), "demote": demote, "training": train}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("stranger", ["a byte now and then"], indirect=True)
def test_every_command_that_asks_the_server_ends_so(wrong: Params, command: str) -> None:
    said = refused(lambda: COMMANDS[command](wrong))
    assert "the tracking server does not answer (no complete answer within 1 s)" in said


@pytest.mark.parametrize("stranger", ["SSH", "a byte now and then", "a page", "other JSON", "endless slow body"],
                         indirect=True)
def test_doctor_calls_it_a_fault_in_one_line(wrong: Params, monkeypatch: pytest.MonkeyPatch,
                                             tmp_path: Path) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{wrong.tracking.uri}/api")
    began = time.monotonic()
    findings = {finding.subject: finding for finding in servers.check_servers(tmp_path, wrong)}
    assert time.monotonic() - began < 2 * (LIMIT + SLACK), "two servers, one limit each"
    for subject in ("MLflow", "Prefect"):
        finding = findings[subject]
        assert finding.verdict == "fault" and finding.mend and "\n" not in finding.found + finding.mend, finding
        assert len(finding.found) < 200


@pytest.mark.parametrize("stranger", ["endless body"], indirect=True)
def test_an_answer_without_end_is_not_read_to_its_end(stranger: Stranger) -> None:
    with pytest.raises(Refused, match=f"more than {LARGEST_ANSWER // 2**20} MiB"):
        ask_json(stranger.uri, 30, {})


@pytest.mark.parametrize("stranger", ["a byte now and then", "endless slow body"], indirect=True)
def test_what_is_given_up_leaves_no_thread_behind(stranger: Stranger) -> None:
    before = threading.active_count()
    for _ in range(4):
        with pytest.raises(Refused):
            ask_json(stranger.uri, 0.3, {})
    end = time.monotonic() + 5
    while threading.active_count() > before + 4 and time.monotonic() < end:   # the stranger's own four go on speaking
        time.sleep(0.05)
    assert threading.active_count() <= before + 4


def test_a_redirect_does_not_get_the_login() -> None:
    there = Stranger("elsewhere")
    with pytest.raises(Refused, match="answers HTTP 302"):
        ask_json(there.uri, 5, {"Authorization": "Basic planted"})
    there.end()


@pytest.mark.parametrize("stranger", ["SSH"], indirect=True)
def test_it_is_waited_for_no_longer_than_asked(wrong: Params) -> None:
    began = time.monotonic()
    with pytest.raises(UserError, match=r"the answer is not HTTP: 'SSH-2\.0"):
        wait_while_away(lambda: connect(wrong), 0.5)
    assert time.monotonic() - began < 0.5 + LIMIT + SLACK


@pytest.mark.parametrize("stranger", ["SSH", "silence", "a byte now and then", "closed at once", "a page"],
                         indirect=True)
def test_where_a_database_is_expected_too(wrong: Params) -> None:
    """MLflow itself would try ten times, for minutes."""
    address = wrong.tracking.uri.replace("http://", "postgresql+psycopg2://ann:planted@") + "/mlflow"
    params = wrong.model_copy(update={"tracking": wrong.tracking.model_copy(update={"uri": address})})
    said = refused(lambda: connect(params))
    assert "the tracking database does not answer" in said and "planted" not in said


def test_a_database_without_a_driver_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mssql+pyodbc://ann:planted@127.0.0.1/mlflow")
    with pytest.raises(UserError, match="no driver for this database is installed") as raised:
        connect(PARAMS)
    assert "planted" not in str(raised.value) and "\n" not in str(raised.value)
