"""The only place where objects are built and handed to each other."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import structlog
from fastapi import FastAPI

from controller import images, sealing
from controller.actions import keys, trust
from controller.actions import machines as bare
from controller.actions.draft import Accepted, Admission
from controller.actions.env import Env, fresh_id
from controller.actions.fleet_view import FleetView
from controller.admitter import Admitter
from controller.api.app import build
from controller.api.call import Identities, Services
from controller.config import Settings
from controller.connections import Connections
from controller.journals import DatabaseJournal
from controller.model import views
from controller.model.identity import Right
from controller.model.request import Submission
from controller.reconcile.endpoints import EndpointLoop
from controller.reconcile.housekeeping import HousekeepingLoop
from controller.reconcile.instances import InstanceLoop
from controller.store import embedded, schema, sql
from controller.store.database import Database
from drivers.journal import Workplace
from scheduler.warm import warm

log = structlog.get_logger()


def open_database(settings: Settings) -> Database:
    """A database that answers; the embedded one is started where no other is set."""
    url = settings.database_url or embedded.start(settings.data_dir)
    return Database(url, settings.database_connections)


def check_or_migrate(database: Database, settings: Settings) -> None:
    """Bring the schema up to date where the settings say so; else refuse one that this code doesn't know (Unavailable)."""
    if settings.auto_migrate:
        before, after = database.run(schema.migrate)
        if before != after:
            log.info("migrated", before=before, after=after)
    database.run(schema.check)
    if raised := database.run(bare.catch_up):
        log.warning("restored", numbers_raised_by=raised)


def answer(submission: Submission, accepted: Accepted) -> tuple[int, str]:
    """The answer to a submission that was taken, as it is given and kept."""
    reader = views.Reader(submission.lang, submission.identity.may_overall(Right.SEE_FLEET))
    view: Mapping[str, Any] = views.instance(accepted.instances[0], reader) if submission.direct else views.request(accepted.request)
    return 201, orjson.dumps(view).decode()


class Controller:
    """One controller: its parts, started and stopped in order."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings, self.database = settings, database
        self.env = Env(settings, fresh_id)
        owner = database.run(lambda conn: str(sql.scalar(conn, "SELECT owner FROM cloud")))
        self.seal = seal = sealing.load(settings.seal_path)
        self.connections = Connections(
            owner,
            self._wake,
            seal,
            self._certificates,
            self._look_soon,
            journal=lambda endpoint_id: DatabaseJournal(database, seal, endpoint_id),
            workplace=Workplace(
                settings.data_dir,
                settings.depot_listen or "",
                settings.depot_at,
                settings.playbooks,
                settings.metal_runs,
                *settings.api_at,
            ),
        )
        database.run(lambda conn: keys.check(conn, seal))
        self.instances = InstanceLoop(database, self.connections, settings, seal)
        self.endpoints = EndpointLoop(database, self.connections, self.env)
        self.housekeeping = HousekeepingLoop(database, settings, self._renew)
        admission = Admission(FleetView(), fresh_id, settings.request_ttl_s, settings.build_deadline_s, answer, seal)
        self.admitter = Admitter(database, admission, self.instances.wake)
        self._ending = threading.Event()
        self._importer = threading.Thread(target=self._import, name="importer", daemon=True)

    def _wake(self, instance_id: str) -> None:
        self.instances.wake(instance_id)

    def _look_soon(self, endpoint_id: str) -> None:
        self.endpoints.look_soon(endpoint_id)

    def _certificates(self) -> Path:
        """The folder of those for hypervisors, up to date."""
        folder = self.settings.data_dir / "tls" / "hypervisors"
        return self.database.run(lambda conn: trust.hand_out(conn, self.seal, folder))

    def _renew(self) -> None:
        """Connections that are open for long make new ones with what lies in that folder."""
        if self.database.run(trust.in_use):
            self._certificates()

    def application(self) -> FastAPI:
        """The API of this controller."""
        identities = Identities(self.database)
        services = Services(
            self.database, self.env, self.admitter, self.connections, self.seal, identities, self.instances.wake, self._ending.is_set
        )
        return build(services, self.settings.max_body_bytes)

    def start(self) -> None:
        """Begin to work."""
        warm()
        self.admitter.start()
        self.instances.start()
        self.endpoints.start()
        self.housekeeping.start()
        self._importer.start()

    def soon_ends(self) -> None:
        """Let go of what would hold the end up: event streams and downloads, which both go on elsewhere or later."""
        self._ending.set()

    def stop(self) -> None:
        """Finish what is under way, then end."""
        self._ending.set()
        self.admitter.stop()
        self.housekeeping.stop()
        self.endpoints.stop()
        self.instances.stop()
        self._importer.join(timeout=10)
        self.connections.close()
        self.database.close()

    def _import(self) -> None:
        """Fetch images that were entered with a URL."""
        while not self._ending.wait(1.0):
            try:
                images.fetch_waiting(self.database, self.settings.image_dir, self.settings.max_image_bytes, self._ending.is_set)
            except Exception:
                log.exception("loop_broke", loop="importer")
