"""Journals of endpoints whose backend can't bear our marks, in the database: what `drivers.journal` asks of the controller."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from controller import signing
from controller.actions import people as tokens
from controller.actions.env import fresh_id
from controller.actions.fleet import discover, in_use
from controller.model import translate
from controller.sealing import Seal
from controller.store import events, fleet, machines, people
from controller.store.database import Database
from drivers import openssh
from drivers.base import HostInventory, Inventory, Reason
from drivers.journal import Entry, LoginKey


class DatabaseJournal:
    """Implements `drivers.journal.Journal` for one endpoint."""

    def __init__(self, database: Database, seal: Seal, endpoint_id: str) -> None:
        self._database, self._seal, self._endpoint_id = database, seal, endpoint_id

    def read(self) -> Entry:
        found = self._database.run(lambda conn: machines.journal(conn, self._endpoint_id))
        return Entry(**found) if found else Entry()

    def write(self, document: Mapping[str, Any], version: int, closed: Reason | None, host: HostInventory | None = None) -> bool:
        def work(conn: Connection) -> bool:
            endpoint = fleet.in_care(conn, self._endpoint_id) if host is not None else None
            hosts = fleet.hosts_of(conn, self._endpoint_id)
            fleet.lock_hosts(conn, [row["id"] for row in hosts])  # before the journal, as whoever asks something of a machine does
            why = translate.reason(closed)
            if not machines.write(conn, self._endpoint_id, document, version):
                return False
            used = in_use(conn, [row["machine"] for row in hosts])
            for row in hosts:
                fleet.close_hosts(conn, [row["id"]], used.get(row["machine"]) or why)
            if host is not None and endpoint is not None:
                discover(conn, fresh_id, endpoint, Inventory((host,), version=version + 1))
            return True

        return self._database.run(work)

    def confirm(self, run_id: str, progress: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return self._database.run(lambda conn: machines.confirm(conn, self._endpoint_id, run_id, progress))

    def keep_run(self, run: Mapping[str, Any]) -> None:
        def work(conn: Connection) -> None:
            fresh = machines.keep_run(conn, {**run, "endpoint_id": self._endpoint_id})
            if run["state"] not in machines.LIVE:
                people.revoke_token(conn, run["id"])  # its ticket, where it had one
            if fresh and run["state"] not in machines.LIVE:
                reason = run.get("reason")
                why = {"why": reason["code"], **reason["params"]} if reason else {}
                self._say(conn, f"run.{run['state']}", step=run["step"], **why)

        self._database.run(work)

    def keep_certificate(self, certificate: Mapping[str, Any]) -> None:
        def work(conn: Connection) -> None:
            signature = signing.sign(certificate["document"], self._keys(conn, "signing", signing.new_keys)[0])
            machines.keep_certificate(conn, {**certificate, "endpoint_id": self._endpoint_id, "signature": signature})

        self._database.run(work)

    def new_id(self) -> str:
        return fresh_id()

    def login_key(self) -> LoginKey:
        private, public = self._database.run(lambda conn: self._keys(conn, "login", openssh.new_key))
        return LoginKey(public, private)

    def open_ticket(self, run_id: str, lasts_s: float, *, asked: str = "", instance_id: str = "") -> str:
        def work(conn: Connection) -> str:
            user_id = machines.asked_by(conn, self._endpoint_id, asked, instance_id)
            if user_id is None:
                return ""
            token = tokens.new_token()
            people.insert_token(conn, run_id, user_id, f"run-{run_id}", tokens.token_hash(token), timedelta(seconds=lasts_s))
            return token

        return self._database.run(work)

    def say(self, kind: str, **params: str | int) -> None:
        self._database.run(lambda conn: self._say(conn, kind, **params))

    def _say(self, conn: Connection, kind: str, **params: Any) -> None:
        """Of the machine, which is the endpoint's only host."""
        for host in fleet.hosts_of(conn, self._endpoint_id):
            events.add(conn, [events.event(kind, "host", host["id"], host["name"], None, "chutian", **params)])

    def _keys(self, conn: Connection, pair: str, new: Callable[[], tuple[str, str]]) -> tuple[str, str]:
        """Private and public half, made where there are none yet. The sealed one belongs to the name of the pair."""
        kept = machines.keys(conn, pair)
        if kept is None:
            private, public = new()
            machines.keep_keys(conn, pair, self._seal.close(private, pair), public)
            return private, public
        return self._seal.open(kept[0], pair), kept[1]
