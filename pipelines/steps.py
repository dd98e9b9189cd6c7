"""What the flows and the demo do, as plain functions: DVC for what is cached, the registry for what never is."""

import datetime
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ser_ops.config.params import load_params
from ser_ops.documents import read_json
from ser_ops.errors import UserError
from ser_ops.papers import run_stages
from ser_ops.workspace import Say, dvc
from ser_ops.workspace import pull as pull_missing

if TYPE_CHECKING:
    from ser_ops.scoring.run import Scored

__all__ = ["has_shared_remote", "promote", "pull", "push", "register", "repro", "reproduce", "score", "verdict",
           "watch"]


def pull(say: Say = print, as_named: bool = False) -> None:
    """Bring data/ from the DVC remote where it is missing; `as_named`: also where data.dvc names other data by now.

    Data that was changed by hand and is in no cache is never overwritten: as_named, that is a UserError.
    """
    pull_missing(say)
    if as_named:
        dvc("pull", "data.dvc", say=say)


def repro(*stages: str, say: Say = print) -> dict[str, float]:
    """`dvc repro` of some stages, or of the whole graph: what is up to date is skipped. Seconds per stage.

    With a shared remote, what another machine has made of the same inputs is fetched instead of made again.
    """
    return dvc("repro", *_pull_option(), *stages, say=say)


def reproduce(paper: Literal["paper1", "paper2", "splits", "across"], say: Say = print) -> dict[str, float]:
    """`dvc repro` of one stage of reproduction/dvc.yaml with all that it stands on. Seconds per stage.

    As `ser-ops reproduce` does it: without the main model's checkpoint paper 1's page is made of all else.
    """
    return run_stages(paper, say, *_pull_option())


def push(say: Say = print) -> None:
    """Give what was made to the other machines: outputs and run cache into the shared remote, if there is one."""
    if has_shared_remote():
        dvc("push", "--run-cache", say=say)


def has_shared_remote() -> bool:
    """Whether DVC's default remote is one that other machines reach: not a folder inside this repository."""
    from dvc.config import Config

    settings = Config(".dvc")
    name = settings["core"].get("remote")
    if name not in settings["remote"]:              # none, or one that is not defined: dvc pull says so itself
        return False
    url = str(settings["remote"][name]["url"])
    return "://" in url or not Path(url).resolve().is_relative_to(Path.cwd())


def _pull_option() -> list[str]:
    return ["--pull"] if has_shared_remote() else []


def register() -> str:
    """Register the trained model with its reports as the candidate; returns its version."""
    from ser_ops.gate import promotion

    return promotion.register_candidate(load_params())


def promote(version: str | None = None, to: Literal["staging", "production"] = "staging",
            reason: str | None = None) -> dict[str, Any]:
    """Judge the rules that need the registry, then move the alias. Raises UserError 'blocked: ...'."""
    from ser_ops.gate import promotion

    return asdict(promotion.promote(load_params(), version, to, reason))


def score(source: str, out: str, model: str | None, coverage: float | None, records: str | None,
          day: datetime.date) -> "Scored":
    """`ser-ops score` with the settings of this folder; {day} in `source`, `out` and `records` stands for `day`.

    Raises UserError for braces that stand for anything else.
    """
    from ser_ops.scoring import run

    return run.score(load_params(), _of_day(source, day), Path(_of_day(out, day)), model, coverage,
                     None if records is None else Path(_of_day(records, day)))


def _of_day(name: str, day: datetime.date) -> str:
    try:
        return name.format(day=day)
    except (LookupError, ValueError, AttributeError) as error:
        raise UserError(f"{name}: braces stand for a day alone: write {{day}} or {{day:%Y/%m/%d}}") from error


def watch(records: str | None, corrections: str | None, model: str | None = None) -> dict[str, Any]:
    """What `ser-ops watch --track` says of a model, and `page`; where nobody keeps records, that alone.

    model: by default the registered model's staging.
    """
    from ser_ops.tracking.models import fetch_model
    from ser_ops.watch import report

    params = load_params()
    folder, out = Path(records) if records else params.paths.records, params.paths.reports / "watch"
    if not folder.is_dir():
        return {"verdict": f"{folder}: no records are here yet: ser-ops serve --records {folder}"}
    fetched = fetch_model(params, model or f"models:/{params.tracking.registered_model}@staging")
    inputs = report.Inputs(folder, fetched, corrections=Path(corrections) if corrections else None)
    return report.watch(params, inputs, out, track=True) | {"page": str(out / "index.html")}


def verdict() -> dict[str, Any]:
    """reports/gate.json."""
    return read_json(load_params().paths.reports / "gate.json")
