"""Flows call their steps in order, prefect.yaml deploys every flow, and the steps ask DVC for the right stages."""

import inspect
from pathlib import Path

import pytest
import yaml
from prefect import Flow
from prefect.cache_policies import NO_CACHE

from pipelines import flows, steps, tasks

PROJECT = Path(__file__).resolve().parents[2]
FLOWS = {name: one for name, one in vars(flows).items() if isinstance(one, Flow)}
DEPLOYED = yaml.safe_load((PROJECT / "prefect.yaml").read_text())["deployments"]
PAPERS = ("paper1", "paper2", "splits", "across")


@pytest.fixture
def called(monkeypatch):
    """What the flows ask of their tasks, in order."""
    found = []
    for name in ("pull_data", "repro", "reproduce", "register_candidate", "promote", "publish_tables"):
        monkeypatch.setattr(tasks, name, lambda *arguments, name=name: found.append((name, *arguments)))
    return found


@pytest.mark.parametrize("paper", PAPERS)
def test_a_reproduction_pulls_and_runs_its_stage(called, paper):
    FLOWS[f"reproduce_{paper}"].fn()
    assert called == [("pull_data",), ("reproduce", paper)]


def test_training_registers_last(called):
    flows.train_fusion.fn()
    stages = [one[1] for one in called if one[0] == "repro"]
    assert called[0] == ("pull_data",) and called[-2:] == [("publish_tables",), ("register_candidate",)]
    assert stages[0] == "validate" and stages[-1] == "report" and len(stages) == len(set(stages))
    graph = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
    assert set(stages) <= set(graph)


@pytest.mark.parametrize(("flow", "stage"), [("validate_data", "validate"), ("augment_data", "audit"),
                                             ("train_ablations", "ablate"), ("evaluate_model", "report")])
def test_the_other_flows_ask_for_one_stage(called, flow, stage):
    FLOWS[flow].fn()
    assert called[:2] == [("pull_data",), ("repro", stage)]


def test_promotion_hands_its_parameters_on(called):
    flows.promote_model.fn("3", "production", "because it is right")
    assert called == [("promote", "3", "production", "because it is right")]


def test_every_flow_is_named_as_its_function_and_says_what_it_does():
    for name, one in FLOWS.items():
        assert one.name == name.replace("_", "-") and inspect.getdoc(one.fn)


def test_every_flow_is_deployed_and_every_deployment_is_a_flow():
    pools = {}
    for one in DEPLOYED:
        file, name = one["entrypoint"].split(":")
        assert (PROJECT / file).is_file() and name in FLOWS, one["entrypoint"]
        assert one["work_pool"]["name"] == f"{one['name']}-pool"
        pools.setdefault(name, []).append(one["name"])
    assert set(pools) == set(FLOWS)
    for name, found in pools.items():
        wanted = ["local"] if name in ("validate_data", "augment_data", "promote_model") else ["local", "gpu"]
        assert found == wanted, f"{name}: each pool once, a GPU where something is trained or answered"


def test_steps_ask_dvc_and_say_its_lines(monkeypatch):
    asked = []

    def dvc(*arguments, say):
        asked.append(arguments)
        say("a line")
        return {"folds": 3.0}

    lines = []
    monkeypatch.setattr(steps, "dvc", dvc)
    assert steps.reproduce("paper2", say=lines.append) == {"folds": 3.0}
    steps.repro("train", "report", say=lines.append)
    assert asked == [("repro", "papers/dvc.yaml:paper2"), ("repro", "train", "report")] and lines == ["a line"] * 2


def test_tasks_are_never_cached_by_prefect():
    for name in ("pull_data", "repro", "reproduce", "register_candidate", "promote", "publish_tables"):
        one = getattr(tasks, name)
        assert one.persist_result is False and one.cache_policy == NO_CACHE, name


@pytest.mark.parametrize("paper", PAPERS)
def test_what_a_reproduction_asks_for_is_a_stage(paper):
    assert paper in yaml.safe_load((PROJECT / "papers/dvc.yaml").read_text())["stages"]
