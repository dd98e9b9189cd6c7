"""Servers that pass every first look as MLflow's, and then answer something else."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler], None]


def answer(content: bytes, status: int = 200) -> Answer:
    """The same content for each question."""
    def give(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)
    return give


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then, of very many that are promised."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while True:
        handler.wfile.write(b" ")
        time.sleep(0.1)


def drip_headers(handler: BaseHTTPRequestHandler) -> None:
    """Headers a byte at a time."""
    while True:
        handler.wfile.write(b"H")
        time.sleep(0.1)


def silence(handler: BaseHTTPRequestHandler) -> None:
    """Nothing."""
    time.sleep(60)


def come_later(handler: BaseHTTPRequestHandler) -> None:
    """A server that is busy for an hour."""
    handler.send_response(503)
    handler.send_header("Retry-After", "3600")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@contextmanager
def serving(give: Answer) -> Iterator[str]:
    """The address of a server that answers MLflow's probes as MLflow does, and everything else by `give`."""
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with suppress(OSError):
                if self.path == "/health" or "experiments/search" in self.path:
                    answer(b'{"experiments": []}')(self)
                else:
                    give(self)

        do_POST = do_PUT = do_GET

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
