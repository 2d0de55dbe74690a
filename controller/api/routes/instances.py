"""Instances: create at once, read, act upon."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from sqlalchemy import Connection

from controller.actions import fleet as fleet_actions
from controller.actions import instances as actions
from controller.actions import plans
from controller.api.answers.base import page_of, responses
from controller.api.answers.placements import WhyOut
from controller.api.answers.requests import InstanceOut
from controller.api.call import TheCall
from controller.api.fields import Priority
from controller.api.json import Json
from controller.api.paging import Cursor, Limit, page_out, time_ordered
from controller.api.routes.requests import Explain, hand_in, submission
from controller.api.schemas import ExtendIn, InstanceIn, RebuildIn, ResizeIn
from controller.messages import render
from controller.model import views
from controller.store import events, placements
from controller.store import instances as store

router = APIRouter(prefix="/v1/instances", tags=["instances"])
State = Literal["pending", "building", "active", "stopped", "migrating", "deleting", "deleted", "error"]


@router.post("", status_code=201, responses=responses(InstanceOut, 201, explained=True), response_model=None)
def create_instance(call: TheCall, given: InstanceIn, explain: Explain = False) -> Json:
    """Create one instance: a request of one that the project's policy decides at once, or refuses."""
    return hand_in(call, submission(call, given, [given], direct=True, explain=explain))


def _sought(
    state: State | None = None,
    name: Annotated[str | None, Query(max_length=64)] = None,
    priority: Priority | None = None,
    request: Annotated[str | None, Query(pattern=r"^[0-9a-f-]{36}$")] = None,
) -> dict[str, str | None]:
    return {"state": state, "name": name, "priority": priority, "request_id": request}


@router.get("", responses=responses(page_of(InstanceOut)), response_model=None)
def list_instances(
    call: TheCall,
    sought: Annotated[dict[str, str | None], Depends(_sought)],
    project: str | None = None,
    host: Annotated[str | None, Query(description="For operators.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Json:
    """Instances, newest first; deleted ones only with `state=deleted`."""
    before = time_ordered(cursor)

    def work(conn: Connection) -> dict[str, object]:
        host_id = fleet_actions.find_host(conn, call.identity, host)["id"] if host else None
        rows = store.page(conn, call.scope(conn, project), sought | {"host_id": host_id}, before, limit)
        reader = call.reader
        return page_out(rows, limit, lambda row: views.instance(row, reader), lambda row: row["id"])

    return call.read(work)


@router.get("/{instance_id}", responses=responses(InstanceOut), response_model=None)
def show_instance(call: TheCall, instance_id: str) -> Json:
    """One instance, deleted ones too."""
    return call.read(lambda conn: views.instance(actions.find(conn, call.identity, instance_id), call.reader))


@router.post("/{instance_id}/start", responses=responses(InstanceOut), response_model=None)
def start_instance(call: TheCall, instance_id: str) -> Json:
    """Let it run."""
    return call.change(lambda conn: views.instance(actions.start(conn, call.env, call.identity, instance_id, call.seen), call.reader))


@router.post("/{instance_id}/stop", responses=responses(InstanceOut), response_model=None)
def stop_instance(call: TheCall, instance_id: str) -> Json:
    """Let it shut down; its power is cut when the grace time is over."""
    return call.change(lambda conn: views.instance(actions.stop(conn, call.env, call.identity, instance_id, call.seen), call.reader))


@router.post("/{instance_id}/reboot", responses=responses(InstanceOut), response_model=None)
def reboot_instance(call: TheCall, instance_id: str) -> Json:
    """Let it boot again, once."""
    return call.change(lambda conn: views.instance(actions.reboot(conn, call.env, call.identity, instance_id, call.seen), call.reader))


@router.post("/{instance_id}/resize", responses=responses(InstanceOut), response_model=None)
def resize_instance(call: TheCall, instance_id: str, given: ResizeIn) -> Json:
    """Make it another size, where it is; the guest is shut down and started again."""
    return call.change(
        lambda conn: views.instance(actions.resize(conn, call.env, call.identity, instance_id, given.flavor, call.seen), call.reader)
    )


@router.post("/{instance_id}/rebuild", responses=responses(InstanceOut), response_model=None)
def rebuild_instance(call: TheCall, instance_id: str, given: RebuildIn | None = None) -> Json:
    """Throw its disk away and make it again from an image."""
    image = given.image if given else None
    return call.change(
        lambda conn: views.instance(actions.rebuild(conn, call.env, call.identity, instance_id, image, call.seen), call.reader)
    )


@router.post("/{instance_id}/protect", responses=responses(InstanceOut), response_model=None)
def protect_instance(call: TheCall, instance_id: str) -> Json:
    """Protect from deletion and rebuild."""
    return call.change(lambda conn: views.instance(actions.protect(conn, call.identity, instance_id, True, call.seen), call.reader))


@router.post("/{instance_id}/unprotect", responses=responses(InstanceOut), response_model=None)
def unprotect_instance(call: TheCall, instance_id: str) -> Json:
    """Protect no longer."""
    return call.change(lambda conn: views.instance(actions.protect(conn, call.identity, instance_id, False, call.seen), call.reader))


@router.post("/{instance_id}/extend", responses=responses(InstanceOut), response_model=None)
def extend_instance(call: TheCall, instance_id: str, given: ExtendIn) -> Json:
    """Move the end of its term, from today where it has passed. Refused where its place is promised to another from then on."""
    return call.change(lambda conn: views.instance(actions.extend(conn, call.identity, instance_id, given.days, call.seen), call.reader))


@router.post("/{instance_id}/disown", responses=responses(InstanceOut), response_model=None)
def disown_instance(call: TheCall, instance_id: str) -> Json:
    """Give an instance that was adopted back to its backend's people: our marks are taken off, its quota is free, it goes on there."""
    return call.change(lambda conn: views.instance(actions.disown(conn, call.env, call.identity, instance_id, call.seen), call.reader))


@router.delete("/{instance_id}", status_code=202, responses=responses(InstanceOut, 202), response_model=None)
def delete_instance(call: TheCall, instance_id: str) -> Json:
    """Let it be gone, with its disks."""
    return call.change(lambda conn: views.instance(actions.delete(conn, call.env, call.identity, instance_id, call.seen), call.reader), 202)


@router.get("/{instance_id}/explain", responses=responses(WhyOut), response_model=None)
def explain_instance(
    call: TheCall,
    instance_id: str,
    host: Annotated[str | None, Query(description="For operators: tell as well why it is not on this host.")] = None,
) -> Json:
    """Why it is where and as it is: its newest facts, and the reason of its state in words."""

    def work(conn: Connection) -> dict[str, object]:
        row = actions.find(conn, call.identity, instance_id)
        reader = call.reader
        shown = views.instance(row, reader)
        facts = events.latest(conn, None, row["id"], 50)
        paths = {row["project_id"]: row["project"]}
        told = [views.event(fact, paths, reader) for fact in facts]
        newest = next((one["text"] for one in reversed(told) if one["kind"] != "instance.exec_asked"), "")  # that changes nothing
        text = shown["reason"]["text"] if shown["reason"] else newest or render("instance.accepted", row, reader.lang)
        placement = placements.of_instance(conn, row)
        return {
            "instance": shown,
            "text": text,
            "placement": views.placement(placement, reader) if placement else None,
            "not_there": views.miss(plans.why_not(conn, call.identity, row["id"], host), reader) if host else None,
            "events": told,
        }

    return call.read(work)
