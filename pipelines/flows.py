"""The flows. Each one asks DVC for the stages that it stands on, so that any of them may run first.

Flows that make something take settings as parameters: asked for with any, they work in a folder of their own
(`pipelines.checkout.with_settings`); asked for with none, they work in the worker's clone with its params.yaml.
"""

import datetime
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from prefect import State, flow, get_run_logger, runtime
from prefect.states import Completed
from pydantic import Field

from pipelines import checkout, cluster, tasks
from ser_ops.config.params import load_params
from ser_ops.model_table import MODELS


def _described(description: str, **schema: Any) -> Any:
    """What the run form says of a parameter; a description of the field itself Prefect would replace."""
    return Field(json_schema_extra={"description": description, **schema})


Preset = Annotated[str | None, _described("A file of presets/. Default: that of params.yaml.")]
Model = Annotated[str | None, _described("The main model (train.model). Default: that of params.yaml.",
                                         enum=[None, *MODELS])]
Corpora = Annotated[list[str] | None, _described("Folders of data/corpora (data.corpora). Default: those of "
                                                 "params.yaml.")]
Trials = Annotated[int | None, _described("Trials of the search of training settings (tune.trials). Default: that of "
                                          "the preset.", minimum=0)]
Overrides = Annotated[list[str] | None, _described(
    "More settings as `dvc exp run -S` takes them: KEY=VALUE, or FILE:KEY=VALUE for a file of presets/ and for "
    "reproduction/params.yaml, as train.seed=41 or presets/paper.yaml:train.epochs=20.")]
Source = Annotated[str, _described("A folder, an s3:// prefix, a table (.csv) or a list of recordings. {day} in it "
                                   "stands for the day, {day:%Y/%m/%d} for it in another form.")]
Out = Annotated[str, _described("The folder of plan and tables; {day} as in the source.")]
Address = Annotated[str | None, _described("A model, as MLflow writes it, or a folder. Default: the registered model's "
                                           "staging.")]
Coverage = Annotated[float | None, _described("Share of cases in which the set of emotions shall hold the truth. "
                                              "Default: predict.coverage.")]
Day = Annotated[datetime.date | None, _described("The day that {day} stands for. Default: the one before the run's, in "
                                                 "UTC.")]
Records = Annotated[str | None, _described("Folder of ser-ops serve --records. Default: paths.records.")]
Kept = Annotated[str | None, _described("Folder for a record of each answer, without sound or name, for watch-model; "
                                        "{day} as in the source. Default: none is kept.")]
Corrections = Annotated[str | None, _described("CSV: record, emotion.")]
_SETTINGS: dict[str, Any] = {"persist_result": False, "task_runner": cluster.task_runner()}


@flow(name="validate-data", **_SETTINGS)
def validate_data(preset: Preset = None, corpora: Corpora = None, overrides: Overrides = None) -> None:
    """Recordings in, validated manifest and data docs out."""
    with _workspace(preset=preset, corpora=corpora, overrides=overrides):
        _make("validate")


@flow(name="augment-data", **_SETTINGS)
def augment_data(preset: Preset = None, corpora: Corpora = None, overrides: Overrides = None) -> None:
    """Quadruplets of the training partition, audited for leaks."""
    with _workspace(preset=preset, corpora=corpora, overrides=overrides):
        _make("audit")


@flow(name="train-fusion", **_SETTINGS)
def train_fusion(preset: Preset = None, model: Model = None, corpora: Corpora = None,
                 trials: Trials = None, overrides: Overrides = None) -> str:
    """From recordings to a registered candidate with its evaluation, explanations, verdict and report."""
    with _workspace(preset=preset, model=model, corpora=corpora, overrides=_trials(trials, preset) + (overrides or [])):
        _make("validate", "audit", "tune", "train", "ablate", "evaluate", "behave", "explain", "judge", "report")
        tasks.publish_tables()
        return tasks.register_candidate()


@flow(name="train-ablations", **_SETTINGS)
def train_ablations(preset: Preset = None, model: Model = None, corpora: Corpora = None,
                    overrides: Overrides = None) -> None:
    """Rows A, B and C of table VI and the label-shuffled models."""
    with _workspace(preset=preset, model=model, corpora=corpora, overrides=overrides):
        _make("ablate")


@flow(name="evaluate-model", **_SETTINGS)
def evaluate_model(preset: Preset = None, model: Model = None, corpora: Corpora = None,
                   overrides: Overrides = None) -> None:
    """Robustness, explanations, verdict and report of the trained models."""
    with _workspace(preset=preset, model=model, corpora=corpora, overrides=overrides):
        _make("report")
        tasks.publish_tables()


@flow(name="promote-model", persist_result=False)
def promote_model(version: str | None = None, to: Literal["staging", "production"] = "staging",
                  override_reason: str | None = None) -> dict:
    """Gate and promotion of the candidate, or of the version that is named."""
    return tasks.promote(version, to, override_reason)


@flow(name="score", **_SETTINGS)
def score(source: Source, out: Out, model: Address = None, coverage: Coverage = None, records: Kept = None,
          day: Day = None) -> dict:
    """Recordings by the million to answers in Parquet; a killed run goes on from where it was."""
    started: datetime.datetime = runtime.flow_run.scheduled_start_time
    return tasks.score(source, out, model, coverage, records, day or started.date() - datetime.timedelta(days=1))


@flow(name="watch-model", persist_result=False)
def watch_model(records: Records = None, corrections: Corrections = None, model: Address = None) -> State | str:
    """What the records of a service say of the model that it serves; at an alarm the run's state says so.

    With `watch.retrain` an alarm starts train-fusion/local, a run of its own that the gate judges as any other.
    """
    report = tasks.watch(records, corrections, model)
    if not report.get("alarm"):
        return str(report["verdict"])
    retrained = tasks.retrain() if load_params().watch.retrain else ""
    return Completed(name="Alarm", message=" ".join([f"{report['verdict']}:", *report["words"], retrained]).strip())


@flow(name="reproduce-paper1", **_SETTINGS)
def reproduce_paper1(preset: Preset = None, overrides: Overrides = None) -> None:
    """Tables and figures of paper 1 from the corpora at hand, into reports/paper1."""
    _reproduce("paper1", preset, overrides)


@flow(name="reproduce-paper2", **_SETTINGS)
def reproduce_paper2(preset: Preset = None, overrides: Overrides = None) -> None:
    """Tables and figures of paper 2 from the corpora at hand, into reports/paper2."""
    _reproduce("paper2", preset, overrides)


@flow(name="reproduce-splits", **_SETTINGS)
def reproduce_splits(preset: Preset = None, overrides: Overrides = None) -> None:
    """Every model under the protocols speaker, random and paper, into reports/splits."""
    _reproduce("splits", preset, overrides)


@flow(name="reproduce-across", **_SETTINGS)
def reproduce_across(preset: Preset = None, overrides: Overrides = None) -> None:
    """Models trained on each corpus and on all but one, tested on each, into reports/across."""
    _reproduce("across", preset, overrides)


def _trials(trials: int | None, preset: str | None) -> list[str]:
    """The setting where a preset may set it, so that it is not overruled."""
    return [] if trials is None else [f"presets/{preset or load_params().preset}.yaml:tune.trials={trials}"]


@contextmanager
def _workspace(preset: str | None = None, model: str | None = None, corpora: Sequence[str] | None = None,
               overrides: Sequence[str] | None = None) -> Iterator[None]:
    """The folder in which a flow works, with the settings that it was asked for and the data."""
    given = {"preset": preset, "train.model": model, "data.corpora": None if corpora is None else json.dumps(corpora)}
    settings = [f"{key}={value}" for key, value in given.items() if value is not None] + list(overrides or [])
    with checkout.with_settings(settings, say=get_run_logger().info):
        tasks.pull_data(bool(settings))
        yield


def _make(*stages: str) -> None:
    """Bring stages up to date one by one; what had to be made is pushed at once, so that a death later costs less."""
    for stage in stages:
        if tasks.repro(stage) or stage == stages[-1]:   # the last: what an attempt before made and did not push
            tasks.push_outputs()


def _reproduce(paper: Literal["paper1", "paper2", "splits", "across"], preset: str | None,
               overrides: Sequence[str] | None) -> None:
    with _workspace(preset=preset, overrides=overrides):
        tasks.reproduce(paper)
        tasks.push_outputs()
