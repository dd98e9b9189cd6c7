"""The routes of the service, with a token where there is one, and one line of JSON for whatever is refused."""

import hmac
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

from fastapi import Depends, FastAPI, Request, Response, WebSocket
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ser_ops.pages import policy
from ser_ops.serving.live import answer_live
from ser_ops.serving.metrics import CONTENT_TYPE
from ser_ops.serving.schema import MODEL, PREDICT
from ser_ops.serving.service import Service

_PAGE = Path(__file__).with_name("page.html")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_JSON = "application/json"
_BEARER = HTTPBearer(auto_error=False, scheme_name="token", description="that of SER_OPS_SERVE_TOKEN")


def create_app(service: Service, token: str | None = None) -> FastAPI:
    """The service as an ASGI application.

    token: what clients of /v1 and /metrics send as `Authorization: Bearer TOKEN`; None lets everybody in.
    """
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    async def authorised(given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
        if given is None or not is_token(given.credentials.strip()):
            raise HTTPException(401, "send the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"})

    def is_token(given: str) -> bool:
        return token is None or hmac.compare_digest(given.encode(errors="surrogatepass"), token.encode())

    # Pages of OpenAPI come from elsewhere; /openapi.json is all that the service itself has.
    app = FastAPI(title="ser-ops", description="Speech emotion recognition", docs_url=None, redoc_url=None,
                  lifespan=lifespan)
    app.add_middleware(_Observed, service=service)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _failed)
    protected = [] if token is None else [Depends(authorised)]

    @app.get("/healthz")
    async def healthz() -> Response:
        """Whether the process answers."""
        return _json({"status": "ok"})

    @app.get("/readyz")
    async def readyz() -> Response:
        """Whether recordings are answered, and by which model."""
        alive = service.batcher.alive
        return _json({"ready": alive, "model": service.served.short}, 200 if alive else 503)

    @app.get("/v1/model", dependencies=protected, **MODEL)
    async def model() -> Response:
        """The model that answers now: its card, the gate's verdict and who asked for it, licences, uses."""
        return _json(service.served.record())

    @app.get("/metrics", dependencies=protected)
    async def metrics() -> Response:
        """Counters in Prometheus' format."""
        return Response(service.metrics.written(), media_type=CONTENT_TYPE)

    @app.post("/v1/predict", dependencies=protected, **PREDICT)
    async def predict(request: Request) -> Response:
        """The emotions of recordings: several files, samples as JSON, or the bytes of one file."""
        status, written = await service.predict(request, request.state.request_id)
        return Response(written, status, media_type=_JSON)

    @app.websocket("/v1/live")
    async def live(socket: WebSocket) -> None:
        """Live sound: settings as JSON, then PCM in; an answer each hop out."""
        await answer_live(socket, service, is_token)

    content = _PAGE.read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": _page_policy(content), "X-Content-Type-Options": "nosniff",
               "Referrer-Policy": "no-referrer"}

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response(content, media_type="text/html", headers=headers)

    return app


def _page_policy(content: str) -> str:
    """That of a page that holds all it shows and talks to this service alone; its worklet comes from a blob."""
    script, style = (re.search(f"<{tag}>(.*?)</{tag}>", content, re.DOTALL) for tag in ("script", "style"))
    assert script and style
    return (policy(script[1], style[1]).replace("script-src ", "script-src blob: ")
            .replace("media-src data:", "media-src blob:") + "; connect-src 'self'; frame-ancestors 'none'")


def _json(content: Any, status: int = 200, headers: Any = None) -> Response:
    return Response(json.dumps(content), status, headers=headers, media_type=_JSON)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail, "request_id": request.state.request_id}, error.status_code, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    return _json({"error": "the service failed; its log has the reason", "request_id": request.state.request_id}, 500)


class _Observed:
    """Gives each request its id, a client's own where it sends one, and counts it."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._metrics = app, service.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        begun = time.monotonic()

        def count(status: int) -> None:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, status).inc()
            self._metrics.latency.labels(route).observe(time.monotonic() - begun)

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
                count(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, counted)
        except Exception:   # becomes `_failed` further out
            count(500)
            raise
