"""What runs in an instance, and may be listened to or talked to: its console or log, and commands in a container.

What a guest prints may be anything, secrets too: it is for those who use the instance, and for operators. Running a command there is for
those who use it alone, and is recorded before it runs.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Annotated, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query
from fastapi.responses import Response, StreamingResponse
from sqlalchemy import Connection

from controller import errors
from controller.actions import guard
from controller.actions import instances as actions
from controller.api.answers.base import responses
from controller.api.answers.guests import ConsoleOut, ExecOut
from controller.api.call import Call, TheCall
from controller.api.json import Json
from controller.api.schemas import ExecIn
from controller.model import views
from controller.model.identity import Right
from controller.store import events, fleet
from controller.store.sql import Row
from drivers.base import ConsoleLog
from drivers.container import Exec, LogStream
from drivers.errors import DriverError, NotRunning, Timeout

router = APIRouter(prefix="/v1/instances", tags=["instances"])
MaxBytes = Annotated[int, Query(ge=1, le=1 << 20)]
T = TypeVar("T")
_EXEC_BYTES = 1 << 20  # of each stream, at most
_RECORDED = 1000  # characters of a command
_TALKS = 64  # at once; more wait in line
_MAY_S = 30.0  # after which a follower is asked again whether he may


@router.get("/{instance_id}/console", responses=responses(ConsoleOut), response_model=None)
def show_console(call: TheCall, instance_id: str, max_bytes: MaxBytes = 65536) -> Json:
    """The end of its serial console's log, or of a container's output: for those who use the instance, and operators."""
    row, endpoint = call.services.database.run(lambda conn: _listened(conn, call, instance_id))
    with _told(call):
        driver = call.services.connections.driver(endpoint)
        if not isinstance(driver, ConsoleLog):
            raise errors.InvalidState("no_console")
        return Json({"text": driver.console_log(row["id"], max_bytes).decode(errors="replace")})


@router.get(
    "/{instance_id}/log",
    responses={**responses(None), 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    response_model=None,
)
async def follow_log(call: TheCall, instance_id: str, max_bytes: MaxBytes = 65536) -> Response:
    """The end of a container's output, then what it prints, as it does: for those who use the instance, and operators."""

    def begin() -> tuple[bytes, Generator[bytes, None, None]]:
        row, endpoint = call.services.database.run(lambda conn: _listened(conn, call, instance_id))
        with _told(call):
            driver = call.services.connections.driver(endpoint)
            if not isinstance(driver, LogStream):
                raise errors.InvalidState("no_log")
            stream = driver.follow_log(row["id"], max_bytes)
            return next(stream, b""), stream  # so that what can't be followed is refused with a status

    first, stream = await _apart(begin)
    return StreamingResponse(_following(call, instance_id, first, stream), media_type="text/plain", headers={"Cache-Control": "no-store"})


async def _following(call: Call, instance_id: str, first: bytes, stream: Generator[bytes, None, None]) -> AsyncIterator[bytes]:
    """What comes, until it or the controller ends; now and then it is asked whether the caller still may."""
    chunk: bytes | None = first
    may_until = time.monotonic() + _MAY_S
    try:
        while chunk is not None and not call.services.ending():
            yield chunk
            if time.monotonic() > may_until:
                await _apart(lambda: _may_still(call, instance_id))
                may_until = time.monotonic() + _MAY_S
            chunk = await _apart(lambda: next(stream, None))
    except (DriverError, errors.ControllerError):
        return
    finally:
        stream.close()


@router.post("/{instance_id}/exec", responses=responses(ExecOut), response_model=None)
async def run_command(call: TheCall, instance_id: str, given: ExecIn) -> Json:
    """Run a command in a container to its end, beside its own, each time it is asked for. Who ran what is recorded before it runs."""
    return await _apart(lambda: _run(call, instance_id, given))


def _run(call: Call, instance_id: str, given: ExecIn) -> Json:

    def recorded(conn: Connection) -> tuple[Row, Row]:
        row = actions.find(conn, call.identity, instance_id)
        guard.allow(call.identity, Right.USE, row)
        fact = events.event(
            "instance.exec_asked",
            "instance",
            row["id"],
            row["name"],
            row["project_id"],
            call.identity.name,
            command=shlex.join(given.command)[:_RECORDED],
        )
        events.add(conn, [fact])
        return row, _endpoint(conn, row)

    row, endpoint = call.services.database.run(recorded)
    with _told(call):
        driver = call.services.connections.driver(endpoint)
        if not isinstance(driver, Exec):
            raise errors.InvalidState("no_exec")
        try:
            done = driver.execute(row["id"], given.command, given.stdin.encode(), float(given.timeout_s), _EXEC_BYTES)
        except Timeout as error:
            raise errors.Conflict("command_unended", None, seconds=given.timeout_s) from error
    return Json(
        {
            "exit_code": done.exit_code,
            "stdout": done.stdout.decode(errors="replace"),
            "stderr": done.stderr.decode(errors="replace"),
            "truncated": done.truncated,
        }
    )


@cache
def _line() -> CapacityLimiter:
    return CapacityLimiter(_TALKS)


async def _apart(work: Callable[[], T]) -> T:
    """Done by threads of its own: whoever talks to guests, for however long, takes none from those who ask the API for anything else."""
    return await to_thread.run_sync(work, limiter=_line())


@contextmanager
def _told(call: Call) -> Iterator[None]:
    """What a driver says against it, as an answer."""
    try:
        yield
    except NotRunning as error:
        raise errors.InvalidState(error.reason.code, None, **views.shown(error.reason.params, call.reader)) from error
    except DriverError as error:
        raise errors.Unavailable(error.reason.code, None, **views.shown(error.reason.params, call.reader)) from error


def _may_still(call: Call, instance_id: str) -> None:
    """Raises what says no: the token is looked up anew."""
    anew = Call(call.request, call.services)
    call.services.database.run(lambda conn: _listened(conn, anew, instance_id))


def _listened(conn: Connection, call: Call, instance_id: str) -> tuple[Row, Row]:
    row = actions.find(conn, call.identity, instance_id)
    if not call.identity.may(Right.OPERATE, row["ancestors"]):
        guard.allow(call.identity, Right.USE, row)
    return row, _endpoint(conn, row)


def _endpoint(conn: Connection, row: Row) -> Row:
    if row["state"] == "deleted":
        raise errors.NotFound("instance_not_found", instance=row["id"])
    host = fleet.host(conn, row["host_id"])
    assert host is not None  # noqa: S101 - hosts of live instances are never removed
    endpoint = fleet.endpoint(conn, host["endpoint_id"])
    assert endpoint is not None  # noqa: S101
    return endpoint
