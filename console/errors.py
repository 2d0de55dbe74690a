"""The one error of the client: the API's own (code, message, details, status), or ours about reaching it (status 0), in the same form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """A refusal or a failure. `code` is stable and for programs, `message` is for people, in their language; `body` is the API's own."""

    def __init__(
        self, code: str, message: str, details: Mapping[str, Any] | None = None, status: int = 0, body: Mapping[str, Any] | None = None
    ) -> None:
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.status = status
        self.body = dict(body) if body else {"error": {"code": code, "message": message, "details": self.details}}
        super().__init__(message)
