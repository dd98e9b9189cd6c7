"""Load: clients that wait for each answer, or requests that come when they come; every answer is looked at."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Check = Callable[[dict[str, Any]], bool]


@dataclass
class Measured:
    """What came of some seconds of load; latencies in seconds."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        """Of the latencies, in milliseconds."""
        return 1000 * float(np.quantile(self.latencies, share)) if self.latencies else float("nan")


@dataclass(frozen=True)
class Target:
    """A server and how it is asked: its requests, and what tells a good answer."""

    port: int
    requests: Sequence[bytes]
    check: Check


def http(path: str, body: bytes = b"", kind: str = "", method: str = "POST") -> bytes:
    """A request of HTTP/1.1, whole."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return (head + (f"Content-Type: {kind}\r\n" if kind else "") + "\r\n").encode() + body


class Connection:
    """One connection that is kept open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=2**24)
        reader, writer = self._streams
        writer.write(request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        if b"connection: close" in head:
            self.close()
        return int(head.split(b" ", 2)[1]), body

    def close(self) -> None:
        """Let it go."""
        if self._streams:
            self._streams[1].close()
        self._streams = None


async def _timed(connection: Connection, request: bytes, check: Check, into: Measured, since: float) -> None:
    try:
        status, body = await connection.ask(request)
        if status == 200 and check(json.loads(body)):
            into.latencies.append(time.perf_counter() - since)
        else:
            into.errors.append(f"{status} {body[:200]!r}")
    except (OSError, ValueError, asyncio.IncompleteReadError) as error:
        into.errors.append(repr(error))
        connection.close()


async def closed(target: Target, clients: int, seconds: float = float("inf"), requests: int | None = None) -> Measured:
    """So many clients, each of which asks again as soon as it has its answer, for seconds or for so many requests."""
    measured, order = Measured(), itertools.count()
    begun = time.perf_counter()

    async def client() -> None:
        connection = Connection(target.port)
        while time.perf_counter() - begun < seconds and (requests is None or (number := next(order)) < requests):
            number = next(order) if requests is None else number
            await _timed(connection, target.requests[number % len(target.requests)], target.check, measured,
                         time.perf_counter())
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    measured.seconds = time.perf_counter() - begun
    return measured


async def opened(target: Target, rate: float, seconds: float, seed: int) -> Measured:
    """Requests at moments of a Poisson process, whether others are answered or not; each counts from its moment on."""
    moments = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, round(rate * seconds)))
    measured, idle, begun = Measured(), list[Connection](), time.perf_counter()

    async def one(number: int, moment: float) -> None:
        await asyncio.sleep(max(0.0, begun + moment - time.perf_counter()))
        connection = idle.pop() if idle else Connection(target.port)
        await _timed(connection, target.requests[number % len(target.requests)], target.check, measured, begun + moment)
        idle.append(connection)

    await asyncio.gather(*(one(number, moment) for number, moment in enumerate(moments)))
    measured.seconds = time.perf_counter() - begun
    for connection in idle:
        connection.close()
    return measured


async def probed(port: int, path: str, over: asyncio.Event) -> Measured:
    """The same GET twenty times a second until `over`."""
    measured, connection, begun = Measured(), Connection(port), time.perf_counter()
    while not over.is_set():
        await _timed(connection, http(path, method="GET"), lambda _: True, measured, time.perf_counter())
        await asyncio.sleep(0.05)
    connection.close()
    measured.seconds = time.perf_counter() - begun
    return measured


def ask_about(port: int, recording: Path) -> tuple[float, int, bytes]:
    """Seconds, status and body of the answer to a recording."""
    async def ask() -> tuple[int, bytes]:
        connection = Connection(port)
        answer = await connection.ask(http("/v1/predict", recording.read_bytes(), "audio/wav"))
        connection.close()
        return answer

    begun = time.perf_counter()
    status, body = asyncio.run(ask())
    return time.perf_counter() - begun, status, body
