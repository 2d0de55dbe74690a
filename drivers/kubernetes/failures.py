"""What the API server's refusals mean, in the boundary's words: pure, from status and body to an error.

A 403 is four things: a right that we lack, a quota that is used up (which hides that the object is there already), a namespace that is
going, or a rule (Pod Security, limit range, webhook). They are told apart by what the server says, as no field does. The server's own
sentence is kept as `detail`; of a request nothing is ever quoted, as it may hold secrets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from drivers.errors import DriverError, HostUnreachable, InvalidSpec, PolicyRefused, TenantUnsettled, Timeout, Transient, Unauthorized

_RBAC: Final = re.compile(r'User "[^"]*" cannot (\w+) resource "([^"]+)" in API group "([^"]*)"')
_DENIED: Final = re.compile(r"denied (the )?request")  # of admission webhooks and policies, whatever code they answer with
_LONGEST: Final = 600
NOT_GRANTED: Final = (
    "exceeded quota",
    "status unknown for quota",
    "failed quota",
    "insufficient quota",
    "because it is being terminated",
    "error looking up service account",  # a namespace so new that its account isn't made yet
)


class Collided(Transient):
    """The object is not as it was thought to be (409): there already, changed or gone since. Parameters: `detail`."""

    code = "backend_busy"


class Gone(Transient):
    """There is no such object (404). Parameters: `detail`."""

    code = "backend_busy"


class Expired(Transient):
    """What a watch asks for is too old to be told (410): look at the whole anew. Parameters: `detail`."""

    code = "backend_busy"


class Held(Transient):
    """Too many requests (429): of an eviction, that a budget forbids it. Parameters: `detail`."""

    code = "backend_busy"


def status_of(body: bytes) -> Mapping[str, Any]:
    """The Status object that the server answered with, as far as it is one."""
    try:
        found = json.loads(body)
    except ValueError:
        return {"message": body[:_LONGEST].decode(errors="replace")}
    return found if isinstance(found, dict) else {}


def failure(code: int, body: bytes, what: str) -> DriverError:
    """The error for an answer that is none of 200 to 299; `what` was asked, for where the server says nothing."""
    said = status_of(body)
    detail = str(said.get("message") or f"{what}: HTTP {code}")[:_LONGEST]
    if code == 403:
        return _forbidden(detail)
    if code < 500 and _DENIED.search(detail):
        return PolicyRefused(detail=detail)
    kinds: Mapping[int, type[DriverError]] = {
        400: InvalidSpec,
        401: Unauthorized,
        404: _missing(said),
        409: Collided,
        410: Expired,
        413: InvalidSpec,
        422: InvalidSpec,
        429: Held,
        504: Timeout,
    }
    return kinds.get(code, Transient if code >= 500 else InvalidSpec)(detail=detail)


def _missing(said: Mapping[str, Any]) -> type[DriverError]:
    return TenantUnsettled if (said.get("details") or {}).get("kind") == "namespaces" else Gone


def _forbidden(detail: str) -> DriverError:
    lacking = _RBAC.search(detail)
    if lacking is not None:
        group = f" ({lacking[3]})" if lacking[3] else ""
        return Unauthorized(detail=f"the right to {lacking[1]} {lacking[2]}{group} is missing.")
    if any(sign in detail for sign in NOT_GRANTED):
        return TenantUnsettled(detail=detail)
    return PolicyRefused(detail=detail)


def unreachable(error: Exception) -> HostUnreachable:
    """For an answer that never came. The exception's own text may name addresses, and no more."""
    cause = error.__cause__ or getattr(error, "reason", None) or error
    return unanswered(f"{type(cause).__name__}: {cause}")


def unanswered(why: str) -> HostUnreachable:
    """The same, in the words of whoever waited for it."""
    return HostUnreachable(detail=f"the API server does not answer: {why}"[:_LONGEST])
