"""One call to the API: who calls, in which language, what was repeated, which generation was seen.

The identity is looked up in the worker thread when it is first needed, not in a dependency: FastAPI would spend another thread on that.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from fastapi.routing import APIRoute
from sqlalchemy import Connection

from controller import errors
from controller.actions.env import Env
from controller.actions.people import token_hash
from controller.admitter import Admitter
from controller.api.errors import language
from controller.api.invalid import words
from controller.api.json import Json, dumps
from controller.connections import Connections
from controller.model.identity import Identity, Right
from controller.model.views import Reader
from controller.sealing import Seal
from controller.store import answers, people, projects
from controller.store.database import Database

_KEY = re.compile(r"[\x21-\x7e]{1,128}")
_GENERATION = re.compile(r'(?:W/)?"([0-9]{1,18})"')
_REMEMBERED_S = 1.0  # a token revoked at another controller is refused here after this time at the latest
_REMEMBERED = 10_000


@dataclass(slots=True)
class Identities:
    """Tokens looked up lately."""

    database: Database
    _known: dict[bytes, tuple[float, Identity]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def find(self, token: str) -> Identity:
        """Who a token belongs to.

        Raises Unauthenticated.
        """
        key = token_hash(token)
        known = self._known.get(key)
        if known and known[0] > time.monotonic():
            return known[1]
        identity = self.database.run(lambda conn: people.identity(conn, key))
        if identity is None:
            raise errors.Unauthenticated
        with self._lock:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = (time.monotonic() + _REMEMBERED_S, identity)
        return identity

    def forget(self) -> None:
        """Roles, users or tokens changed here."""
        with self._lock:
            self._known.clear()


@dataclass(frozen=True, slots=True)
class Services:
    """What the API needs of the controller; hung on the application by `wiring`."""

    database: Database
    env: Env
    admitter: Admitter
    connections: Connections
    seal: Seal
    identities: Identities
    wake: Callable[[], None]
    ending: Callable[[], bool]


@dataclass(slots=True)
class Call:
    """One call."""

    request: Request
    services: Services
    body: bytes = b""
    _identity: Identity | None = None

    @property
    def identity(self) -> Identity:
        """Who calls. Raises Unauthenticated, and InvalidRequest for a parameter that the address does not take: a filter with a slip of
        the pen must not show everything.
        """
        if self._identity is None:
            self._identity = caller(self.request)
            self._refuse_unknown()
        return self._identity

    def _refuse_unknown(self) -> None:
        given = self.request.query_params
        if not given:
            return
        route: APIRoute = self.request.scope["route"]
        known = (route.dependant, *route.dependant.dependencies)  # some routes take their filters as one
        unknown = sorted(given.keys() - {parameter.alias for one in known for parameter in one.query_params})
        if unknown:
            where, what = f"query.{unknown[0]}", words({"type": "unknown_parameter"}, language(self.request))
            raise errors.InvalidRequest(details={"errors": [{"where": where, "what": what}]}, detail=f"{where}: {what}")

    @property
    def env(self) -> Env:
        """What actions need."""
        return self.services.env

    @property
    def reader(self) -> Reader:
        """How the caller reads."""
        return Reader(language(self.request), self.identity.may_overall(Right.SEE_FLEET))

    @property
    def key(self) -> str | None:
        """The idempotency key. Raises InvalidRequest for one that isn't."""
        key = self.request.headers.get("idempotency-key")
        if key is not None and not _KEY.fullmatch(key):
            raise errors.InvalidRequest("bad_key")
        return key

    @property
    def seen(self) -> int | None:
        """The generation that the caller saw. Raises InvalidRequest for what isn't one."""
        given = self.request.headers.get("if-match")
        if given is None or given.strip() == "*":
            return None
        match = _GENERATION.fullmatch(given.strip())
        if match is None:
            raise errors.InvalidRequest("bad_if_match")
        return int(match[1])

    @property
    def fingerprint(self) -> str:
        """What identifies the content of the call."""
        url = self.request.url
        return hashlib.sha256(b"\0".join((self.request.method.encode(), url.path.encode(), url.query.encode(), self.body))).hexdigest()

    def read(self, work: Callable[[Connection], Any], status: int = 200) -> Json:
        """Answer with what `work` finds in one transaction; the caller is known before anything is read."""
        _ = self.identity
        return Json(self.services.database.run(work), status)

    def change(self, work: Callable[[Connection], Any], status: int = 200) -> Json:
        """Do `work` in one transaction and answer; a repeated call with the same key gets the same answer."""
        identity, key = self.identity, self.key
        if key is None or self.request.method != "POST":
            done = Json(self.services.database.run(work), status)
        else:
            done = self.services.database.run(lambda conn: self._once(conn, identity, key, work, status))
        self.services.wake()
        return done

    def repeated(self) -> Json | None:
        """The answer that this call got before, for those that have something to do outside before `change`. Raises Conflict."""
        identity, key = self.identity, self.key
        return None if key is None else self.services.database.run(lambda conn: self._known(conn, identity, key))

    def _known(self, conn: Connection, identity: Identity, key: str) -> Json | None:
        known = answers.find(conn, [(identity.user_id, key)]).get((identity.user_id, key))
        if known is None:
            return None
        if known["fingerprint"] != self.fingerprint:
            raise errors.Conflict("key_reused", key=key)
        return Json(orjson.loads(known["body"]), known["status"])

    def _once(self, conn: Connection, identity: Identity, key: str, work: Callable[[Connection], Any], status: int) -> Json:
        answers.reserve(conn, identity.user_id, key)
        known = self._known(conn, identity, key)
        if known is not None:
            return known
        view = work(conn)
        record = {
            "user_id": identity.user_id,
            "key": key,
            "fingerprint": self.fingerprint,
            "status": status,
            "body": dumps(view).decode(),
        }
        answers.add(conn, [record])
        return Json(view, status)

    def scope(self, conn: Connection, project: str | None) -> list[str] | None:
        """The ids of the projects that the caller may read, narrowed to a subtree where one is named; None for all there are.

        Raises NotFound for a project that the caller may not read.
        """
        if project is None:
            return projects.subtree(conn, self.identity.tops(Right.READ))
        row = projects.get(conn, project)
        if row is None or not self.identity.may(Right.READ, row["ancestors"]):
            raise errors.NotFound("project_not_found", project=project)
        return projects.subtree(conn, [row["id"]])


def caller(request: Request) -> Identity:
    """Who calls. Raises Unauthenticated."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise errors.Unauthenticated
    services: Services = request.app.state.services
    return services.identities.find(token.strip())


async def _call(request: Request) -> Call:
    body = b"" if request.method in ("GET", "DELETE") else await request.body()
    return Call(request, request.app.state.services, body)


async def _streamed(request: Request) -> Call:
    return Call(request, request.app.state.services)


TheCall = Annotated[Call, Depends(_call)]
TheStreamedCall = Annotated[Call, Depends(_streamed)]
