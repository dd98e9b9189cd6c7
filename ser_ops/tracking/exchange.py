"""MLflow's own requests, each ended by a deadline; MLflow itself bounds the wait for a byte, not for an answer."""

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ser_ops.tracking.asking import within

if TYPE_CHECKING:
    from requests import Response

_SLOWEST = 2**13        # bytes a second of what is sent: a way that carries less is taken for none
_PIECE = 2**16          # bytes of a file that must come within the time of one answer
_LARGEST = 2**28        # bytes of an answer that is no file: a page of a thousand runs is some megabytes


def bound_requests() -> None:
    """See that every request of MLflow's client in this process ends.

    An answer has MLFLOW_HTTP_REQUEST_TIMEOUT seconds, retries and the pauses between them included. What is sent has
    more by its length, and a file that comes has as many for each piece: a long one goes through, one that drips does
    not. After the last retry the server's own words are kept.
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
                    response._content, response._content_consumed = _body(response), True   # as Response.content does
                return response

            answers: list[Response] = []
            length = int(request.headers.get("Content-Length") or 0)
            try:
                response = within(patience + length / _SLOWEST, work, lambda: _end(answers))
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
                piece = within(self._patience, lambda: next(pieces, None), lambda: _end([self._response]))
            except TimeoutError as error:
                raise ReadTimeout(str(error), request=self._response.request) from error
            if piece is None:
                return
            yield piece


def _body(response: "Response") -> bytes:
    from requests.exceptions import ConnectionError
    content = bytearray()
    for piece in response.iter_content(_PIECE):
        content += piece
        if len(content) > _LARGEST:
            response.close()
            raise ConnectionError(f"an answer of more than {_LARGEST // 2**20} MiB", request=response.request)
    return bytes(content)


def _end(answers: "list[Response]") -> None:
    for response in answers:
        with suppress(OSError, ValueError, RuntimeError):
            response.raw.shutdown()     # whoever reads there still is woken
