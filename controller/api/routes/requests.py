"""Requests: hand in, read, decide."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query

from controller import errors
from controller.actions import requests as actions
from controller.actions.draft import Explained
from controller.api.answers.base import page_of, responses
from controller.api.answers.requests import RequestOut
from controller.api.call import Call, TheCall
from controller.api.errors import body as error_body
from controller.api.fields import Priority
from controller.api.json import Json
from controller.api.paging import Cursor, Limit, page_out, time_ordered
from controller.api.schemas import DecisionIn, RefusalIn, RequestIn
from controller.model import views
from controller.model.request import Item, SpreadRule, Submission
from controller.store import requests as store

router = APIRouter(prefix="/v1/requests", tags=["requests"])
Explain = Annotated[bool, Query(description="Answer whether it would be taken, without doing anything.")]


def submission(call: Call, given: Any, items: list[Any], direct: bool, explain: bool) -> Submission:
    """What was handed in, in the controller's own words."""
    return Submission(
        identity=call.identity,
        project=given.project,
        reason=given.reason,
        term_days=given.term_days,
        ends=given.ends,
        starts_at=given.starts_at,
        items=tuple(
            Item(
                kind=item.kind,
                name=item.name,
                flavor=item.flavor,
                image=item.image,
                count=getattr(item, "count", 1),
                pool=item.pool,
                zone=item.zone,
                site=item.site,
                spread=SpreadRule(item.spread.mode, item.spread.domain, item.spread.max_per_domain) if item.spread else None,
                user_data=item.user_data,
                ssh_keys=tuple(item.ssh_keys),
                preemptible=item.preemptible,
                container=item.container.model_dump() if item.container else None,
                hypervisor=item.hypervisor,
            )
            for item in items
        ),
        direct=direct,
        explain=explain,
        key=None if explain else call.key,
        fingerprint=call.fingerprint if call.key else "",
        lang=call.reader.lang,
        priority=given.priority,
        preempt=given.preempt,
    )


def hand_in(call: Call, handed: Submission) -> Json:
    """Admit, and answer."""
    outcome = call.services.admitter.submit(handed)
    if isinstance(outcome, errors.ControllerError) and not handed.explain:
        raise outcome
    if isinstance(outcome, errors.ControllerError):
        return Json({"fits": False, "refusal": error_body(outcome, handed.lang)["error"], "preemption": None})
    if isinstance(outcome, Explained):
        refusal = error_body(outcome.refusal, handed.lang)["error"] if outcome.refusal else None
        return Json({"fits": refusal is None, "refusal": refusal, "preemption": outcome.preemption})
    assert outcome.answer is not None  # noqa: S101 - admission renders what it accepts
    status, text = outcome.answer
    return Json(orjson.loads(text), status)


@router.post("", status_code=201, responses=responses(RequestOut, 201, explained=True), response_model=None)
def create_request(call: TheCall, given: RequestIn, explain: Explain = False) -> Json:
    """Apply.

    Limits are checked over the whole tree, quota and capacity held, and the project's policy decides at once or leaves it to an approver.
    """
    return hand_in(call, submission(call, given, given.items, direct=False, explain=explain))


@router.get("", responses=responses(page_of(RequestOut)), response_model=None)
def list_requests(
    call: TheCall,
    project: str | None = None,
    state: Literal["pending", "approved", "refused", "expired", "cancelled"] | None = None,
    priority: Priority | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Json:
    """Requests, newest first."""
    before = time_ordered(cursor)
    return call.read(
        lambda conn: page_out(
            store.page(conn, call.scope(conn, project), {"state": state, "priority": priority}, before, limit),
            limit,
            views.request,
            lambda row: row["id"],
        )
    )


@router.get("/{request_id}", responses=responses(RequestOut), response_model=None)
def show_request(call: TheCall, request_id: str) -> Json:
    """One request."""
    return call.read(lambda conn: views.request(actions.find(conn, call.identity, request_id)))


@router.post("/{request_id}/approve", responses=responses(RequestOut), response_model=None)
def approve_request(call: TheCall, request_id: str, given: DecisionIn | None = None) -> Json:
    """Approve: what was held becomes instances. Never fails for lack of quota or capacity."""
    reason = given.reason if given else None
    return call.change(lambda conn: views.request(actions.approve(conn, call.env, call.identity, request_id, reason or None, call.seen)))


@router.post("/{request_id}/refuse", responses=responses(RequestOut), response_model=None)
def refuse_request(call: TheCall, request_id: str, given: RefusalIn) -> Json:
    """Refuse, with a reason."""
    return call.change(lambda conn: views.request(actions.refuse(conn, call.identity, request_id, given.reason, call.seen)))


@router.post("/{request_id}/cancel", responses=responses(RequestOut), response_model=None)
def cancel_request(call: TheCall, request_id: str) -> Json:
    """Take it back."""
    return call.change(lambda conn: views.request(actions.cancel(conn, call.identity, request_id, call.seen)))
