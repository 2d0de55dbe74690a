"""What a BMC's refusals mean, in the boundary's words: pure, from status and body, or from ipmitool's words, to an error.

The BMC's own sentence is kept as `detail`, but for a refused login: nothing of that is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from drivers.bare_metal.reading import said
from drivers.errors import (
    BmcBusy,
    BmcUnreachable,
    CipherRefused,
    DriverError,
    NotSupported,
    PasswordRefused,
    Permanent,
    Timeout,
    Transient,
    Unauthorized,
)

_LONGEST: Final = 600
_PROBED: Final = "Discovered IPMB address"


class Missing(NotSupported):
    """There is no such resource (404). Parameters: `detail`."""


def failure(status: int, body: Mapping[str, Any], what: str) -> DriverError:
    """The error for an answer that is none of 200 to 299; `what` was asked, for where the BMC says nothing."""
    if status == 401:
        return PasswordRefused(detail=f"{what}: HTTP 401.")
    detail = f"{what}: HTTP {status} {said(body)}".strip()[:_LONGEST]
    kinds: Mapping[int, type[DriverError]] = {
        403: Unauthorized,
        404: Missing,
        405: NotSupported,
        409: Transient,  # not in a state for it just now
        412: BmcBusy,  # changed since it was looked at
        429: BmcBusy,
        501: NotSupported,
        503: BmcBusy,
        504: Timeout,
    }
    return kinds.get(status, Transient if status >= 500 else Permanent)(detail=detail)


def unreachable(error: Exception) -> BmcUnreachable:
    """For an answer that never came. The exception's own text may name addresses, and no more."""
    cause = error.__cause__ or error.__context__ or error
    return BmcUnreachable(detail=f"{type(cause).__name__}: {cause}."[:_LONGEST])


def ipmi_failure(output: str, suite: str) -> DriverError:
    """The error for what ipmitool said, called with `-v`, when it gave up: the first sign that is found decides.

    Once it has a session it tries commands of its own that few BMCs know; what is said of those means nothing. Answers that come after it
    has asked once more spoil the beginning of a session, which looks like a wrong password.
    """
    output = output.partition(_PROBED)[2] or output
    signs: tuple[tuple[str, DriverError], ...] = (
        (
            r"is not what we requested|invalid (authentication|integrity|confidentiality) algorithm|[Nn]o.*cipher suite",
            CipherRefused(suite=suite),
        ),
        (r"Received an Unexpected", BmcUnreachable(detail="it answers too late by IPMI.")),
        (r"RAKP 2 HMAC is invalid|RAKP 2 message indicates an error", PasswordRefused(detail="the session was refused (RAKP 2).")),
        (r"no response from RAKP 1 message", PasswordRefused(detail="it does not answer to that user (RAKP 1).")),
        (r"[Pp]rivilege", Unauthorized(detail="the account lacks the right to administer the machine.")),
        (r"Node busy|[Oo]ut of space|Insufficient resources", BmcBusy(detail=_last(output))),
        (r"Unable to establish", BmcUnreachable(detail="no session by IPMI.")),
        (r"Invalid command|not present|not supported", NotSupported(detail=_last(output))),
        (r"Unable to |Close Session command failed|Request Match NOT FOUND", BmcUnreachable(detail="no answer by IPMI in time.")),
    )
    return next((error for sign, error in signs if re.search(sign, output)), Permanent(detail=_last(output)))


def _last(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:_LONGEST] if lines else "ipmitool failed and said nothing"
