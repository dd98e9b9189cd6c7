"""ser-ops register, promote, demote and ui: the registry."""

import os
import sys
from typing import Annotated

import typer

from ser_ops import config
from ser_ops.cli.answers import Json, say

Alias = Annotated[str, typer.Option("--to", help="staging or production.")]


def register(json: Json = False) -> None:
    """Register the trained model with its reports as the candidate."""
    from ser_ops.tracking import registry

    params = config.load()
    version = registry.register(params, params.paths.work / "models" / params.train.model, params.paths.reports)
    name = params.tracking.registered_model
    say({"model": name, "version": version, "alias": "candidate"}, json, f"{name} version {version} is the candidate")


def promote(version: Annotated[str | None, typer.Argument(help="Version. Default: the candidate, or for production "
                                                          "the one that is staging.")] = None,
            to: Alias = "staging",
            override: Annotated[str | None, typer.Option(help="Written reason to promote a blocked model; recorded.")]
            = None, json: Json = False) -> None:
    """Move the alias to a model whose every rule passes."""
    from ser_ops.evaluation import gate
    from ser_ops.tracking import promotion

    params = config.load()
    done = promotion.promote(params, version=version, to=to, override_reason=override,
                             not_worse_than=gate.not_worse_than)
    say(done, json, f"{params.tracking.registered_model} version {done['version']} is {to}: {done['verdict']}")


def demote(alias: Annotated[str, typer.Argument(help="staging or production.")] = "staging",
           json: Json = False) -> None:
    """Go back to the version that held the alias before."""
    from ser_ops.tracking import promotion

    done = promotion.demote(config.load(), alias)
    say(done, json, done["words"])


def ui(host: Annotated[str, typer.Option(help="Loopback unless told otherwise.")] = "127.0.0.1",
       port: Annotated[int, typer.Option()] = 5000) -> None:
    """The MLflow page of this project."""
    from ser_ops.tracking.server import tracking_uri

    uri = tracking_uri(config.load())
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri, "--host", host,
                              "--port", str(port)])
