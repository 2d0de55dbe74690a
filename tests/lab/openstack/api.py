"""A region's APIs as the lab itself speaks to them: JSON over HTTP, and no client library.

The driver's tests must not lean on the library that the driver uses.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.lab.openstack.settings import APIS, Account

VERSIONS = {"compute": "compute 2.96", "placement": "placement 1.39"}


class Refused(Exception):
    """An answer of 400 or more."""

    def __init__(self, status: int, message: str, headers: http.client.HTTPMessage) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.headers = headers


@dataclass
class Api:
    """One account's way in. `urls`: that of each service by its name; `ca`: who signed their certificates, None where they are plain."""

    urls: dict[str, str]
    account: Account
    ca: Path | None = None
    token: str = ""
    _project: str = field(default="", repr=False)

    def ask(self, service: str, call: str, body: object = None, *, more: Mapping[str, str] | None = None, timeout_s: float = 60) -> Any:
        """`ask("nova-api", "GET /servers")`: the answer, decoded where it is JSON; bytes as a body are sent as they are. `more`: headers.

        The first call logs in. Raises `Refused`, and OSError or http.client.HTTPException where nobody answers.
        """
        headers = {"X-Auth-Token": self.bearer, **_version(service), **(more or {})}
        return _ask(self.urls[service], call, headers, body, self.ca, timeout_s)[0]

    @property
    def bearer(self) -> str:
        """The token."""
        if not self.token:
            self.log_in()
        return self.token

    def log_in(self, timeout_s: float = 60) -> None:
        """Get a new token by password."""
        who = {"name": self.account.name, "domain": {"id": "default"}, "password": self.account.password}
        where = {"project": {"name": self.account.project, "domain": {"id": "default"}}}
        asked = {"auth": {"identity": {"methods": ["password"], "password": {"user": who}}, "scope": where}}
        said, headers = _ask(self.urls["keystone"], "POST /auth/tokens", {}, asked, self.ca, timeout_s)
        self.token = headers["X-Subject-Token"]
        self._project = said["token"]["project"]["id"]

    @property
    def project(self) -> str:
        """The id of the account's project."""
        if not self._project:
            self.log_in()
        return self._project

    def until(self, service: str, call: str, holds: Callable[[Any], Any], within_s: float = 30, body: object = None) -> Any:
        """Ask until it holds; the answer for which it did. Refusals and silence count as not yet."""
        deadline, last = time.monotonic() + within_s, None
        while time.monotonic() < deadline:
            with suppress(OSError, http.client.HTTPException, Refused):
                last = self.ask(service, call, body, timeout_s=5)
                if holds(last):
                    return last
            time.sleep(0.2)
        raise TimeoutError(f"{service} {call}: not so after {within_s} s: {json.dumps(last)[-2000:]}")

    def until_gone(self, service: str, call: str, within_s: float = 30) -> None:
        """Ask, perhaps to delete it, until the answer is 404. Other refusals count as not yet."""
        deadline, last = time.monotonic() + within_s, "still there"
        while time.monotonic() < deadline:
            try:
                self.ask(service, call)
            except Refused as refused:
                if refused.status == 404:
                    return
                last = str(refused)
            time.sleep(0.2)
        raise TimeoutError(f"{service} {call}: not gone after {within_s} s: {last}")


def _version(service: str) -> dict[str, str]:
    version = VERSIONS.get(APIS[service])
    return {"OpenStack-API-Version": version} if version else {}


def _ask(
    url: str, call: str, headers: dict[str, str], body: object, ca: Path | None, timeout_s: float
) -> tuple[Any, http.client.HTTPMessage]:
    method, path = call.split(" ", 1)
    at = urlsplit(url)
    assert at.hostname is not None
    line = http.client.HTTPConnection(at.hostname, at.port, timeout=timeout_s)
    if ca is not None:
        line = http.client.HTTPSConnection(at.hostname, at.port, timeout=timeout_s, context=ssl.create_default_context(cafile=ca))
    kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
    sent = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    try:
        line.request(method, at.path + path, sent, {"Content-Type": kind, **headers})
        answer = line.getresponse()
        text = answer.read()
    finally:
        line.close()
    if answer.status >= 400:
        raise Refused(answer.status, text.decode(errors="replace"), answer.headers)
    return (json.loads(text) if text and "json" in answer.headers.get("Content-Type", "") else text), answer.headers
