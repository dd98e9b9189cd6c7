"""Flows call their steps in order, prefect.yaml deploys every flow, and the steps ask DVC for the right stages."""

import datetime
import inspect
import logging
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml
from prefect import Flow
from prefect.cache_policies import NO_CACHE
from prefect.events.schemas.automations import AutomationCore
from project_copy import write_settings

from pipelines import checkout, flows, steps, tasks
from ser_ops import papers, workspace
from ser_ops.config.params import load_params
from ser_ops.errors import UserError
from ser_ops.scoring import run
from ser_ops.stages import training_run

PROJECT = Path(__file__).resolve().parents[2]
FLOWS = {name: flow for name, flow in vars(flows).items() if isinstance(flow, Flow)}
PREFECT = yaml.safe_load((PROJECT / "prefect.yaml").read_text())
DEPLOYED = PREFECT["deployments"]
PAPERS = ("paper1", "paper2", "splits", "across")


TASKS = ("pull_data", "repro", "reproduce", "push_outputs", "register_candidate", "promote", "publish_tables",
         "retrain", "score")


@pytest.fixture
def made():
    """The stages that are not up to date."""
    return set()


@pytest.fixture
def called(monkeypatch, made):
    """What the flows ask of their tasks, in order, and the settings in which they do."""
    calls = []

    def note(name):
        def task(*arguments):
            calls.append((name, *arguments))
            return dict.fromkeys(made.intersection(map(str, arguments)), 1.0)
        return task

    @contextmanager
    def with_settings(settings, say):
        if settings:
            calls.append(("with", *settings))
        yield

    for name in TASKS:
        monkeypatch.setattr(tasks, name, note(name))
    monkeypatch.setattr(checkout, "with_settings", with_settings)
    monkeypatch.setattr(flows, "get_run_logger", logging.getLogger)
    return calls


@pytest.mark.parametrize("paper", PAPERS)
def test_a_reproduction_pulls_and_runs_its_stage(called, paper):
    FLOWS[f"reproduce_{paper}"].fn()
    assert called == [("pull_data", False), ("reproduce", paper), ("push_outputs",)]


def test_training_registers_last(called):
    flows.train_fusion.fn()
    stages = [call[1] for call in called if call[0] == "repro"]
    assert called[0] == ("pull_data", False) and called[-2:] == [("publish_tables",), ("register_candidate",)]
    assert stages[0] == "validate" and stages[-1] == "report" and len(stages) == len(set(stages))
    graph = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
    assert set(stages) <= set(graph)


def test_what_was_made_is_pushed_before_the_next_stage_may_die(called, made):
    made |= {"train", "ablate"}
    flows.train_fusion.fn()
    order = [call[-1] for call in called]
    pushed = [before for before, name in pairwise(order) if name == "push_outputs"]
    assert pushed == ["train", "ablate", "report"], "after each that ran, and at the end what a dead attempt left"


@pytest.mark.parametrize(("flow", "stage"), [("validate_data", "validate"), ("augment_data", "audit"),
                                             ("train_ablations", "ablate"), ("evaluate_model", "report")])
def test_the_other_flows_ask_for_one_stage(called, flow, stage):
    FLOWS[flow].fn()
    assert called[:2] == [("pull_data", False), ("repro", stage)]


def test_promotion_hands_its_parameters_on(called):
    flows.promote_model.fn("3", "production", "because it is right")
    assert called == [("promote", "3", "production", "because it is right")]


def test_a_scheduled_scoring_takes_the_day_before(called, monkeypatch):
    monkeypatch.setattr(flows.runtime.flow_run, "scheduled_start_time", datetime.datetime(2026, 3, 1, 2), raising=False)
    flows.score.fn("in/{day}", "out/{day}")
    flows.score.fn("in", "out", "models:/a/1", 0.9, "heard", datetime.date(2026, 1, 2))
    assert called == [("score", "in/{day}", "out/{day}", None, None, None, datetime.date(2026, 2, 28)),
                      ("score", "in", "out", "models:/a/1", 0.9, "heard", datetime.date(2026, 1, 2))]


def test_scoring_puts_the_day_into_source_and_folder(monkeypatch):
    asked = []
    monkeypatch.setattr(run, "score", lambda params, *given: asked.append(given))
    day = datetime.date(2026, 2, 28)
    steps.score("s3://calls/{day:%Y/%m/%d}", "out/{day}", None, 0.9, "heard/{day}", day)
    steps.score("calls", "out", None, None, None, day)
    assert asked == [("s3://calls/2026/02/28", Path("out/2026-02-28"), None, 0.9, Path("heard/2026-02-28")),
                     ("calls", Path("out"), None, None, None)]
    for name in ("in/{month}", "in/{", "in/{0}", "in/{day.nothing}"):
        with pytest.raises(UserError, match="braces stand for a day alone"):
            steps.score(name, "out", None, None, None, day)


@pytest.mark.parametrize(("alarm", "retrain", "asked"), [
    (False, True, []), (True, False, []), (True, True, ["retrain"])])
def test_an_alarm_is_the_state_of_the_run_and_trains_where_that_is_set(called, monkeypatch, alarm, retrain, asked):
    report = {"verdict": "changed" if alarm else "quiet", "alarm": alarm, "words": ["Sound is other."]}
    monkeypatch.setattr(tasks, "watch", lambda records, corrections, model: report)
    monkeypatch.setattr(tasks, "retrain", lambda: called.append("retrain") or "train-fusion/local starts: a")
    monkeypatch.setattr(flows, "load_params", lambda: with_watch(retrain))
    state = flows.watch_model.fn("records")
    assert called == asked
    if not alarm:
        assert state == "quiet"
    else:
        assert state.name == "Alarm" and state.is_completed() and state.message.startswith("changed: Sound is other.")
        assert ("train-fusion/local starts" in state.message) == retrain


def with_watch(retrain):
    params = load_params()
    return params.model_copy(update={"watch": params.watch.model_copy(update={"retrain": retrain})})


def test_where_no_service_keeps_records_there_is_nothing_to_watch(tmp_path, monkeypatch):
    monkeypatch.chdir(PROJECT)
    report = steps.watch(str(tmp_path / "records"), None)
    assert "no records are here yet" in report["verdict"] and not report.get("alarm")


@pytest.mark.parametrize(("given", "fetched"), [
    (None, "models:/ser-fusion@staging"), ("models:/ser-fusion@production", "models:/ser-fusion@production"),
    ("models/old", "models/old")])
def test_the_model_that_is_served_is_watched(tmp_path, monkeypatch, given, fetched):
    monkeypatch.chdir(PROJECT)
    asked = []
    monkeypatch.setattr("ser_ops.tracking.models.fetch_model", lambda _, uri: asked.append(uri) or tmp_path)
    monkeypatch.setattr("ser_ops.watch.report.watch", lambda params, inputs, out, track: {"model": inputs.model})
    monkeypatch.setattr(tasks, "watch", lambda *given: {"verdict": steps.watch(*given)["model"]})
    assert flows.watch_model.fn(str(tmp_path), model=given) == str(tmp_path) and asked == [fetched]


def test_every_flow_is_named_as_its_function_and_says_what_it_does():
    for name, flow in FLOWS.items():
        assert flow.name == name.replace("_", "-") and inspect.getdoc(flow.fn)


def test_parameters_become_settings_and_the_data_of_the_commit(called):
    flows.train_fusion.fn("paper", "spectral", ["ravdess", "my corpus"],
                          overrides=["train.seed=41", "gate.worst_cell_uar=0.3"])
    assert called[:2] == [("with", "preset=paper", "train.model=spectral", 'data.corpora=["ravdess", "my corpus"]',
                           "train.seed=41", "gate.worst_cell_uar=0.3"), ("pull_data", True)]


@pytest.mark.parametrize(("preset", "file"), [("paper", "presets/paper.yaml"), (None, "presets/demo.yaml")])
def test_trials_are_set_where_the_preset_would_set_them(called, preset, file):
    flows.train_fusion.fn(preset, trials=3, overrides=["train.seed=41"])
    assert called[0] == ("with", *([f"preset={preset}"] if preset else []), f"{file}:tune.trials=3", "train.seed=41")


def test_every_flow_that_makes_something_takes_settings():
    for name, flow in FLOWS.items():
        parameters = inspect.signature(flow.fn).parameters
        assert name in ("promote_model", "score", "watch_model") or {"preset", "overrides"} <= set(parameters), name
        needed = [parameter.name for parameter in parameters.values() if parameter.default is inspect.Parameter.empty]
        assert needed == (["source", "out"] if name == "score" else []), name


def test_every_flow_is_deployed_and_every_deployment_is_a_flow():
    deployed = {}
    for deployment in DEPLOYED:
        file, name = deployment["entrypoint"].split(":")
        assert (PROJECT / file).is_file() and name in FLOWS, deployment["entrypoint"]
        assert deployment["work_pool"]["name"] == f"{deployment['name']}-pool"
        deployed.setdefault(name, []).append(deployment["name"])
    assert set(deployed) == set(FLOWS)
    for name, pools in deployed.items():
        light = ("validate_data", "augment_data", "promote_model", "watch_model")
        wanted = ["local"] if name in light else ["local", "gpu"]
        assert pools == wanted, f"{name}: each pool once, a GPU where something is trained or answered"


def test_descriptions_and_tags_tell_deployments_apart():
    assert len({deployment["description"] for deployment in DEPLOYED}) == len(DEPLOYED)
    for deployment in DEPLOYED:
        project, subject, pool = deployment["tags"]
        assert project == "ser-ops" and pool == deployment["name"]
        assert subject in ("data", "training", "evaluation", "scoring", "registry", "reproduction", "watch")


def test_every_pool_has_its_workers_say_that_they_live():
    """Less often than pipelines/automations.yaml waits, or a run that lives would be taken for dead."""
    automations = yaml.safe_load((PROJECT / "pipelines/automations.yaml").read_text())
    silent = automations[0]
    for deployment in DEPLOYED:
        beat = int(deployment["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"])
        assert beat >= 30 and silent["trigger"]["within"] >= 2 * beat
    for automation in automations:
        assert AutomationCore.model_validate(automation).name.startswith("ser-ops ")


def test_a_gpu_deployment_is_a_commit_and_a_local_one_the_folder():
    for deployment in DEPLOYED:
        pull = deployment.get("pull", PREFECT["pull"])
        (step, given), = pull[0].items()
        assert step == f"pipelines.checkout.{'at_commit' if deployment['name'] == 'gpu' else 'as_it_lies'}"
        assert set(given) == set(inspect.signature(getattr(checkout, step.rsplit(".", 1)[1])).parameters)
        assert ("build" in deployment) == (deployment["name"] == "gpu")


@pytest.fixture
def asked(monkeypatch):
    """The dvc commands of the steps, in a folder whose remote is set by the test."""
    commands = []

    def dvc(*arguments, say):
        commands.append(arguments)
        say("a line")
        return {"folds": 3.0}

    monkeypatch.setattr(steps, "dvc", dvc)
    monkeypatch.setattr(workspace, "dvc", dvc)
    monkeypatch.setattr(steps, "pull_missing", lambda say: commands.append(("what is missing",)))
    return commands


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """Set DVC's default remote in an empty repository."""
    def to(url):
        (tmp_path / ".dvc").mkdir(exist_ok=True)
        (tmp_path / ".dvc/config").write_text(f"[core]\n    remote = one\n['remote \"one\"']\n    url = {url}\n"
                                              if url else "[core]\n    no_scm = true\n")
        monkeypatch.chdir(tmp_path)
    return to


@pytest.mark.parametrize("url", [None, "../infra/dvc-remote"])
def test_without_a_shared_remote_nothing_is_fetched_or_pushed(asked, remote, url):
    remote(url)
    lines = []
    assert steps.reproduce("paper2", say=lines.append) == {"folds": 3.0}
    steps.repro("train", "report", say=lines.append)
    steps.pull(say=lines.append)
    steps.push(say=lines.append)
    assert asked == [("repro", "reproduction/dvc.yaml:paper2"), ("repro", "train", "report"), ("what is missing",)]
    assert lines == ["a line"] * 2


@pytest.mark.parametrize(("lacking", "stages"), [({}, ("paper1",)), ({"fusion": "no hub"}, ("across", "row_a"))])
def test_a_flow_decides_as_the_command_what_is_made_of_paper_1(asked, remote, tmp_path, monkeypatch, lacking, stages):
    remote(None)
    write_settings(tmp_path)
    written = []
    monkeypatch.setattr(training_run, "lacking_checkpoints", lambda params, models: lacking)
    monkeypatch.setattr(papers.subprocess, "run", lambda command, **_: written.append(command[-1])
                        or CompletedProcess(command, 0, "paper1: the page", ""))
    lines = []
    assert steps.reproduce("paper1", say=lines.append) == {"folds": 3.0}
    assert asked == [("repro", *(f"reproduction/dvc.yaml:{stage}" for stage in stages))]
    assert written == (["reproduction.paper1"] if lacking else [])
    assert bool(lacking) is any("fusion is left out: no hub" in each for each in lines)


@pytest.mark.parametrize("url", ["s3://dvc", "../../elsewhere"])
def test_with_a_shared_remote_work_is_fetched_and_given(asked, remote, url):
    remote(url)
    steps.reproduce("paper2")
    steps.repro("train")
    steps.push()
    assert asked == [("repro", "--pull", "reproduction/dvc.yaml:paper2"), ("repro", "--pull", "train"),
                     ("push", "--run-cache")]


@pytest.mark.parametrize(("deployment", "of_commit", "asked_for"), [
    (None, False, []), ("local", False, []), ("local", True, [("pull", "data.dvc")]),
    ("gpu", False, [("pull", "data.dvc")])])
def test_a_folder_keeps_its_data_and_a_commit_has_its_own(asked, monkeypatch, deployment, of_commit, asked_for):
    monkeypatch.setattr(tasks, "get_run_logger", lambda: logging.getLogger())
    monkeypatch.setattr(tasks.runtime.deployment, "name", deployment, raising=False)
    tasks.pull_data.fn(of_commit)
    assert asked == [("what is missing",), *asked_for]


def test_tasks_are_never_cached_by_prefect():
    for name in TASKS:
        task = getattr(tasks, name)
        assert task.persist_result is False and task.cache_policy == NO_CACHE, name


@pytest.mark.parametrize("paper", PAPERS)
def test_what_a_reproduction_asks_for_is_a_stage(paper):
    assert paper in yaml.safe_load((PROJECT / "reproduction/dvc.yaml").read_text())["stages"]
