"""From a request's recordings to its answer: who is let in, which threads decode, and the JSON of an answer."""

import asyncio
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from starlette.requests import Request

from ser_ops.config.services import Serve
from ser_ops.errors import UserError
from ser_ops.inference.recogniser import Answer, Answering, Window, WindowAnswer
from ser_ops.serving.batching import Batcher
from ser_ops.serving.bodies import MEGABYTE, File, Refusal, Samples, body_limit, read_body
from ser_ops.serving.metrics import Metrics
from ser_ops.serving.served import LOG, Served
from ser_ops.watch.records import Recorder

_REMEMBERED = 0.1       # weight of the newest request in the mean that Retry-After tells


class Service:
    """One model, the threads around it, and the requests that are under way. `served` may change at any moment."""

    def __init__(self, serve: Serve, served: Served, folder: Path, recorder: Recorder | None = None,
                 threads: int = 1) -> None:
        """A service that answers at once.

        Args:
            serve: limits.
            served: the model.
            folder: for the bytes of recordings while they are decoded.
            recorder: takes a record of each recording.
            threads: that have the model.
        """
        self.serve, self.folder, self.metrics, self._recorder = serve, folder, Metrics(), recorder
        self.batcher = Batcher(serve.batch_size, serve.batch_wait, self.metrics.count_batch, threads)
        cores = os.cpu_count() or 1
        self._short = ThreadPoolExecutor(cores, "decoder")
        self._long = ThreadPoolExecutor(max(1, cores // 2), "long-decoder")     # of a long one, no short one waits
        self._under_way, self._mean_seconds = {"short": 0, "long": 0}, 1.0
        for kind in self._under_way:
            self.metrics.queue.labels(kind).set_function(partial(self._under_way.__getitem__, kind))
        self.live_sessions = 0
        self.metrics.live.set_function(lambda: self.live_sessions)
        self.change(served)

    def change(self, served: Served) -> None:
        """From now on new requests are answered by this model; those under way keep theirs."""
        self.served = served
        self.metrics.model.clear()
        self.metrics.model.labels(served.uri, served.short["version"], served.digest).set(1)

    def close(self) -> None:
        """Answer what waits and end the threads."""
        self.batcher.close()
        self._short.shutdown(cancel_futures=True)
        self._long.shutdown(cancel_futures=True)
        if self._recorder is not None:
            self._recorder.close()

    async def predict(self, request: Request, request_id: str) -> tuple[int, bytes]:
        """Status and JSON for the recordings of a request: 200 where one was answered at least, else 422.

        Raises Refusal: 413, 415, 422 for the body, 429 for a full queue, 504 for a request that takes too long.
        """
        limit = body_limit(request, self.serve)
        size = request.headers.get("content-length", "")
        is_long = not size.isdigit() or int(size) > self.serve.long_megabytes * MEGABYTE
        with self._let_in("long" if is_long else "short"):
            try:
                async with asyncio.timeout(self.serve.timeout):
                    recordings = await read_body(request, self.serve, limit)
                    served = self.served
                    results = await self._answers(served, recordings, is_long, request)
            except TimeoutError:
                raise Refusal(504, f"not answered within {self.serve.timeout:g} s: send less at a time") from None
        head = json.dumps({"request_id": request_id, "model": served.short})
        return (200 if any(answered for answered, _ in results) else 422,
                f'{head[:-1]}, "results": ['.encode() + b", ".join(written for _, written in results) + b"]}")

    async def live(self, samples: np.ndarray, sample_rate: int, keep: bool) -> dict[str, Any]:
        """The fields of the answer to mono samples (n,) at `sample_rate` hertz, in one window or fewer.

        keep: whether it leaves a record, where records are kept; `record` is its id.
        """
        served = self.served
        steps = served.recogniser.answering(samples, sample_rate, "live sound")
        answer = await self._drive(served, steps, self._short, None)
        self.metrics.count_answer(answer)
        kept = await asyncio.wrap_future(self._short.submit(self._recorded, answer, served)) if keep else {}
        return kept | answer.record()

    @contextmanager
    def _let_in(self, kind: str) -> Iterator[None]:
        """Count a request while it is under way. Raises Refusal, 429, where there are too many."""
        if sum(self._under_way.values()) >= self.serve.queue or (
                kind == "long" and self._under_way["long"] >= self.serve.long_queue):
            raise Refusal(429, "too many requests: try again later",
                          {"Retry-After": str(max(1, math.ceil(self._mean_seconds)))})
        begun = time.monotonic()
        self._under_way[kind] += 1
        try:
            yield
        finally:
            self._under_way[kind] -= 1
            self._mean_seconds += _REMEMBERED * (time.monotonic() - begun - self._mean_seconds)

    async def _answers(self, served: Served, recordings: Sequence[File | Samples], is_long: bool,
                       request: Request) -> list[tuple[bool, bytes]]:
        """Whether each recording was answered, and its JSON. A few at once: other requests are to have their turn."""
        at_once = asyncio.Semaphore(max(2, self.serve.batch_size // 2))

        async def answer(recording: File | Samples) -> tuple[bool, bytes]:
            async with at_once:
                return await self._answer(served, recording, self._long if is_long else self._short, request)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(answer(recording)) for recording in recordings]
        return [task.result() for task in tasks]

    async def _answer(self, served: Served, recording: File | Samples, pool: ThreadPoolExecutor,
                      request: Request) -> tuple[bool, bytes]:
        steps = recording.steps(served.recogniser, self.folder, self.serve.seconds)
        try:
            answer = await self._drive(served, steps, pool, request)
        except UserError as error:
            self.metrics.refused.inc()
            return False, json.dumps({"name": recording.name, "error": str(error)}).encode()
        self.metrics.count_answer(answer)
        self.metrics.sound.inc(answer.seconds)
        if self._recorder is None and len(answer.windows) < self.serve.batch_size:
            return True, self._written(recording.name, answer, served)
        return True, await asyncio.wrap_future(pool.submit(self._written, recording.name, answer, served))

    def _written(self, name: str, answer: Answer, served: Served) -> bytes:
        """The JSON of an answer, after its record."""
        return json.dumps({"name": name, **self._recorded(answer, served), **answer.record()}).encode()

    def _recorded(self, answer: Answer, served: Served) -> dict[str, str]:
        """Keep the record of an answer, where records are kept: `record` is the id by which to correct it."""
        if self._recorder is None:
            return {}
        try:
            return {"record": self._recorder.add(answer, served.recorded_as)}
        except OSError as error:    # a full disk is no reason to refuse an answer
            self.metrics.unrecorded.inc()
            LOG.warning("records: %s", error)
            return {}

    async def _drive(self, served: Served, steps: Answering, pool: ThreadPoolExecutor,
                     request: Request | None) -> Answer:
        """An answer whose steps run in `pool` and whose windows share batches with all others."""
        self.batcher.announce()
        step, before, announced = pool.submit(_step, steps, None), 0, True
        try:
            while not isinstance(asked := await asyncio.wrap_future(step), Answer):
                if before and request is not None and await request.is_disconnected():
                    raise UserError("the client is gone")
                answering = self.batcher.submit(served.recogniser, asked, before)
                before += len(asked)
                if announced:
                    self.batcher.retract()
                    announced = False
                answers = await asyncio.wrap_future(answering)
                step = pool.submit(_step, steps, answers)
            return asked
        finally:
            if announced:
                self.batcher.retract()
            # A step that still runs ends first; then the recording's file goes, whatever happened.
            step.add_done_callback(lambda _: steps.close())


def _step(steps: Answering, answers: list[WindowAnswer] | None) -> list[Window] | Answer:
    """What a recording asks for next, or its answer when it asks no more."""
    try:
        return next(steps) if answers is None else steps.send(answers)
    except StopIteration as ended:
        answer: Answer = ended.value
        return answer
