"""What a region's refusals mean, in the boundary's words: pure, from status and body to an error.

A 403 is three things: a limit of the project's that is used up, a right that we lack, or a rule. They are told apart by what the service
says, as no field does. The service's own sentence is kept as `detail`; of a request nothing is ever quoted, as it may hold secrets. Only
`Gone` (404) means that something isn't there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from drivers.errors import DriverError, HostUnreachable, InvalidSpec, Permanent, PolicyRefused, Timeout, Transient, Unauthorized

_LONGEST: Final = 500
_QUOTA: Final = re.compile(r"quota|limit exceeded|maximum number of|exceeded for", re.IGNORECASE)
_POLICY: Final = re.compile(
    r"policy (does not|doesn't) allow|not authorized|you are not allowed|forbidden by policy|disallowed by policy", re.IGNORECASE
)
Json = dict[str, Any]
_TAGS: Final = re.compile(r"<[^>]*>|&\w+;")


class QuotaUsedUp(Transient):
    """A limit of the project's in the region is used up. Parameters: `detail`."""

    code = "region_quota"


class RegionLacks(Unauthorized):
    """What the driver needs of a region isn't there, or our credentials lack the right to it. Parameters: `missing`."""

    code = "region_lacks"


class ResizeRefused(Permanent):
    """Nova took a resize, and did not carry it out on the instance's host. Parameters: `detail`."""

    code = "resize_refused"


class FlavorMissing(Permanent):
    """No flavor of that content, and no right to make one. Parameters: `vcpus`, `memory_mib`, `disk_gib`."""

    code = "flavor_missing"


class Collided(Transient):
    """It is not in the state that it was thought to be in (409). Parameters: `detail`."""

    code = "backend_busy"


class Gone(Transient):
    """There is no such object (404). Parameters: `detail`."""

    code = "backend_busy"


KINDS: Final[Mapping[int, type[DriverError]]] = {
    400: InvalidSpec,
    401: Unauthorized,
    404: Gone,
    405: InvalidSpec,
    406: InvalidSpec,
    409: Collided,
    413: QuotaUsedUp,
    415: InvalidSpec,
    422: InvalidSpec,
    429: Transient,
    500: Transient,
    502: HostUnreachable,
    503: Transient,
    504: Timeout,
}
"""What isn't here is Transient from 500 on, and InvalidSpec below."""


def said(body: bytes) -> str:
    """The one sentence in a service's answer, whichever of their forms it has; empty where there is none."""
    try:
        found = json.loads(body)
    except ValueError:
        return _line(_TAGS.sub(" ", body[: 4 * _LONGEST].decode(errors="replace")))
    return _line(_message(found))


def _message(found: Any) -> str:
    """nova {"badRequest": {"message"}}, neutron {"NeutronError": {"message"}}, keystone {"error": {"message"}}, placement
    {"errors": [{"detail"}]}.
    """
    if isinstance(found, str):
        return found
    if isinstance(found, list):
        return next((text for one in found if (text := _message(one))), "")
    if not isinstance(found, dict):
        return ""
    for name in ("message", "detail", "faultstring", "title"):
        if isinstance(found.get(name), str) and found[name]:
            return str(found[name])
    return next((text for value in found.values() if isinstance(value, dict | list) and (text := _message(value))), "")


def _line(text: str) -> str:
    one = " ".join(text.split())
    return one if len(one) <= _LONGEST else f"{one[:_LONGEST]}…"


def failure(status: int, body: bytes, what: str) -> DriverError:
    """The error for an answer that is none of 200 to 299; `what` was asked."""
    detail = said(body) or f"{what}: HTTP {status}"
    if status == 403:
        return _forbidden(detail, what)
    if status == 409 and _QUOTA.search(detail):  # neutron's ports, cinder's
        return QuotaUsedUp(detail=detail)
    return KINDS.get(status, Transient if status >= 500 else InvalidSpec)(detail=detail)


def _forbidden(detail: str, what: str) -> DriverError:
    if _POLICY.search(detail):
        return RegionLacks(missing=f"the right to {what}")
    return QuotaUsedUp(detail=detail) if _QUOTA.search(detail) else PolicyRefused(detail=detail)
