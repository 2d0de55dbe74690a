"""Events: read, and followed without missing one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse
from sqlalchemy import Connection

from controller import errors
from controller.actions import guard
from controller.api.answers.base import page_of, responses
from controller.api.answers.state import EventOut
from controller.api.call import Call, TheCall
from controller.api.json import Json
from controller.api.paging import Limit
from controller.model import views
from controller.model.identity import Right
from controller.store import events as store
from controller.store import projects

router = APIRouter(prefix="/v1/events", tags=["events"])
_CURSOR = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})")
_EVERY_S = 0.5
_BEAT_S = 15.0  # a comment now and then, so that proxies keep the stream open
After = Annotated[str | None, Query(max_length=64, description="The `id` of the last event seen; without it, the newest events.")]
Object = Annotated[str | None, Query(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", description="Only events of this object.")]


def _cursor(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise errors.InvalidRequest("bad_cursor")
    return int(match[1]), int(match[2])


def _scope(conn: Connection, call: Call, project: str | None) -> list[str] | None:
    """Events of no project (hosts, people, the catalogue) are for those who may see the fleet; others see their projects' alone."""
    scope = call.scope(conn, project)
    if scope is None and project is None and not call.identity.may_overall(Right.SEE_FLEET):
        return projects.subtree_ids(conn, call.identity.tops(Right.READ))
    return scope


def _read(call: Call, project: str | None, object_id: str | None, after: tuple[int, int] | None, limit: int) -> list[dict[str, Any]]:
    def work(conn: Connection) -> list[dict[str, Any]]:
        scope = _scope(conn, call, project)
        rows = store.after(conn, after, scope, object_id, limit) if after else store.latest(conn, scope, object_id, limit)
        paths = {row["id"]: row["path"] for row in projects.find(conn, {row["project_id"] for row in rows if row["project_id"]}).values()}
        reader = call.reader
        return [views.event(row, paths, reader) for row in rows]

    return call.services.database.run(work)


@router.get(
    "",
    responses={
        **responses(page_of(EventOut)),
        200: {"model": page_of(EventOut), "content": {"text/event-stream": {"schema": {"type": "string"}}}},
    },
    response_model=None,
)
async def list_events(
    call: TheCall, after: After = None, project: str | None = None, object: Object = None, limit: Limit = 100
) -> Response:
    """Events after a cursor, oldest first. With `Accept: text/event-stream` they are sent as they happen; `Last-Event-ID` resumes."""
    wants_stream = "text/event-stream" in call.request.headers.get("accept", "")
    cursor = _cursor(call.request.headers.get("last-event-id", after) if wants_stream else after)
    await run_in_threadpool(lambda: call.identity)
    if project is not None:
        await run_in_threadpool(lambda: call.services.database.run(lambda conn: guard.project(conn, call.identity, project, Right.READ)))
    if wants_stream:
        return StreamingResponse(
            _stream(call, project, object, cursor), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )
    items = await run_in_threadpool(_read, call, project, object, cursor, limit)
    return Json({"items": items, "next": items[-1]["id"] if items else after})


async def _stream(call: Call, project: str | None, object_id: str | None, cursor: tuple[int, int] | None) -> AsyncIterator[bytes]:
    """Events as they happen, until the controller ends. The identity is looked up anew each time: a revoked token ends the stream too."""
    idle = 0.0
    first = cursor is None
    while not call.services.ending() and not await call.request.is_disconnected():
        try:
            found = await run_in_threadpool(_read, Call(call.request, call.services), project, object_id, cursor, 20 if first else 500)
        except errors.ControllerError as error:
            if not isinstance(error, errors.Unavailable):
                return
            found = []
        for one in found:
            cursor = _cursor(one["id"])
            yield f"id: {one['id']}\nevent: {one['kind']}\ndata: {orjson.dumps(one).decode()}\n\n".encode()
        first = first and not found
        idle = 0.0 if found else idle + _EVERY_S
        if idle >= _BEAT_S:
            idle = 0.0
            yield b": still here\n\n"
        await asyncio.sleep(_EVERY_S)
