"""Questions over HTTP that end: within one limit of time and of size, whatever answers there.

`fetch_body` and `ask_json` put one question. `bound_requests` gives MLflow's own requests deadlines: MLflow bounds
the wait for a byte, not for an answer.
"""

import http.client
import json
import queue
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from requests import Response

LARGEST_ANSWER = 2**22  # bytes: a page of pools, workers or experiments is some kilobytes
T = TypeVar("T")
_SLOWEST = 2**13        # bytes a second of what is sent: a way that carries less is taken for none
_PIECE = 2**16          # bytes of a file that must come within the time of one answer
_LARGEST = 2**28        # bytes of an answer that is no file: a page of a thousand runs is some megabytes


class Refused(Exception):
    """Why there is no answer, in a few words; `code` is HTTP's, None when nothing answered in HTTP at all."""

    def __init__(self, words: str, code: int | None = None) -> None:
        super().__init__(words)
        self.code = code


def ask_json(url: str, limit: float, headers: Mapping[str, str], body: Mapping[str, Any] | None = None) -> Any:
    """GET `url`, or POST `body` as JSON to it; the answer, parsed where it is JSON. `limit`: seconds for all of it.

    Raises Refused.
    """
    data = None if body is None else json.dumps(body).encode()
    try:
        content = fetch_body(url, limit, {**headers, **({"Content-Type": "application/json"} if data else {})}, data)
    except urllib.error.HTTPError as error:
        words = {401: "refuses: no login, or a wrong one", 403: "refuses: this login may not"}
        raise Refused(words.get(error.code, f"answers HTTP {error.code}"), error.code) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Refused(f"does not answer ({reason(error)})") from error
    text = content.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def fetch_body(url: str, limit: float, headers: Mapping[str, str] | None = None, data: bytes | None = None) -> bytes:
    """The body of the answer to GET `url`, or to POST where there is `data`.

    limit: seconds for all of it, the look-up of the name and the last byte included. A redirect is not followed.
    Raises urllib.error.HTTPError for another status than 2xx, http.client.HTTPException for what is no HTTP, and
    OSError: no connection, no whole answer in time, or one of more than LARGEST_ANSWER bytes.
    """
    end, handler = time.monotonic() + limit, _ClosableHandler()

    def work() -> bytes:
        request = urllib.request.Request(url, data, dict(headers or {}))
        with urllib.request.build_opener(handler, _NoRedirects).open(request, timeout=limit) as answer:
            return _read_body(answer, end)

    return with_deadline(limit, work, handler.end)


def _read_body(answer: http.client.HTTPResponse, end: float) -> bytes:
    content = b""
    while part := answer.read1(2**16):
        content += part
        if len(content) > LARGEST_ANSWER:
            raise OSError(f"an answer of more than {LARGEST_ANSWER // 2**20} MiB")
        if time.monotonic() > end:
            raise TimeoutError("no whole answer in time")
    return content


class _ClosableHandler(urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
    """Remembers its connections, so that another thread can close them."""

    def __init__(self) -> None:
        super().__init__()
        self.connections: list[http.client.HTTPConnection] = []

    def do_open(self, http_class: Any, req: urllib.request.Request, **http_conn_args: Any) -> Any:
        def made(host: str, **more: Any) -> http.client.HTTPConnection:
            self.connections.append(http_class(host, **more))
            return self.connections[-1]
        return super().do_open(made, req, **http_conn_args)

    def end(self) -> None:
        for connection in self.connections:
            with suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the login would be shown to the server that a redirect names."""

    def redirect_request(self, *_: Any) -> None:
        return None


def with_deadline(limit: float, act: Callable[[], T], give_up: Callable[[], None] = lambda: None) -> T:
    """What `act` returns or raises, or TimeoutError after `limit` seconds.

    give_up: called then, to end what `act` waits for. `act` goes on in a daemon thread, which no process waits for.

    >>> with_deadline(0.1, lambda: time.sleep(9))
    Traceback (most recent call last):
    ...
    TimeoutError: no complete answer within 0.1 s
    """
    outcome = queue.SimpleQueue[tuple[T | None, Exception | None]]()

    def work() -> None:
        try:
            outcome.put((act(), None))
        except Exception as error:
            outcome.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        answer, error = outcome.get(timeout=limit)
    except queue.Empty:
        give_up()
        raise TimeoutError(f"no complete answer within {limit:.3g} s") from None
    if error is not None:
        raise error
    return cast(T, answer)


def reason(error: Exception) -> str:
    """Why there was no answer, in one short line.

    >>> reason(http.client.BadStatusLine("SSH-2.0-OpenSSH_9.2"))
    "the answer is not HTTP: 'SSH-2.0-OpenSSH_9.2'"
    """
    said = " ".join(str(getattr(error, "reason", error)).split())[:80]
    if isinstance(error, http.client.HTTPException) and not isinstance(error, OSError):
        said = said if said.startswith("'") else repr(said)
        return f"the answer is not HTTP: {said}"
    return said


def bound_requests() -> None:
    """Give every request of MLflow's client in this process a deadline.

    An answer has MLFLOW_HTTP_REQUEST_TIMEOUT seconds, with retries and the pauses between them. What is sent has more
    by its length, and a file that is received has as many seconds for each piece: a long file passes, a trickle does
    not.
    After the last retry the server's own message is kept.
    """
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT
    from mlflow.utils import request_utils
    from requests import PreparedRequest, Response
    from requests.exceptions import ReadTimeout

    if request_utils.TCPKeepAliveHTTPAdapter.__module__ == __name__:
        return

    class Bounded(request_utils.TCPKeepAliveHTTPAdapter):
        def __init__(self, **settings: Any) -> None:
            settings["max_retries"] = settings["max_retries"].new(raise_on_status=False)
            super().__init__(**settings)

        def send(self, request: PreparedRequest, stream: bool = False, *arguments: Any, **settings: Any) -> Response:
            patience = float(MLFLOW_HTTP_REQUEST_TIMEOUT.get())

            def work() -> Response:
                response = super(Bounded, self).send(request, True, *arguments, **settings)
                answers.append(response)
                if not stream:
                    response._content = _read_response(response)
                    response._content_consumed = True   # as Response.content does
                return response

            answers: list[Response] = []
            length = int(request.headers.get("Content-Length") or 0)
            try:
                response = with_deadline(patience + length / _SLOWEST, work, lambda: _close(answers))
            except TimeoutError as error:
                raise ReadTimeout(str(error), request=request) from error
            if stream:
                response.iter_content = _Pieces(response, patience)     # type: ignore[assignment]
            return response

    # Looked up there by name when a session is made; MLflow has no setting for it.
    setattr(request_utils, "TCPKeepAliveHTTPAdapter", Bounded)  # noqa: B010


class _Pieces:
    """Response.iter_content with a deadline for each piece, of _PIECE bytes at most."""

    def __init__(self, response: "Response", patience: float) -> None:
        self._response, self._pieces, self._patience = response, response.iter_content, patience

    def __call__(self, chunk_size: int = 1) -> Iterator[bytes]:
        from requests.exceptions import ReadTimeout
        pieces = iter(self._pieces(min(chunk_size, _PIECE)))
        while True:
            try:
                piece = with_deadline(self._patience, lambda: next(pieces, None), lambda: _close([self._response]))
            except TimeoutError as error:
                raise ReadTimeout(str(error), request=self._response.request) from error
            if piece is None:
                return
            yield piece


def _read_response(response: "Response") -> bytes:
    from requests.exceptions import ConnectionError
    content = bytearray()
    for piece in response.iter_content(_PIECE):
        content += piece
        if len(content) > _LARGEST:
            response.close()
            raise ConnectionError(f"an answer of more than {_LARGEST // 2**20} MiB", request=response.request)
    return bytes(content)


def _close(answers: "list[Response]") -> None:
    for response in answers:
        with suppress(OSError, ValueError, RuntimeError):
            response.raw.shutdown()     # wakes a thread that still reads there
