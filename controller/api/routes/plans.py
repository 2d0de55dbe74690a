"""Plans and what-if, for operators. Both only tell: a POST, since what is asked has a body, that changes nothing."""

from __future__ import annotations

from fastapi import APIRouter

from controller.actions import plans as actions
from controller.api.answers.base import responses
from controller.api.answers.plans import PlanOut, WhatIfOut
from controller.api.call import TheCall
from controller.api.json import Json
from controller.api.planning import PlanIn, WhatIfIn
from controller.model import plan_views

router = APIRouter(prefix="/v1", tags=["plans"])


@router.post("/plans", responses=responses(PlanOut), response_model=None)
def make_plan(call: TheCall, given: PlanIn) -> Json:
    """What should move where: to empty a host, or many; to level a pool; to make room for a flavor. Nothing is done."""
    identity, reader = call.identity, call.reader
    wish = actions.Wish(**given.model_dump())
    there = call.services.database.run(lambda conn: actions.town(conn, identity, wish))
    made = actions.decide(wish, there)
    what = there.fleet.host_name(there.host) if there.host else there.pool
    return Json(plan_views.plan(wish.kind, what, made, there.who, there.fleet.host_name, there.watts, reader))


@router.post("/what-if", responses=responses(WhatIfOut), response_model=None)
def what_if(call: TheCall, given: WhatIfIn) -> Json:
    """What if hosts were lost or added, an architecture retired, instances asked for? Nothing is done."""
    identity, reader = call.identity, call.reader
    question = actions.Question(
        lose=tuple(given.lose),
        add=tuple((one.like, one.count) for one in given.add),
        retire=tuple(given.retire),
        place=tuple(one.model_dump() for one in given.place),
        spare_hosts=given.spare_hosts,
    )
    there, change = call.services.database.run(lambda conn: actions.everything(conn, identity, question))
    found = actions.answer(there, change, question.spare_hosts)
    return Json(plan_views.outcome(found, [one.flavor for one in given.place], there.who, reader))
