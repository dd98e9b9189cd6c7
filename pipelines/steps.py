"""What the flows and the demo do, as plain functions: DVC for what is cached, the registry for what never is."""

from dataclasses import asdict
from typing import Any, Literal

from ser_ops import config
from ser_ops.files import read_json
from ser_ops.workspace import Say, dvc, pull

__all__ = ["promote", "pull", "register", "repro", "reproduce", "verdict"]


def repro(*stages: str, say: Say = print) -> dict[str, float]:
    """`dvc repro` of some stages, or of the whole graph: what is up to date is skipped. Seconds per stage."""
    return dvc("repro", *stages, say=say)


def reproduce(paper: Literal["paper1", "paper2", "splits", "across"], say: Say = print) -> dict[str, float]:
    """`dvc repro` of one stage of papers/dvc.yaml with all that it stands on. Seconds per stage."""
    return dvc("repro", f"papers/dvc.yaml:{paper}", say=say)


def register() -> str:
    """Register the trained model with its reports as the candidate; returns its version."""
    from ser_ops.tracking import registry

    params = config.load()
    return registry.register(params, params.paths.work / "models" / params.train.model, params.paths.reports)


def promote(version: str | None = None, to: Literal["staging", "production"] = "staging",
            reason: str | None = None) -> dict[str, Any]:
    """Judge the rules that need the registry, then move the alias. Raises UserError 'blocked: ...'."""
    from ser_ops.evaluation.staging import comparison
    from ser_ops.stages.evaluate import standing
    from ser_ops.tracking import promotion

    params = config.load()
    compare = comparison(params.gate.staging_confidence, params.evaluate, standing(params, to))
    return asdict(promotion.promote(params, compare, version, to, reason))


def verdict() -> dict[str, Any]:
    """reports/gate.json."""
    return read_json(config.load().paths.reports / "gate.json")
