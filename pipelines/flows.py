"""The flows. Each one asks DVC for the stages that it stands on, so that any of them may run first."""

from typing import Literal

from prefect import flow

from pipelines import cluster, tasks


def _made(*stages: str) -> None:
    """Bring stages up to date one by one; what had to be made is pushed at once, so that a death later costs less."""
    for stage in stages:
        if tasks.repro(stage) or stage == stages[-1]:   # the last: what an attempt before made and did not push
            tasks.push_outputs()


def _reproduced(paper: Literal["paper1", "paper2", "splits", "across"]) -> None:
    tasks.pull_data()
    tasks.reproduce(paper)
    tasks.push_outputs()


@flow(name="validate-data", persist_result=False, task_runner=cluster.runner())
def validate_data() -> None:
    """Recordings in, validated manifest and data docs out."""
    tasks.pull_data()
    _made("validate")


@flow(name="augment-data", persist_result=False, task_runner=cluster.runner())
def augment_data() -> None:
    """Quadruplets of the training partition, audited for leaks."""
    tasks.pull_data()
    _made("audit")


@flow(name="train-fusion", persist_result=False, task_runner=cluster.runner())
def train_fusion() -> str:
    """From recordings to a registered candidate with its evaluation, explanations, verdict and report."""
    tasks.pull_data()
    _made("validate", "audit", "tune", "train", "ablate", "evaluate", "behave", "explain", "judge", "report")
    tasks.publish_tables()
    return tasks.register_candidate()


@flow(name="train-ablations", persist_result=False, task_runner=cluster.runner())
def train_ablations() -> None:
    """Rows A, B and C of table VI and the label-shuffled models."""
    tasks.pull_data()
    _made("ablate")


@flow(name="evaluate-model", persist_result=False, task_runner=cluster.runner())
def evaluate_model() -> None:
    """Robustness, explanations, verdict and report of the trained models."""
    tasks.pull_data()
    _made("report")
    tasks.publish_tables()


@flow(name="promote-model", persist_result=False)
def promote_model(version: str | None = None, to: Literal["staging", "production"] = "staging",
                  override_reason: str | None = None) -> dict:
    """Gate and promotion of the candidate, or of the version that is named."""
    return tasks.promote(version, to, override_reason)


@flow(name="reproduce-paper1", persist_result=False, task_runner=cluster.runner())
def reproduce_paper1() -> None:
    """Tables and figures of paper 1 from the corpora at hand, into reports/paper1."""
    _reproduced("paper1")


@flow(name="reproduce-paper2", persist_result=False, task_runner=cluster.runner())
def reproduce_paper2() -> None:
    """Tables and figures of paper 2 from the corpora at hand, into reports/paper2."""
    _reproduced("paper2")


@flow(name="reproduce-splits", persist_result=False, task_runner=cluster.runner())
def reproduce_splits() -> None:
    """Every model under the protocols speaker, random and paper, into reports/splits."""
    _reproduced("splits")


@flow(name="reproduce-across", persist_result=False, task_runner=cluster.runner())
def reproduce_across() -> None:
    """Models trained on each corpus and on all but one, tested on each, into reports/across."""
    _reproduced("across")
