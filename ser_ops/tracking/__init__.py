"""Runs, the registry and the packaged model: the only room that imports mlflow, and only when it is used."""

from ser_ops.tracking.compare import charts_link, compare_link, latest_models
from ser_ops.tracking.models import fetch
from ser_ops.tracking.package import package_model
from ser_ops.tracking.packaged import compare_answers, packaged_answers, try_package
from ser_ops.tracking.promotion import Demotion, Promotion, demote, promote
from ser_ops.tracking.registry import register, versions
from ser_ops.tracking.run import Run
from ser_ops.tracking.runs import open_run, reopen

__all__ = ["Demotion", "Promotion", "Run", "charts_link", "compare_answers", "compare_link", "demote", "fetch",
           "latest_models", "open_run", "package_model", "packaged_answers", "promote", "register", "reopen",
           "try_package", "versions"]
