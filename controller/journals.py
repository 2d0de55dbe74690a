"""Journals of endpoints whose backend can't bear our marks, in the database: what `drivers.journal` asks of the controller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from controller import signing
from controller.actions.env import fresh_id
from controller.model import translate
from controller.sealing import Seal
from controller.store import events, fleet, machines
from controller.store.database import Database
from drivers.base import Reason
from drivers.journal import Entry

_CONTEXT = "signing"  # what the sealed key belongs to


class DatabaseJournal:
    """Implements `drivers.journal.Journal` for one endpoint."""

    def __init__(self, database: Database, seal: Seal, endpoint_id: str) -> None:
        self._database, self._seal, self._endpoint_id = database, seal, endpoint_id

    def read(self) -> Entry:
        found = self._database.run(lambda conn: machines.journal(conn, self._endpoint_id))
        return Entry(**found) if found else Entry()

    def write(self, document: Mapping[str, Any], version: int, closed: Reason | None) -> bool:
        def work(conn: Connection) -> bool:
            hosts = [host["id"] for host in fleet.hosts_of(conn, self._endpoint_id)]
            fleet.lock_hosts(conn, hosts)  # before the journal, as whoever asks something of a machine does
            why = translate.reason(closed)
            written = machines.write(conn, self._endpoint_id, document, version, why)
            if written:
                fleet.close_hosts(conn, hosts, why)
            return written

        return self._database.run(work)

    def confirm(self, run_id: str, progress: Mapping[str, Any]) -> bool:
        return self._database.run(lambda conn: machines.confirm(conn, self._endpoint_id, run_id, progress))

    def keep_run(self, run: Mapping[str, Any]) -> None:
        def work(conn: Connection) -> None:
            fresh = machines.keep_run(conn, {**run, "endpoint_id": self._endpoint_id})
            if fresh and run["state"] not in machines.LIVE:
                reason = run.get("reason")
                why = {"why": reason["code"], **reason["params"]} if reason else {}
                self._say(conn, f"run.{run['state']}", step=run["step"], **why)

        self._database.run(work)

    def keep_certificate(self, certificate: Mapping[str, Any]) -> None:
        def work(conn: Connection) -> None:
            signature = signing.sign(certificate["document"], self._signing_key(conn))
            machines.keep_certificate(conn, {**certificate, "endpoint_id": self._endpoint_id, "signature": signature})

        self._database.run(work)

    def new_id(self) -> str:
        return fresh_id()

    def say(self, kind: str, **params: str | int) -> None:
        self._database.run(lambda conn: self._say(conn, kind, **params))

    def _say(self, conn: Connection, kind: str, **params: Any) -> None:
        """Of the machine, which is the endpoint's only host."""
        for host in fleet.hosts_of(conn, self._endpoint_id):
            events.add(conn, [events.event(kind, "host", host["id"], host["name"], None, "chutian", **params)])

    def _signing_key(self, conn: Connection) -> str:
        kept = machines.keys(conn)
        if kept["signing_key"] is None:
            private, public = signing.new_keys()
            machines.keep_keys(conn, self._seal.close(private, _CONTEXT), public)
            return private
        return self._seal.open(kept["signing_key"], _CONTEXT)
