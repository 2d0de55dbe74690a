"""The HTTP application: routes, errors, the OpenAPI document, and what every call passes through."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline

from controller.api import errors as api_errors
from controller.api import examples, metrics, parameters
from controller.api.call import Services, caller
from controller.api.json import Json
from controller.api.routes import (
    adopting,
    catalogue,
    events,
    fleet,
    guests,
    health,
    hypervisors,
    instances,
    machines,
    people,
    placements,
    plans,
    projects,
    requests,
)
from controller.messages import render

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

VERSION = "0.1.0"
_ROUTERS = tuple(
    noun.router
    for noun in (
        requests,
        instances,
        guests,
        projects,
        people,
        catalogue,
        fleet,
        adopting,
        hypervisors,
        machines,
        placements,
        plans,
        events,
        health,
    )  # as the page shows them
)
_OPEN = frozenset({"/healthz", "/readyz"})
_THREADS = 128  # a create waits in one for its batch: with fewer, reads would wait behind creates


def build(services: Services, max_body_bytes: int) -> FastAPI:
    """The application, ready to serve."""
    app = FastAPIOffline(
        title="Chutian",
        version=VERSION,
        summary="A private cloud's resource management controller: requests, quotas, placement, instances.",
        docs_url="/docs",
        redoc_url=None,
        separate_input_output_schemas=False,
        redirect_slashes=False,
        lifespan=_threads,
    )
    app.state.services = services
    for router in _ROUTERS:
        app.router.routes.extend(router.routes)  # flat: `include_router` would match every call three times on its way down
    api_errors.install(app, caller)
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    app.add_middleware(Measured)
    app.add_middleware(Bounded, most=max_body_bytes)
    return app


@asynccontextmanager
async def _threads(_app: FastAPI) -> AsyncIterator[None]:
    current_default_thread_limiter().total_tokens = _THREADS
    yield


class Bounded:
    """Refuse bodies that are too large before they are read; an image's content has a bound of its own."""

    def __init__(self, app: Asgi, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, counting what comes in."""
        if scope["type"] != "http" or (scope["method"] == "PUT" and scope["path"].endswith("/content")):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        announced = headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._most:
            await self._refuse(headers, scope, receive, send)
            return
        if b"transfer-encoding" not in headers:
            await self._app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False) and message["type"] == "http.request"
            if len(body) > self._most:
                await self._refuse(headers, scope, receive, send)
                return
        await self._app(scope, _replay(body, receive), send)

    async def _refuse(self, headers: dict[bytes, bytes], scope: Scope, receive: Receive, send: Send) -> None:
        lang = "zh" if headers.get(b"accept-language", b"").lower().startswith(b"zh") else "en"
        message = render("body_too_large", {"limit": self._most}, lang)
        answer = Json({"error": {"code": "body_too_large", "message": message, "details": {}}}, 413, {"Connection": "close"})
        await answer(scope, receive, send)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


class Measured:
    """Count answers and time them, by route and not by address, so that the number of series stays small."""

    def __init__(self, app: Asgi) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, measuring."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            metrics.ANSWERS.labels(scope["method"], route, str(status)).inc()
            metrics.SECONDS.labels(scope["method"], route).observe(time.perf_counter() - began)


def _document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document: FastAPI's, with the bearer token, the headers of this API, and nothing that it does not answer."""
    if app.openapi_schema:
        return app.openapi_schema
    document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    document["components"].setdefault("securitySchemes", {})["token"] = {"type": "http", "scheme": "bearer"}
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "pattern": "^[\\x21-\\x7e]{1,128}$"},
    }
    seen = {
        "name": "If-Match",
        "in": "header",
        "schema": {"type": "string", "pattern": '^"[0-9]{1,18}"$'},
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            operation["responses"].pop("422", None)
            if path not in _OPEN:
                operation["security"] = [{"token": []}]
            if method == "post" and path not in _OPEN:
                operation.setdefault("parameters", []).append(dict(key))
            if method in ("patch", "put", "delete") or (method == "post" and "{" in path):
                operation.setdefault("parameters", []).append(dict(seen))
            for parameter in operation.get("parameters", []):
                parameters.explain(parameter)
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    examples.add(document["components"]["schemas"])
    app.openapi_schema = document
    return document
