"""JSON answers, by orjson: views are plain dicts already, so that nothing is walked twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import Response


class Json(Response):
    """An answer from a JSON-ready value."""

    media_type = "application/json"

    def __init__(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        if isinstance(content, dict) and "generation" in content:
            headers = {**(headers or {}), "ETag": f'"{content["generation"]}"'}
        super().__init__(orjson.dumps(content, default=float), status, dict(headers or {}))  # parts of GPUs are exact decimals
