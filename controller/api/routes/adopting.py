"""What is behind an endpoint and isn't ours, and how it becomes ours: for operators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection

from controller import errors
from controller.actions import adopting as actions
from controller.actions import guard
from controller.actions.fleet import find_endpoint
from controller.api.answers.adopting import ForeignOut
from controller.api.answers.base import page_of, responses
from controller.api.answers.requests import InstanceOut
from controller.api.call import Call, TheCall
from controller.api.errors import body
from controller.api.fields import In, Label, Line, Reference
from controller.api.json import Json
from controller.api.paging import Cursor, Limit, following, named
from controller.model import translate, views
from controller.model.identity import Right
from controller.store import fleet, instances, projects
from controller.store.sql import Row
from drivers.adopting import Adopts, Foreign
from drivers.errors import DriverError, InvalidSpec

router = APIRouter(prefix="/v1", tags=["fleet"])
_ASKED: Final = 5  # how often a driver is asked anew when somebody else adopts something there, too


class AdoptIn(In):
    """What is to become an instance, and whose."""

    id: Reference = Field(description="Its backend's id.", examples=["019abf3c-1d20-7c3a-9f51-0c6b5f2f8a11"])
    project: Reference = Field(examples=["hubei/health"])
    name: Label | None = Field(None, description="The instance's name; null: after its own.", examples=["web-1"])
    reason: Line = Field("", examples=["it was theirs before"])


@router.get("/endpoints/{endpoint}/foreign", responses=responses(page_of(ForeignOut)), response_model=None)
def list_foreign(
    call: TheCall,
    endpoint: str,
    project: Annotated[str | None, Query(description="Tell whether this project's limits would leave it.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Json:
    """What is behind an endpoint and isn't ours, newest first, and what stands in the way of its adoption."""
    after, database = named(cursor), call.services.database
    row = database.run(lambda conn: find_endpoint(conn, call.identity, endpoint))
    with _told(call):
        try:
            found, further = _adopts(call, row).foreign(after, limit)
        except InvalidSpec as error:
            raise errors.InvalidRequest("bad_cursor") if after else error from error

    def work(conn: Connection) -> dict[str, Any]:
        adopted = instances.adopted_on(conn, row["id"])
        hosts = {host["backend_name"]: host["name"] for host in fleet.hosts_of(conn, row["id"])}
        of = guard.project(conn, call.identity, project, Right.READ) if project else None
        nodes = projects.nodes(conn, of["ancestors"]) if of else {}
        shown = [_shown(call, one, hosts, _refusal(call, of, nodes, one)) | {"fits": None} for one in found if one.id not in adopted]
        if of:
            shown = [one | {"fits": one["refusal"] is None} for one in shown]
        return {"items": shown, "next": following(further)}

    return call.read(work)


def _refusal(call: Call, project: Row | None, nodes: Mapping[str, Any], found: Foreign) -> dict[str, Any] | None:
    refused = actions.refusal(call.identity, project, nodes, found) if project else None
    return body(refused, call.reader.lang)["error"] if refused else None


def _shown(call: Call, found: Foreign, hosts: Mapping[str, str], refusal: dict[str, Any] | None) -> dict[str, Any]:
    told = ("id", "name", "status", "group", "vcpus", "memory_mib", "disk_gib", "flavor", "image")
    return {
        **{name: getattr(found, name) for name in told},
        "power": found.power.value if found.power else None,
        "host": hosts.get(found.host, found.host),
        "addresses": list(found.addresses),
        "created_at": found.created_at or None,
        "counts": {resource: amount for (_, resource), amount in actions.counts(found).items()},
        "obstacle": views.reason(translate.reason(found.obstacle), call.reader),
        "refusal": refusal,
    }


@router.post("/endpoints/{endpoint}/adopt", status_code=201, responses=responses(InstanceOut, 201), response_model=None)
def adopt(call: TheCall, endpoint: str, given: AdoptIn) -> Json:
    """Make something that is there an instance of a project: its quota is taken, it is marked, and nothing else is done to it."""
    if (known := call.repeated()) is not None:
        return known
    wish = actions.Wish(given.id, given.project, given.name, given.reason)
    for _ in range(_ASKED):
        row, adopted = call.services.database.run(lambda conn: actions.before(conn, call.identity, endpoint, wish))
        told = _ask(call, row, wish, adopted)
        try:
            return call.change(lambda conn: views.instance(actions.adopt(conn, call.env, call.identity, row, wish, told), call.reader), 201)  # noqa: B023 - called at once
        except actions.Restless:
            continue
    raise errors.Unavailable("fleet_restless")


def _ask(call: Call, row: Row, wish: actions.Wish, adopted: frozenset[str]) -> actions.Told:
    with _told(call):
        driver = _adopts(call, row)
        found = driver.foreigner(wish.id)
        if found is None:
            raise errors.NotFound("foreign_not_found", id=wish.id, name=row["name"])
        return actions.Told(found, driver.inventory_with(adopted | {found.id}), adopted)


def _adopts(call: Call, endpoint: Row) -> Adopts:
    """Its driver. Raises InvalidState where that can't."""
    driver = call.services.connections.driver(endpoint)
    if not isinstance(driver, Adopts):
        raise errors.InvalidState("driver_adopts_nothing", driver=endpoint["driver"])
    return driver


@contextmanager
def _told(call: Call) -> Iterator[None]:
    """What a driver says against it, as an answer."""
    try:
        yield
    except DriverError as error:
        raise errors.Unavailable(error.reason.code, None, **views.shown(error.reason.params, call.reader)) from error
