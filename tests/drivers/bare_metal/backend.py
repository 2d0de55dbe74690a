"""Bare metal as the driver contract sees it: a real server behind a real BMC, playbooks, and a journal in a real database.

In: a folder. Out: a `Backend`. A server holds one instance, and setting it up takes as long as starting it twice; so it is not wiped after
each case, but put back by hand (`Server.renew`), and its journal begins anew. What is done behind the driver's back is done to the server.
"""

from __future__ import annotations

import atexit
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from controller.config import Settings
from controller.journals import DatabaseJournal
from controller.sealing import Seal
from controller.store import embedded, schema, sql
from controller.store.database import Database
from drivers.bare_metal.driver import BareMetalDriver, open_bare_metal
from drivers.base import Driver, InstanceSpec
from drivers.journal import Workplace
from tests.api.server import free_port
from tests.controller.fixtures import Cloud, make_cloud
from tests.drivers.contract import Backend
from tests.drivers.libvirt.backend import GUEST_LINE, MIB, image_of, spec_of
from tests.lab.metal import by_hand, shared
from tests.lab.metal.server import Server
from tests.lab.needs import CHECKOUT

PROJECT = "01a21bce-0000-7000-8000-000000000002"
SEAL = Seal("a", {"a": bytes(16)})
RUN_ENDS_S = 30.0


@dataclass(frozen=True, slots=True)
class Site:
    """What a controller has: a database with an endpoint for each owner and case, and a place for runs."""

    cloud: Cloud
    workplace: Workplace

    def journal(self) -> DatabaseJournal:
        """Of an endpoint that nobody else has."""
        name = f"e{uuid.uuid4().hex[:12]}"
        self.cloud.enrol(name, f"fake:{name}?hosts=1", "general")
        id_ = self.cloud.run(lambda conn: str(sql.scalar(conn, "SELECT id FROM endpoints WHERE name = :name", name=name)))
        return DatabaseJournal(self.cloud.database, SEAL, id_)


@cache
def shared_site() -> Site:
    """One for all cases of this process."""
    folder = Path(tempfile.mkdtemp(prefix="ct-dm-", dir="/tmp"))
    folder.chmod(0o755)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    url = embedded.start(folder)
    atexit.register(embedded.stop, folder)
    database = Database(url, 10)
    database.run(schema.migrate)
    settings = Settings(data_dir=folder, database_url=url, tls="off", listen="127.0.0.1:0")
    (folder / "depot").mkdir()
    (folder / "depot/ramdisk").symlink_to(shared.ramdisk())
    listen = f"{shared.shared_rig().outside}:{free_port()}"
    return Site(make_cloud(database, settings, hosts=1), Workplace(folder, listen, f"http://{listen}", CHECKOUT / "playbooks", 2))


@cache
def tiny() -> Path:
    path = shared.shared_rig().folder / "contract.qcow2"
    subprocess.run([CHECKOUT / "guests/tiny/build", path], check=True, capture_output=True)
    return path


@dataclass
class Bench:
    """One server, and its journals by owner."""

    server: Server
    site: Site
    journals: dict[str, DatabaseJournal] = field(default_factory=dict)

    def open(self, owner: str) -> Driver:
        """As a controller does it, which looks at a machine first."""
        bmc = self.server.bmc
        options = {"ca_file": str(bmc.authority), "credentials": ":".join(bmc.account), "timeout_s": "2"}
        driver = open_bare_metal(f"redfish+https://{bmc.address}{bmc.system}", owner, options)
        assert isinstance(driver, BareMetalDriver)
        if owner not in self.journals:
            self.journals[owner] = self.site.journal()
        driver.keep(self.journals[owner], self.site.workplace)
        driver.inventory()
        return driver

    def clear(self) -> None:
        """Nothing works on it, nothing is on record, and it is as new."""
        for journal in self.journals.values():
            journal.write({}, journal.read().version, None)  # a run that isn't on record ends
        self.journals.clear()
        runs = self.site.workplace.folder / "runs"
        by_hand.until("the end of its runs", lambda: not runs.exists() or not any(runs.iterdir()), within_s=RUN_ENDS_S)
        self.server.renew()

    def spec(self, **fields: object) -> InstanceSpec:
        usual = {"kind": "bare_metal", "project_id": PROJECT, "memory_mib": 512}
        return spec_of(image_of(tiny(), "qcow2", 64 * MIB), f"SN-{self.server.name}", "x86_64", {**usual, **fields})

    def boots(self, instance_id: str) -> int:
        return sum(GUEST_LINE.decode() in line and instance_id in line for line in self.server.console.splitlines())


@contextmanager
def on_a_real_server(folder: Path) -> Iterator[Backend]:  # runs have one place for all cases
    """The rack's first."""
    rig, site = shared.shared_rig(), shared_site()
    rig.dhcp.boot_from(f"{site.workplace.depot_url}/boot/${{net0/mac:hexhyp}}")
    bench = Bench(rig.servers[0], site)
    yield Backend(
        open=bench.open,
        make_spec=bench.spec,
        kill=lambda _: bench.server.pull_plug(),
        boots=bench.boots,
        cut=bench.server.bmc.being_cut,
        clear=bench.clear,
        can=frozenset({"polite_stop", "addresses", "refuses_stale"}),
        timeout_s=180,
        pause_s=0.5,
    )
