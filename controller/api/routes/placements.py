"""Placements: what the scheduler decided, and why, for as long as anybody may ask."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from controller.api.answers.base import page_of, responses
from controller.api.answers.placements import PlacementOut
from controller.api.call import TheCall
from controller.api.json import Json
from controller.api.paging import Cursor, Limit, page_out, time_ordered
from controller.model import views
from controller.store import placements as store

router = APIRouter(prefix="/v1/placements", tags=["placements"])
Request = Annotated[str | None, Query(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", description="Only those for this request.")]
Placed = Annotated[bool | None, Query(description="Only what was placed, or only what was refused.")]


@router.get("", responses=responses(page_of(PlacementOut)), response_model=None)
def list_placements(
    call: TheCall, project: str | None = None, request: Request = None, placed: Placed = None, cursor: Cursor = None, limit: Limit = 50
) -> Json:
    """What was decided for items of requests, newest first. Refusals for lack of room are kept for 400 days."""
    before = time_ordered(cursor)
    return call.read(
        lambda conn: page_out(
            store.page(conn, call.scope(conn, project), request, placed, before, limit),
            limit,
            lambda row: views.placement(row, call.reader),
            lambda row: row["id"],
        )
    )
