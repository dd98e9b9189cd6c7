"""ser-ops serve: a model over HTTP."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ser_ops.cli.answers import is_loopback, path_argument
from ser_ops.cli.model import Coverage, Model
from ser_ops.config.params import load_params_anywhere
from ser_ops.errors import UserError

TOKEN = "SER_OPS_SERVE_TOKEN"       # of the environment
_SHORTEST = 16      # characters: fewer are guessed


def serve(model: Model = None, coverage: Coverage = None,
          host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
          port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8000,
          records: Annotated[Path | None, typer.Option(help="Folder for a record of each recording, without sound or "
                                                       "name, for ser-ops watch. Default: none is kept.",
                                                       parser=path_argument, metavar="FOLDER")] = None) -> None:
    """Answer recordings over HTTP: a page on /, POST /v1/predict, /v1/model, /healthz, /readyz, /metrics.

    SER_OPS_SERVE_TOKEN in the environment is the token that clients must send; beyond this machine there must be one.
    """
    token = os.environ.get(TOKEN) or None
    if token is not None and len(token) < _SHORTEST:
        raise UserError(f"{TOKEN}: has fewer than {_SHORTEST} characters: make one with openssl rand -hex 32")
    if not is_loopback(host) and token is None:
        raise UserError(f"{host}: others reach this address, and there is no token: set {TOKEN} in the environment, or "
                        "leave --host out")
    params = load_params_anywhere()
    from ser_ops.progress.spreading import use_one_thread

    use_one_thread()    # before NumPy loads: each core has a thread of ours
    from ser_ops.serving.server import serve as serve_model
    from ser_ops.tracking.models import model_uri

    serve_model(params, model_uri(params, model), host, port, token, records, coverage)
