"""What may listen where a tracking server is expected, and is none."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress


def _drip(text: bytes) -> Iterator[bytes]:
    for number in range(len(text)):
        yield text[number:number + 1]
        time.sleep(0.3)


def _endless(start: bytes, part: bytes, pause: float = 0.0) -> Iterator[bytes]:
    yield start
    while True:
        yield part
        time.sleep(pause)


def _answer(content: bytes, kind: bytes = b"application/json", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
        status, kind, len(content), content)


STRANGERS = {
    "SSH": lambda: iter([b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"]),
    "mail": lambda: iter([b"220 mail.example.org ESMTP\r\n"]),
    "bytes of no text": lambda: iter([bytes(range(256)) * 4]),
    "silence": lambda: _endless(b"", b"", 0.1),
    "closed at once": lambda: iter([]),
    "endless headers": lambda: _endless(b"HTTP/1.1 200 OK\r\n", b"X-More: yes\r\n", 0.001),
    "endless header": lambda: _endless(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 1000),
    "endless body": lambda: _endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
    "endless slow body": lambda: _endless(b"HTTP/1.1 200 OK\r\n\r\n", b"x", 0.2),
    "a byte now and then": lambda: _drip(_answer(b"OK" * 1000)),
    "a body that is not all there": lambda: iter([b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n{"]),
    "a page": lambda: iter([_answer(b"<!doctype html><title>Router</title>\n<p>Log in", b"text/html")]),
    "other JSON": lambda: iter([_answer(b'{"status": "green", "nodes": [1, 2]}')]),
    "JSON too deep": lambda: iter([_answer(b"[" * 100_000)]),
    "not found": lambda: iter([_answer(b"no such page", b"text/plain", b"404 Not Found")]),
    "away": lambda: iter([_answer(b"no upstream", b"text/plain", b"502 Bad Gateway")]),
    "elsewhere": lambda: iter([b"HTTP/1.1 302 Found\r\nLocation: /health\r\nContent-Length: 0\r\n\r\n"]),
}


class Stranger:
    """Gives the same answer, whatever is asked of it, on a free port of loopback."""

    def __init__(self, kind: str) -> None:
        self._answer = STRANGERS[kind]
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._speak, args=self._listening.accept()[:1], daemon=True).start()

    def _speak(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.settimeout(5)
            connection.recv(65536)
            for part in self._answer():
                connection.sendall(part)

    def end(self) -> None:
        self._listening.close()
