"""The exit codes of `chutian`, in one place: scripts depend on them, `chutian --help` prints them, `code_of` decides them.

The API's stable error code decides; where a code is new to this client, the HTTP status does. The rejected alternative, status
alone, can't tell a refused approval (409) from a full host.
"""

from __future__ import annotations

OK = 0
FAILED = 1
USAGE = 2
FORBIDDEN = 3
NOT_FOUND = 4
CONFLICT = 5
UNAVAILABLE = 6
TIMEOUT = 7
INTERRUPTED = 130

DOCUMENTED = (OK, FAILED, USAGE, FORBIDDEN, NOT_FOUND, CONFLICT, UNAVAILABLE, TIMEOUT)  # each has a text "exit.<code>"

BY_CODE = {
    "unauthenticated": FORBIDDEN,
    "bad_token": FORBIDDEN,
    "forbidden": FORBIDDEN,
    "not_found": NOT_FOUND,
    "already_exists": CONFLICT,
    "conflict": CONFLICT,
    "stale_generation": CONFLICT,
    "invalid_state": CONFLICT,
    "quota_exceeded": CONFLICT,
    "no_capacity": CONFLICT,
    "approval_required": CONFLICT,
    "unavailable": UNAVAILABLE,
    "unreachable": UNAVAILABLE,
    "untrusted": UNAVAILABLE,
    "bad_answer": UNAVAILABLE,
    "timeout": TIMEOUT,
    "command_unended": TIMEOUT,
}

BY_STATUS = {
    401: FORBIDDEN,
    403: FORBIDDEN,
    404: NOT_FOUND,
    409: CONFLICT,
    412: CONFLICT,
    428: CONFLICT,
    429: UNAVAILABLE,
    502: UNAVAILABLE,
    503: UNAVAILABLE,
    504: UNAVAILABLE,
}


def code_of(code: str, status: int) -> int:
    """The exit code of an API error."""
    return BY_CODE.get(code, BY_STATUS.get(status, FAILED))
