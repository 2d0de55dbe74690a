"""Real parts for tests of the controller: PostgreSQL, a database for each test, and a small cloud in it.

One embedded server serves a whole run of pytest; each test gets a copy of a migrated template, so that no test sees another's rows.
`conftest.py` of a folder imports the fixtures that it wants by name. A `Cloud` is filled through the controller's own actions alone; its
one endpoint is a fake world of its own. The server doesn't sync to disk: no test cuts the machine's power.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
from sqlalchemy import Connection

from controller import sealing
from controller.actions import catalogue, fleet, people, projects
from controller.actions.bootstrap import first_administrator
from controller.actions.draft import Admission
from controller.actions.env import Env, fresh_id
from controller.actions.fleet_view import FleetView
from controller.config import Settings
from controller.connections import Connections
from controller.images import Intake
from controller.model.identity import Identity, Role
from controller.model.request import Item, SpreadRule, Submission
from controller.store import embedded, schema, sql
from controller.store import people as people_store
from controller.store.database import Database
from controller.wiring import answer
from drivers.fake.world import World, forget, world

T = TypeVar("T")
ROOT = "hubei"
PLENTY = {"instances": 1000, "vcpus": 10_000, "memory_mib": 10_000_000, "disk_gib": 1_000_000, "gpus": 100}
NO_OVERCOMMIT = {"vcpus": 1.0, "memory_mib": 1.0, "disk_gib": 1.0}
NOTHING_RESERVED = {"vcpus": 0, "memory_mib": 0, "disk_gib": 0}
FLAVORS = {"small": (1, 1024, 10), "medium": (2, 2048, 20), "large": (4, 4096, 40)}  # vcpus, memory_mib, disk_gib
_numbers = itertools.count(1)


# -- PostgreSQL ------------------------------------------------------------------------------------------------------------------


@cache
def _home() -> Path:
    """The server's folder: one for each process, with a short path, which its account may enter."""
    home = Path(tempfile.mkdtemp(prefix="ct-", dir="/tmp"))  # a Unix socket's path must be short
    home.chmod(0o755)
    return home


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a server that has the database `template`, migrated. Several folders may ask: they share one server."""
    url = embedded.start(_home())
    with psycopg.connect(url, autocommit=True) as conn:
        if conn.execute("SELECT 1 FROM pg_database WHERE datname = 'template'").fetchone() is None:
            conn.execute("ALTER SYSTEM SET fsync = off")
            conn.execute("SELECT pg_reload_conf()")
            conn.execute("CREATE DATABASE template")
            _migrate(of_database(url, "template"))
    yield url
    embedded.stop(_home())
    shutil.rmtree(_home(), ignore_errors=True)


def of_database(url: str, name: str) -> str:
    """The URL of another database on the same server."""
    return url.replace("postgresql:///postgres?", f"postgresql:///{name}?")


def _migrate(url: str) -> None:
    database = Database(url, 6)
    database.run(schema.migrate)
    database.close()


@pytest.fixture
def database_url(postgres: str) -> Iterator[str]:
    """The URL of an empty, migrated database."""
    name = f"t{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE template".encode())
        yield of_database(postgres, name)
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A pool of connections to that database."""
    opened = Database(database_url, 40)
    yield opened
    opened.close()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings for that database; plain HTTP on loopback, short deadlines where a test waits for them itself."""
    return Settings(data_dir=tmp_path, database_url=database_url, tls="off", listen="127.0.0.1:0", observe_interval_s=1.0, lease_s=2.0)


# -- a cloud ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cloud:
    """A root project `hubei` with its administrator, flavors (`FLAVORS`), an image `debian`, a pool `general`, an endpoint `fake`."""

    database: Database
    settings: Settings
    env: Env
    admin: Identity
    admin_token: str
    uri: str

    @property
    def world(self) -> World:
        """The backend behind the endpoint."""
        return world(self.uri)

    def run(self, work: Callable[[Connection], T]) -> T:
        """One transaction."""
        return self.database.run(work)

    def rows(self, query: str, **params: Any) -> list[dict[str, Any]]:
        """What the database says; for reading only."""
        return self.database.run(lambda conn: [dict(row) for row in sql.rows(conn, query, **params)])

    def project(self, name: str, parent: str | None = ROOT, auto: Mapping[str, int] | None = None, **limits: int) -> str:
        """A new project's path. `auto`: its auto-approval bounds; `limits`: for all kinds together."""
        path: str = self.run(lambda conn: projects.create(conn, self.env, self.admin, name, parent, "", {"auto_approve": auto}))["path"]
        if limits:
            self.limit(path, **limits)
        return path

    def limit(self, project: str, **limits: int | None) -> None:
        """Set limits for all kinds together."""
        wanted = [("any", resource, amount) for resource, amount in limits.items()]
        self.run(lambda conn: projects.set_limits(conn, self.admin, project, wanted))

    def auto_approve(self, project: str, bounds: Mapping[str, int] | None) -> None:
        """Set a project's auto-approval bounds."""
        self.run(lambda conn: projects.update(conn, self.admin, project, None, {"auto_approve": bounds}))

    def policy(self, project: str, **parts: Any) -> None:
        """Set parts of a project's policy."""
        self.run(lambda conn: projects.update(conn, self.admin, project, None, parts))

    def user(self, name: str, project: str | None = None, role: Role = Role.MEMBER) -> tuple[Identity, str]:
        """A new user with a role on a project, and his token."""

        def work(conn: Connection) -> tuple[Identity, str]:
            people.create(conn, self.env, self.admin, name, "")
            if project is not None:
                projects.grant(conn, self.admin, project, name, role)
            _, token = people.issue_token(conn, self.env, self.admin, name, "test", 1)
            return identify(conn, token), token

        return self.run(work)

    def flavor(self, name: str, vcpus: int, memory_mib: int, disk_gib: int, **more: Any) -> None:
        """A new size."""
        bindings = {"cpu_baseline": None, "numa_nodes": 0, "gpu_model": None, "gpu_milli": 1000}
        record = {"name": name, "kind": "vm", "gpus": 0, "arch": None, "traits": [], **bindings, **more}
        size = {"vcpus": vcpus, "memory_mib": memory_mib, "disk_gib": disk_gib}
        self.run(lambda conn: catalogue.create(conn, self.env, self.admin, "flavors", record | size))

    def image(self, name: str, content: bytes = b"x" * 512) -> None:
        """A new raw image, taken in as an upload is."""
        record = {"name": name, "arch": "x86_64", "format": "raw", "state": "waiting"}
        defaults = {"os": "", "min_disk_gib": 0, "min_memory_mib": 0, "want_sha256": None, "want_sm3": None, "url": None}
        row = self.run(lambda conn: catalogue.create(conn, self.env, self.admin, "images", record | defaults))
        intake = Intake(self.settings.image_dir, row["id"], 1 << 20)
        intake.add(content)
        measured = intake.check(row, len(content))
        intake.place()
        self.run(lambda conn: catalogue.end_import(conn, row["id"], self.admin.name, measured, None))

    def pool(self, name: str, zone: str, **more: Any) -> None:
        """A new pool; by default without overcommit and reserve."""
        record = {
            "name": name,
            "zone": zone,
            "site": "",
            "level": 0,
            "spare_hosts": 0,
            "overcommit": NO_OVERCOMMIT,
            "reserved": NOTHING_RESERVED,
            **more,
        }
        self.run(lambda conn: fleet.create_pool(conn, self.env, self.admin, record))

    def enrol(self, name: str, uri: str, pool: str, driver: str = "fake") -> None:
        """Take a new endpoint with its hosts into our care."""
        connections = self.connections()
        record = {"id": self.env.new_id(), "name": name, "driver": driver, "uri": uri, "options": {}, "credentials": ""}
        opened = connections.open(record, "")
        inventory = opened.inventory()
        opened.close()
        self.run(lambda conn: fleet.enrol(conn, self.env, self.admin, record, pool, inventory))

    def connections(self) -> Connections:
        """Connections to endpoints as one controller has them; hints go nowhere."""
        return Connections(
            self.run(lambda conn: str(sql.scalar(conn, "SELECT owner FROM cloud"))),
            lambda _: None,
            sealing.load(self.settings.seal_path),
            lambda: self.settings.data_dir,
        )

    def admission(self) -> Admission:
        """What one controller's admitter has."""
        return Admission(
            FleetView(),
            fresh_id,
            self.settings.request_ttl_s,
            self.settings.build_deadline_s,
            answer,
            sealing.load(self.settings.seal_path),
        )


def identify(conn: Connection, token: str) -> Identity:
    """Whose token it is."""
    found = people_store.identity(conn, people.token_hash(token))
    assert found is not None
    return found


def make_cloud(database: Database, settings: Settings, hosts: int = 4, **knobs: object) -> Cloud:
    """A cloud of `hosts` hosts with 16 vCPUs, 32 GiB and 400 GiB each, where `knobs` of the fake driver say nothing else."""
    shape: dict[str, object] = {"hosts": hosts, "vcpus": 16, "memory_mib": 32_768, "disk_gib": 400, "overcommit_vcpus": 1.0, **knobs}
    uri = f"fake:w{os.getpid()}-{next(_numbers)}"
    env = Env(settings, fresh_id)
    token = database.run(lambda conn: first_administrator(conn, env, ROOT, "root", 1))["token"]
    cloud = Cloud(database, settings, env, database.run(lambda conn: identify(conn, token)), token, uri)
    for name, size in FLAVORS.items():
        cloud.flavor(name, *size)
    cloud.image("debian")
    cloud.pool("general", "wuhan-a")
    cloud.enrol("fake", f"{uri}?{'&'.join(f'{key}={value}' for key, value in shape.items())}", "general")
    return cloud


@pytest.fixture
def cloud(database: Database, settings: Settings) -> Iterator[Cloud]:
    """A cloud of four hosts; every request under `hubei` is approved at once."""
    made = make_cloud(database, settings)
    made.auto_approve(ROOT, PLENTY)
    yield made
    forget(made.uri)


def submission(
    identity: Identity, project: str = ROOT, flavor: str = "small", name: str | None = None, count: int = 1, **more: Any
) -> Submission:
    """An application for one item; `more`: its other fields, and its item's `spread`, `zone`, `pool`, `preemptible`, `container`."""
    spread: SpreadRule | None = more.pop("spread", None)
    container: dict[str, Any] | None = more.pop("container", None)
    zone, pool, site = more.pop("zone", None), more.pop("pool", None), more.pop("site", None)
    kind, image = ("vm", "debian") if container is None else ("container", None)
    item = Item(
        kind, name, flavor, image, count, pool, zone, site, spread, more.pop("user_data", ""), (), more.pop("preemptible", False), container
    )
    return Submission(identity, project, more.pop("reason", "test"), more.pop("term_days", None), (item,), **more)
