"""Live sound over a WebSocket: PCM in, an answer each hop.

The client's first message, within `serve.live_wait` seconds, is JSON: {"sample_rate": 16000, "encoding": "float32" or
"int16", "token": "..."}; all others are mono samples, little endian. Each answer is that of the last window: start and
end in seconds, the answer's own fields, and latency_ms, from the arrival of its last sample to its sending. Where the
service lags, it skips to the newest window and says how many hops it skipped.

A window counts in /metrics as a recording, and leaves a record where records are kept, when none of its sound is in one
that counted before; `record` is its id.
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from fastapi import WebSocket, WebSocketDisconnect

from ser_ops.audio.admission import SHORTEST
from ser_ops.errors import UserError
from ser_ops.serving.bodies import check_fields, sample_rate_of
from ser_ops.serving.service import Service

# With the value of full scale.
_ENCODINGS: dict[str, tuple[np.dtype, float]] = {"float32": (np.dtype("<f4"), 1.0), "int16": (np.dtype("<i2"), 32768.0)}
_FORM = '{"sample_rate": 16000, "encoding": "float32", "token": ""}'
_REASON = 123       # bytes of a reason at most (RFC 6455, section 5.5)
_TRY_LATER, _BAD, _NOT_ALLOWED = 1013, 1003, 1008       # codes of RFC 6455 and IANA's registry


async def answer_live(socket: WebSocket, service: Service, is_token: Callable[[str], bool]) -> None:
    """One session, until the client ends it."""
    origin = socket.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != socket.headers.get("host"):
        await socket.close(_NOT_ALLOWED, "another page's script")
        return
    await socket.accept()
    try:
        try:
            session = await _opened(socket, service, is_token)
        except _Refused as refused:
            await socket.close(refused.code, refused.words)
            return
        service.live_sessions += 1      # nothing was awaited since they were counted
        try:
            async with asyncio.TaskGroup() as group:
                answering = group.create_task(session.answer())
                await session.listen()
                answering.cancel()
        finally:
            service.live_sessions -= 1
    except* WebSocketDisconnect:
        pass


class _Refused(Exception):
    """What is no session: the code and the reason with which it is closed."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words.encode()[:_REASON].decode(errors="ignore")


async def _opened(socket: WebSocket, service: Service, is_token: Callable[[str], bool]) -> "_Session":
    """The session that the first message asks for, in the order: token, fields, room. Raises _Refused."""
    try:
        async with asyncio.timeout(service.serve.live_wait):
            asked = json.loads(await socket.receive_text())
    except TimeoutError:
        raise _Refused(_NOT_ALLOWED, f"no first message within {service.serve.live_wait:g} s: send {_FORM}") from None
    except (ValueError, KeyError, RecursionError):      # bytes have no text
        raise _Refused(_BAD, f"the first message is no JSON: send {_FORM}") from None
    token = asked.get("token", "") if isinstance(asked, dict) else ""
    if not is_token(token if isinstance(token, str) else ""):
        raise _Refused(_NOT_ALLOWED, "send the token")
    try:
        check_fields("first message", asked, _FORM)
        rate = sample_rate_of("first message", asked["sample_rate"])
    except UserError as error:
        raise _Refused(_BAD, str(error)) from None
    encoding = asked.get("encoding", "float32")
    if not isinstance(encoding, str) or encoding not in _ENCODINGS:
        raise _Refused(_BAD, f"first message: encoding: give {' or '.join(_ENCODINGS)}")
    if service.live_sessions >= service.serve.live_sessions:
        raise _Refused(_TRY_LATER, "too many sessions: try again later")
    return _Session(socket, service, rate, *_ENCODINGS[encoding])


class _Session:
    """The last window of the sound that came, and the answers to it."""

    def __init__(self, socket: WebSocket, service: Service, rate: int, kind: np.dtype, full_scale: float) -> None:
        recogniser = service.served.recogniser
        self._socket, self._service, self._rate, self._kind, self._full_scale = socket, service, rate, kind, full_scale
        self._window = round(recogniser.window / recogniser.sample_rate * rate)
        self._hop = max(round(SHORTEST * rate), round(recogniser.hop / recogniser.sample_rate * rate))
        self._held = np.zeros(0, np.float32)
        self._heard = self._answered = self._counted = 0       # samples
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
                new = heard - len(window) >= self._counted
                record = await self._service.live(window, self._rate, new)
                if new:
                    self._counted = heard
                fields = ("record", "emotion", "emotions", "probabilities", "warnings")
                answer: dict[str, Any] = {name: record[name] for name in fields if name in record}
            except UserError as error:      # silence is no fault of a session
                answer = {"error": str(error)}
            await self._socket.send_json({
                "start": round((heard - len(window)) / self._rate, 3), "end": round(heard / self._rate, 3), **answer,
                "latency_ms": round(1000 * (time.monotonic() - arrived), 1), "skipped": skipped})
