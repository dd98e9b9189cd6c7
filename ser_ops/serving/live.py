"""Live sound over a WebSocket: PCM in, an answer each hop.

The client's first message is JSON: {"sample_rate": 16000, "encoding": "float32" or "int16", "token": "..."}; all others
are mono samples, little endian. Each answer is that of the last window: start and end in seconds, the answer's own
fields, and latency_ms, from the arrival of its last sample to its sending. Where the service lags, it skips to the
newest window and says how many hops it skipped.

Where records are kept, a window leaves one when none of its sound is in an earlier record: `record` is its id.
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from fastapi import WebSocket, WebSocketDisconnect

from ser_ops.audio.admission import RATES, SHORTEST
from ser_ops.errors import UserError
from ser_ops.serving.service import Service

# With the value of full scale.
_ENCODINGS: dict[str, tuple[np.dtype, float]] = {"float32": (np.dtype("<f4"), 1.0), "int16": (np.dtype("<i2"), 32768.0)}
_TRY_LATER, _BAD, _NOT_ALLOWED = 1013, 1003, 1008       # codes of RFC 6455 and IANA's registry


async def answer_live(socket: WebSocket, service: Service, is_token: Callable[[str], bool]) -> None:
    """One session, until the client ends it."""
    origin = socket.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != socket.headers.get("host"):
        await socket.close(_NOT_ALLOWED, "another page's script")
        return
    await socket.accept()
    if service.live_sessions >= service.serve.live_sessions:
        await socket.close(_TRY_LATER, "too many sessions: try again later")
        return
    service.live_sessions += 1
    try:
        session = await _opened(socket, service, is_token)
        if session is not None:
            async with asyncio.TaskGroup() as group:
                answering = group.create_task(session.answer())
                await session.listen()
                answering.cancel()
    except* WebSocketDisconnect:
        pass
    finally:
        service.live_sessions -= 1


async def _opened(socket: WebSocket, service: Service, is_token: Callable[[str], bool]) -> "_Session | None":
    """The session that the first message asks for; None for one that was refused."""
    try:
        asked = json.loads(await socket.receive_text())
        rate, (kind, full_scale) = int(asked["sample_rate"]), _ENCODINGS[asked.get("encoding", "float32")]
        token = str(asked.get("token", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        await socket.close(_BAD, 'begin with {"sample_rate": 16000, "encoding": "float32" or "int16"}')
        return None
    if not is_token(token):
        await socket.close(_NOT_ALLOWED, "send the token")
        return None
    if not RATES[0] <= rate <= RATES[1]:
        await socket.close(_BAD, f"the sample rate must be between {RATES[0]} and {RATES[1]} Hz")
        return None
    return _Session(socket, service, rate, kind, full_scale)


class _Session:
    """The last window of the sound that came, and the answers to it."""

    def __init__(self, socket: WebSocket, service: Service, rate: int, kind: np.dtype, full_scale: float) -> None:
        recogniser = service.served.recogniser
        self._socket, self._service, self._rate, self._kind, self._full_scale = socket, service, rate, kind, full_scale
        self._window = round(recogniser.window / recogniser.sample_rate * rate)
        self._hop = max(round(SHORTEST * rate), round(recogniser.hop / recogniser.sample_rate * rate))
        self._held = np.zeros(0, np.float32)
        self._heard = self._answered = self._recorded = 0       # samples
        self._arrived = 0.0
        self._due = asyncio.Event()

    async def listen(self) -> None:
        """Take sound until the client ends, or sends what is none."""
        while (message := await self._socket.receive())["type"] == "websocket.receive":
            sound = message.get("bytes")
            if sound is None or len(sound) % self._kind.itemsize:
                await self._socket.close(_BAD, "send whole samples as binary messages")
                return
            samples = np.frombuffer(sound, self._kind).astype(np.float32) / np.float32(self._full_scale)
            self._held = np.concatenate([self._held, samples])[-self._window:]
            self._heard += len(samples)
            if self._heard - self._answered >= self._hop:
                self._arrived = time.monotonic()
                self._due.set()

    async def answer(self) -> None:
        """Answer the last window whenever a hop of new sound is there."""
        while True:
            await self._due.wait()
            self._due.clear()
            heard, window, arrived = self._heard, self._held, self._arrived
            skipped = (heard - self._answered) // self._hop - 1
            self._answered = heard
            try:
                new = heard - len(window) >= self._recorded
                record = await self._service.live(window, self._rate, keep=new)
                if new:
                    self._recorded = heard
                fields = ("record", "emotion", "emotions", "probabilities", "warnings")
                answer: dict[str, Any] = {name: record[name] for name in fields if name in record}
            except UserError as error:      # silence is no fault of a session
                answer = {"error": str(error)}
            await self._socket.send_json({
                "start": round((heard - len(window)) / self._rate, 3), "end": round(heard / self._rate, 3), **answer,
                "latency_ms": round(1000 * (time.monotonic() - arrived), 1), "skipped": skipped})
