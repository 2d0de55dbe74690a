"""Users, tokens, and who the caller is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from sqlalchemy import Connection

from controller.actions import guard
from controller.actions import people as actions
from controller.api.answers.base import page_of, responses
from controller.api.answers.people import NewTokenOut, TokenOut, UserOut, WhoOut
from controller.api.call import Call, TheCall
from controller.api.json import Json
from controller.api.paging import Cursor, Limit, named, page_out, time_ordered, truth
from controller.api.schemas import TokenIn, UserChange, UserIn
from controller.model import views
from controller.model.identity import Right
from controller.store import people as store

router = APIRouter(prefix="/v1", tags=["people"])


@router.get("/whoami", responses=responses(WhoOut), response_model=None)
def who_am_i(call: TheCall) -> Json:
    """The caller, as the controller sees it."""
    identity = call.identity
    roles = [{"project": grant.path, "role": grant.role} for grant in identity.grants]

    def work(conn: Connection) -> dict[str, object]:
        token = store.get_token(conn, identity.token_id)
        return {"user": {"id": identity.user_id, "name": identity.name}, "roles": roles, "token": views.token(token) if token else None}

    return call.read(work)


@router.post("/users", status_code=201, responses=responses(UserOut, 201), response_model=None)
def create_user(call: TheCall, given: UserIn) -> Json:
    """A new user, without any role yet."""
    return call.change(lambda conn: views.user(actions.create(conn, call.env, call.identity, given.name, given.display_name)), 201)


@router.get("/users", responses=responses(page_of(UserOut)), response_model=None)
def list_users(call: TheCall, disabled: bool | None = None, cursor: Cursor = None, limit: Limit = 50) -> Json:
    """Users in order of name; for administrators."""
    after, filters = named(cursor), {"disabled": truth(disabled)}
    guard.overall(call.identity, Right.PEOPLE)
    return call.read(lambda conn: page_out(store.page_users(conn, filters, after, limit), limit, views.user, lambda row: row["name"]))


@router.get("/users/{user}", responses=responses(UserOut), response_model=None)
def show_user(call: TheCall, user: str) -> Json:
    """One user."""
    return call.read(lambda conn: views.user(actions.find(conn, call.identity, user)))


@router.patch("/users/{user}", responses=responses(UserOut), response_model=None)
def change_user(call: TheCall, user: str, given: UserChange) -> Json:
    """Disable a user, or enable again."""
    return _forgetting(call, call.change(lambda conn: views.user(actions.disable(conn, call.identity, user, given.disabled, call.seen))))


@router.post("/users/{user}/tokens", status_code=201, responses=responses(NewTokenOut, 201), response_model=None)
def issue_token(call: TheCall, user: str, given: TokenIn) -> Json:
    """A new token. Its text is in this answer alone: it is not kept, so that a repeated call makes another one."""

    def work(conn: Connection) -> dict[str, object]:
        row, token = actions.issue_token(conn, call.env, call.identity, user, given.name, given.expires_in_days)
        return {**views.token(row), "token": token}

    _ = call.identity
    return Json(call.services.database.run(work), 201)


@router.get("/users/{user}/tokens", responses=responses(page_of(TokenOut)), response_model=None)
def list_tokens(call: TheCall, user: str, revoked: bool | None = None, cursor: Cursor = None, limit: Limit = 50) -> Json:
    """A user's tokens, newest first, without their text."""
    before, filters = time_ordered(cursor), {"revoked": truth(revoked)}

    def work(conn: Connection) -> dict[str, object]:
        row = actions.find(conn, call.identity, user)
        return page_out(store.page_tokens(conn, row["id"], filters, before, limit), limit, views.token, lambda row: row["id"])

    return call.read(work)


@router.delete("/tokens/{token}", responses=responses(None), response_model=None)
def revoke_token(call: TheCall, token: Annotated[str, Path()]) -> Json:
    """Make a token useless; again changes nothing."""

    def work(conn: Connection) -> dict[str, object]:
        actions.revoke_token(conn, call.identity, token)
        return {}

    return _forgetting(call, call.change(work))


def _forgetting(call: Call, answer: Json) -> Json:
    call.services.identities.forget()
    return answer
