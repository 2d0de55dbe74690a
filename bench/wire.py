"""A light HTTP client: keep-alive connections on one event loop, JSON in and out, and the time each call took.

Light on purpose: it runs on the same cores as what it measures. One connection carries one call at a time, as a blocking client's would, so
that as many connections are as many concurrent callers. A full client library was rejected: it costs more CPU for each call than the
controller does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson


class Refused(Exception):
    """The controller did not answer as the bench needs."""


@dataclass(slots=True)
class Wire:
    """One connection to the controller."""

    host: str
    port: int
    took_s: float = 0.0
    """How long the last call took, from its first byte sent to its last received."""
    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = field(default=None)

    async def call(self, method: str, path: str, token: str, body: Any = None, key: str | None = None) -> Any:
        """One call; its JSON. Raises Refused for any answer that is not 2xx."""
        payload = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        head = f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(payload)}\r\n"
        if isinstance(body, Mapping):
            head += "Content-Type: application/json\r\n"
        if key is not None:
            head += f"Idempotency-Key: {key}\r\n"
        began = time.perf_counter()
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(self.host, self.port, limit=1 << 24)
        reader = self._reader
        assert reader is not None  # noqa: S101 - opened together with the writer
        self._writer.write(head.encode() + b"\r\n" + payload)
        answer = await reader.readuntil(b"\r\n\r\n")
        content = await reader.readexactly(_length(answer))
        self.took_s = time.perf_counter() - began
        if answer[9:10] != b"2":
            raise Refused(f"{method} {path}: {answer[9:12].decode()} {content[:300].decode(errors='replace')}")
        return orjson.loads(content) if content else None

    async def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            self._writer.close()
            self._reader = self._writer = None


def _length(head: bytes) -> int:
    name = b"\r\ncontent-length:"
    at = head.lower().find(name)
    return int(head[at + len(name) : head.index(b"\r\n", at + 2)]) if at >= 0 else 0
