"""JSON answers, by orjson: views are plain dicts already, so that nothing is walked twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Response


def dumps(content: Any) -> bytes:
    """A JSON-ready value as it is answered: parts of GPUs are exact decimals."""
    return orjson.dumps(content, default=float)


class Json(Response):
    """An answer from a JSON-ready value."""

    media_type = "application/json"

    def __init__(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        if isinstance(content, dict) and "generation" in content:
            headers = {**(headers or {}), "ETag": f'"{content["generation"]}"'}
        super().__init__(dumps(content), status, dict(headers or {}))
