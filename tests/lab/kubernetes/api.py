"""The API server as the lab itself speaks to it: JSON over HTTPS with the administrator's certificate, and no client library.

The driver's tests must not lean on the library that the driver uses, and the typed client takes half a second to import.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATCH = "application/merge-patch+json"


class Refused(Exception):
    """An answer of 400 or more."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Api:
    """Where it is, and the folder with ca.crt, admin.crt and admin.key."""

    address: str
    port: int
    pki: Path

    def ask(self, call: str, body: object = None, *, timeout_s: float = 10) -> Any:
        """`ask("GET /api/v1/nodes")`: the answer, decoded where it is JSON.

        Raises `Refused`, and OSError or http.client.HTTPException where nobody answers.
        """
        with self.session(timeout_s) as ask:
            return ask(call, body)

    @contextmanager
    def session(self, timeout_s: float = 60) -> Iterator[Callable[..., Any]]:
        """`ask` over one connection that is kept: a third of the time for each of many calls."""
        trust = ssl.create_default_context(cafile=self.pki / "ca.crt")
        trust.load_cert_chain(self.pki / "admin.crt", self.pki / "admin.key")
        line = http.client.HTTPSConnection(self.address, self.port, context=trust, timeout=timeout_s)

        def ask(call: str, body: object = None) -> Any:
            method, path = call.split(" ", 1)
            kind = PATCH if method == "PATCH" else "application/json"
            line.request(
                method, path, None if body is None else json.dumps(body), {"Content-Type": kind, "Accept": "application/json, */*"}
            )
            return _read(line.getresponse())

        try:
            yield ask
        finally:
            line.close()

    def watch(self, path: str, *, timeout_s: float = 60) -> Iterator[dict[str, Any]]:
        """The events of a watch, until the server ends it. An HTTP status of 400 or more raises `Refused`."""
        trust = ssl.create_default_context(cafile=self.pki / "ca.crt")
        trust.load_cert_chain(self.pki / "admin.crt", self.pki / "admin.key")
        line = http.client.HTTPSConnection(self.address, self.port, context=trust, timeout=timeout_s)
        try:
            line.request("GET", path)
            answer = line.getresponse()
            if answer.status >= 400:
                _read(answer)
            for event in answer:
                yield json.loads(event)
        finally:
            line.close()

    def until(self, call: str, holds: Callable[[Any], Any], within_s: float = 30) -> Any:
        """Ask until it holds; the answer for which it did. Refusals and silence count as not yet."""
        deadline, last = time.monotonic() + within_s, None
        while time.monotonic() < deadline:
            with suppress(Refused, OSError, http.client.HTTPException):
                last = self.ask(call, timeout_s=2)
                if holds(last):
                    return last
            time.sleep(0.1)
        raise TimeoutError(f"{call}: not so after {within_s} s: {json.dumps(last)[-2000:]}")


def _read(answer: http.client.HTTPResponse) -> Any:
    text = answer.read().decode()
    is_json = "json" in (answer.getheader("Content-Type") or "")
    said = json.loads(text) if is_json and text else text
    if answer.status >= 400:
        raise Refused(answer.status, said.get("message", text) if isinstance(said, dict) else text)
    return said
