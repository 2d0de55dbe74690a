"""Flavors and images."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy import Connection
from starlette.requests import ClientDisconnect

from controller import errors
from controller.actions import catalogue as actions
from controller.api.answers.base import page_of, responses
from controller.api.answers.catalogue import FlavorOut, ImageOut
from controller.api.call import Call, TheCall, TheStreamedCall
from controller.api.json import Json
from controller.api.paging import Cursor, Limit, named, page_out
from controller.api.schemas import FlavorIn, ImageIn
from controller.images import Intake, Rejected
from controller.model import views
from controller.store import catalogue as store

router = APIRouter(prefix="/v1", tags=["catalogue"])
_CHUNK = 4 << 20  # bytes written and hashed at a time, in a worker thread


@router.post("/flavors", status_code=201, responses=responses(FlavorOut, 201), response_model=None)
def create_flavor(call: TheCall, given: FlavorIn) -> Json:
    """A new size."""
    return call.change(lambda conn: views.flavor(actions.create(conn, call.env, call.identity, "flavors", given.model_dump())), 201)


@router.get("/flavors", responses=responses(page_of(FlavorOut)), response_model=None)
def list_flavors(
    call: TheCall,
    kind: Literal["vm", "container", "bare_metal"] | None = None,
    arch: Annotated[str | None, Query()] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Json:
    """Sizes, in order of name."""
    after, filters = named(cursor), {"kind": kind, "arch": arch}
    return call.read(
        lambda conn: page_out(store.page(conn, "flavors", filters, after, limit), limit, views.flavor, lambda row: row["name"])
    )


@router.get("/flavors/{flavor}", responses=responses(FlavorOut), response_model=None)
def show_flavor(call: TheCall, flavor: str) -> Json:
    """One size."""
    return call.read(lambda conn: views.flavor(actions.find(conn, "flavors", flavor)))


@router.delete("/flavors/{flavor}", responses=responses(FlavorOut), response_model=None)
def delete_flavor(call: TheCall, flavor: str) -> Json:
    """Take a size out of the catalogue; instances keep theirs."""
    return call.change(lambda conn: views.flavor(actions.delete(conn, call.identity, "flavors", flavor, call.seen)))


@router.post("/images", status_code=201, responses=responses(ImageOut, 201), response_model=None)
def create_image(call: TheCall, given: ImageIn) -> Json:
    """Enter an image. With a URL it is fetched by the controller, else its content is to be uploaded."""
    fields = given.model_dump()
    fields |= {"want_sha256": fields.pop("sha256"), "want_sm3": fields.pop("sm3"), "state": "importing" if given.url else "waiting"}
    return call.change(lambda conn: views.image(actions.create(conn, call.env, call.identity, "images", fields), call.reader), 201)


@router.get("/images", responses=responses(page_of(ImageOut)), response_model=None)
def list_images(
    call: TheCall,
    arch: Annotated[str | None, Query()] = None,
    state: Literal["waiting", "importing", "ready", "failed"] | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Json:
    """Images, in order of name."""
    after, filters, reader = named(cursor), {"arch": arch, "state": state}, call.reader
    return call.read(
        lambda conn: page_out(
            store.page(conn, "images", filters, after, limit), limit, lambda row: views.image(row, reader), lambda row: row["name"]
        )
    )


@router.get("/images/{image}", responses=responses(ImageOut), response_model=None)
def show_image(call: TheCall, image: str) -> Json:
    """One image."""
    return call.read(lambda conn: views.image(actions.find(conn, "images", image), call.reader))


@router.delete("/images/{image}", responses=responses(ImageOut), response_model=None)
def delete_image(call: TheCall, image: str) -> Json:
    """Take an image that nothing refers to out of the catalogue, with its content."""

    def work(conn: Connection) -> dict[str, Any]:
        return views.image(actions.delete(conn, call.identity, "images", image, call.seen), call.reader)

    answer = call.change(work)
    row = _id_of(answer)
    (call.env.settings.image_dir / row).unlink(missing_ok=True)
    return answer


def _id_of(answer: Json) -> str:
    import orjson

    return str(orjson.loads(bytes(answer.body))["id"])


_CONTENT = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}


@router.put("/images/{image}/content", responses=responses(ImageOut), response_model=None, openapi_extra=_CONTENT)
async def upload_image(call: TheStreamedCall, image: str) -> Json:
    """Upload an image's content. It is checked against the digests given and the format named; the answer says whether it is `ready`."""
    length = call.request.headers.get("content-length", "")
    if not length.isdigit():
        raise errors.InvalidRequest("length_needed")
    row = await run_in_threadpool(_begin, call, image)
    settings = call.env.settings
    intake = Intake(settings.image_dir, row["id"], settings.max_image_bytes)
    try:
        measured, reason = await _take_in(call.request, intake, row, int(length))
        return await run_in_threadpool(_end, call, row, intake, measured, reason)
    finally:
        await run_in_threadpool(intake.abandon)


async def _take_in(
    request: Request, intake: Intake, row: Mapping[str, Any], length: int
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """What was measured, or why not."""
    try:
        async for chunk in _chunks(request.stream()):
            await run_in_threadpool(intake.add, chunk)
        return await run_in_threadpool(intake.check, row, length), None
    except ClientDisconnect:
        return None, {"code": "size_differs", "params": {"received": intake.size, "expected": length}}
    except Rejected as error:
        return None, {"code": error.reason.code, "params": dict(error.reason.params)}


async def _chunks(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The stream in larger pieces."""
    held: list[bytes] = []
    size = 0
    async for piece in stream:
        held.append(piece)
        size += len(piece)
        if size >= _CHUNK:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _begin(call: Call, image: str) -> Mapping[str, Any]:
    identity = call.identity
    return call.services.database.run(lambda conn: actions.may_upload(conn, identity, image))


def _end(call: Call, row: Mapping[str, Any], intake: Intake, measured: Mapping[str, Any] | None, reason: Mapping[str, Any] | None) -> Json:
    """Record how it ended. The image's row is locked by then, so that of two uploads at once the file that stays is the one on record."""

    def work(conn: Connection) -> dict[str, Any]:
        ended = actions.end_import(conn, row["id"], call.identity.name, measured, reason)
        now = actions.find(conn, "images", row["id"])
        if ended is None:
            raise errors.InvalidState("image_has_content", name=now["name"], state=now["state"])
        if measured is not None:
            intake.place()
        return views.image(now, call.reader)

    view = call.services.database.run(work)
    if reason is not None:
        raise errors.InvalidRequest(reason["code"], **reason["params"])
    return Json(view)
