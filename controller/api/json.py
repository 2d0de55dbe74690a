"""JSON answers, by orjson: views are plain dicts already, so that nothing is walked twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Response


class Json(Response):
    """An answer from a JSON-ready value, or from JSON text as it is."""

    media_type = "application/json"

    def __init__(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else orjson.dumps(content)
        if isinstance(content, dict) and "generation" in content:
            headers = {**(headers or {}), "ETag": f'"{content["generation"]}"'}
        super().__init__(data, status, dict(headers or {}))
