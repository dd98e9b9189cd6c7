"""The process: a socket, the model, and an end that lets no request down."""

import gc
import signal
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn

from ser_ops.config.params import Params, predict_of_project
from ser_ops.errors import UserError
from ser_ops.progress.spreading import worker_count
from ser_ops.serving.app import create_app
from ser_ops.serving.served import Loading, Watch, load_served
from ser_ops.serving.service import Service
from ser_ops.watch.records import Recorder

_MESSAGE_BYTES = 2**20      # of live sound at once
_KEEP_ALIVE = 75    # seconds: a proxy, most of which keep theirs for 60, must be the one that closes a connection


def serve(params: Params, uri: str, host: str, port: int, token: str | None, records: Path | None = None,
          coverage: float | None = None) -> None:
    """Answer requests until SIGTERM or SIGINT; those under way are answered first.

    port: 0 takes a free one, which the first line on standard output says; records: a folder for records of what was
    heard (`ser_ops.watch.records`), None to keep none; coverage: laid over that of the settings. Raises UserError in
    one line for a model that cannot be had or cannot promise the coverage, and for an address that cannot be had.
    """
    listening = _bound(host, port)
    loading = Loading(params, uri, predict_of_project(params), coverage, embeddings=records is not None)
    served = load_served(loading)
    gc.freeze()     # to look through all that is loaded for garbage would hold all requests up for 0.1 s
    with TemporaryDirectory(prefix="ser-ops-serve-") as folder, listening:
        recorder = None if records is None else Recorder(records, params.watch)
        on_cpu = served.recogniser.torch_network.device.type == "cpu"
        service = Service(params.serve, served, Path(folder), recorder,
                          worker_count(params.serve.threads) if on_cpu else 1)
        watch = Watch(loading, served, service.change)
        config = uvicorn.Config(
            create_app(service, token), http="h11", log_level="warning", access_log=False, ws_max_size=_MESSAGE_BYTES,
            timeout_graceful_shutdown=round(params.serve.timeout), timeout_keep_alive=_KEEP_ALIVE,
            server_header=False)
        # uvicorn takes both signals itself and sends them on when all is answered: that end is a good one.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        listening.listen(config.backlog)
        address = listening.getsockname()
        named = f"[{address[0]}]" if ":" in address[0] else address[0]
        print(f"{served.words} answers on http://{named}:{address[1]}", flush=True)
        uvicorn.Server(config).run([listening])
        watch.close()


def _bound(host: str, port: int) -> socket.socket:
    """A socket that has the address. It listens when the model is loaded: no client waits for an answer before."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM,
                                                                flags=socket.AI_PASSIVE)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise UserError(f"{host}:{port}: cannot be listened on ({error.strerror or error}): choose another --host or "
                        "--port") from error
    return bound
