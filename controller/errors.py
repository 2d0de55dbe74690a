"""What can go wrong, by meaning. Nothing here knows HTTP: `controller.api.errors` turns a class into a status once, at the last step.

* ControllerError
  x InvalidRequest        what was asked makes no sense; say what would
  x Unauthenticated       no valid token
  x Forbidden             the identity may know of it, but not do it
  x NotFound              there is none, or the identity may not know that there is
  x AlreadyExists         the name is taken
  x Conflict              it can't be done now
    - StaleGeneration     the caller saw an older generation
    - InvalidState        not in this state
  x QuotaExceeded         a limit of the project or an ancestor would be passed
  x NoCapacity            no host can hold it
  x ApprovalRequired      the project's policy wants an approver to decide
  x Unavailable           the controller, or something it needs, can't answer now

`text` names an entry of `controller.messages` (the error's code where not given) and `params` fill it; `details` go to the caller as they
are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ControllerError(Exception):
    """Base of all: a stable code, a message in the catalogue, details for programs."""

    code = "internal"

    def __init__(self, text: str | None = None, details: Mapping[str, Any] | None = None, **params: Any) -> None:
        self.text = text or self.code
        self.params = params
        self.details = dict(details or {})
        super().__init__(f"{self.text} {params}")


class InvalidRequest(ControllerError):
    """What was asked makes no sense."""

    code = "invalid_request"


class Unauthenticated(ControllerError):
    """No valid token."""

    code = "unauthenticated"


class Forbidden(ControllerError):
    """The identity may know of it, but not do it."""

    code = "forbidden"


class NotFound(ControllerError):
    """There is none, or the identity may not know that there is."""

    code = "not_found"


class AlreadyExists(ControllerError):
    """The name is taken."""

    code = "already_exists"


class Conflict(ControllerError):
    """It can't be done now."""

    code = "conflict"


class StaleGeneration(Conflict):
    """The caller saw an older generation."""

    code = "stale_generation"


class InvalidState(Conflict):
    """Not in this state."""

    code = "invalid_state"


class QuotaExceeded(ControllerError):
    """A limit of the project or an ancestor would be passed; `details["over"]` names each."""

    code = "quota_exceeded"


class NoCapacity(ControllerError):
    """No host can hold it; `details` has the rules and the smallest changes that would fit."""

    code = "no_capacity"


class ApprovalRequired(ControllerError):
    """The project's policy wants an approver to decide."""

    code = "approval_required"


class Unavailable(ControllerError):
    """The controller, or something it needs, can't answer now."""

    code = "unavailable"
