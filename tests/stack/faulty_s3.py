"""A proxy in front of an object store that answers as a bad day does: each fault is planted by the test that names it.

It speaks to the real store and changes only what it passes on, so that the client's signatures stay good.
"""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_SLOW_DOWN = (b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
              b"<Message>Please reduce your request rate.</Message></Error>")


@dataclass
class Faults:
    """What is still to go wrong; a count of -1: each time. `asked` has each request that came: method, path, range."""

    slow_down: int = 0                      # any request: 503 SlowDown
    cut: int = 0                            # a GET of an object: the connection ends after half of the bytes
    flip: int = 0                           # a GET of an object: one bit of its middle byte
    before: Callable[[int], None] | None = None   # called with the number of the GET before it is passed on
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, name: str) -> bool:
        with self.lock:
            left: int = getattr(self, name)
            if left > 0:
                setattr(self, name, left - 1)
            return left != 0

    def objects(self) -> list[tuple[str, str, str]]:
        """The GETs of objects, not of listings."""
        return [one for one in self.asked if one[0] == "GET" and _of_object(one[1])]


@contextmanager
def faulty(endpoint: str) -> Iterator[tuple[str, Faults]]:
    """A proxy to `endpoint` on a free port of loopback: its own address, and the faults to plant."""
    faults, store = Faults(), urlsplit(endpoint).netloc

    class Passed(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with faults.lock:
                faults.asked.append((self.command, self.path, self.headers.get("Range", "")))
            if faults.take("slow_down"):
                self.answer(503, [("Content-Type", "application/xml")], _SLOW_DOWN)
                return
            fetch = self.command == "GET" and _of_object(self.path)
            if fetch and faults.before:
                faults.before(len(faults.objects()))
            link = http.client.HTTPConnection(store, timeout=60)
            link.request(self.command, self.path, body, dict(self.headers.items()))
            answer = link.getresponse()
            content = answer.read()
            link.close()
            headers = [(name, value) for name, value in answer.getheaders()
                       if name.lower() not in ("transfer-encoding", "connection", "content-length")]
            good = fetch and answer.status in (200, 206) and content
            if good and faults.take("flip"):
                middle = len(content) // 2
                content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1:]
            length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(content))
            if good and faults.take("cut"):
                content = content[:len(content) // 2]
                self.close_connection = True
            self.answer(answer.status, headers, content, length)

        def answer(self, status: int, headers: list[tuple[str, str]], content: bytes, length: str = "") -> None:
            self.send_response_only(status)
            for name, value in [*headers, ("Content-Length", length or str(len(content)))]:
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Passed)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", faults
    finally:
        server.shutdown()
        server.server_close()


def _of_object(path: str) -> bool:
    parts = urlsplit(path)
    return parts.path.strip("/").count("/") >= 1 and "list-type" not in parts.query
