"""A cloud with a host whose machine has a BMC, and the means to cut its power, lose sight of it and silence who could tell.

In: a fake world as a cluster, another as the BMC. What is tested is what the controller makes of the two; `Machine` is how it really is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from controller.config import Settings
from controller.store import fleet, instances
from controller.store.database import Database
from drivers.base import Health, HostPower, Reason
from drivers.fake.world import World, forget, world
from tests.controller.asking import row_of
from tests.controller.fixtures import PLENTY, ROOT, Cloud, make_cloud
from tests.controller.stepping import Points, Stepper
from tests.controller.test_relocating import pods

MACHINE = "5ca1ab1e-0000-4000-8000-00000badcafe"
VICTIM = "host-0001"


@pytest.fixture
def cloud(database: Database, settings: Settings) -> Iterator[Cloud]:
    """Two hosts that run containers and machines; the first is the machine behind the BMC endpoint `bmc`, which is on."""
    made = make_cloud(database, settings, hosts=2, vcpus=4, kinds="container,vm")
    made.auto_approve(ROOT, PLENTY)
    made.flavor("pod", 1, 512, 1, kind="container")
    made.world.describe(VICTIM, machine=MACHINE)
    made.pool("metal", "wuhan-m")
    enrol_bmc(made, "bmc")
    Stepper(made).look()
    yield made
    forget(made.uri)
    forget(bmc_uri(made, "bmc"))


def bmc_uri(cloud: Cloud, name: str) -> str:
    return f"{cloud.uri}-{name}"


def bmc(cloud: Cloud, name: str = "bmc") -> World:
    return world(bmc_uri(cloud, name))


def enrol_bmc(cloud: Cloud, name: str, machine: str = MACHINE) -> None:
    """A BMC as the controller sees one: an endpoint with one host, which says its power."""
    there = world(f"{bmc_uri(cloud, name)}?hosts=1&kinds=bare_metal")
    there.describe(VICTIM, machine=f"bmc {machine}", power=HostPower.ON, closed=Reason("machine_only_seen"))
    cloud.enrol(name, bmc_uri(cloud, name), "metal")


def power(cloud: Cloud, now: HostPower) -> None:
    bmc(cloud).describe(VICTIM, power=now)


def lose(cloud: Cloud) -> None:
    """The machine loses power, and the cluster notices that it does not answer; whoever looks at the BMC sees it."""
    cloud.world.lose_power(VICTIM)
    cloud.world.describe(VICTIM, health=Health.SILENT)
    power(cloud, HostPower.OFF)


def look_at_cluster(cloud: Cloud, stepper: Stepper) -> None:
    """One look at the cluster's endpoint, and at no BMC's."""
    for endpoint in cloud.rows(
        "SELECT id, name, driver, uri, options, credentials, pool_id, state, reason FROM endpoints WHERE name = 'fake'"
    ):
        stepper.looking().look(endpoint)


def steps(cloud: Cloud, stepper: Stepper, times: int = 4) -> None:
    """Passes over all that is not settled, without waiting for any of it to become so."""
    for _ in range(times):
        waiting = [row["id"] for row in cloud.rows("SELECT id FROM instances WHERE due_at IS NOT NULL")]
        cloud.run(lambda conn, ids=waiting: instances.make_due(conn, ids))
        stepper.once()


def state(cloud: Cloud, name: str = VICTIM) -> str:
    return str(cloud.rows("SELECT state FROM hosts WHERE backend_name = :name AND kinds <> '{bare_metal}'", name=name)[0]["state"])


def there(cloud: Cloud, ids: list[str]) -> list[str]:
    """Which of them the ledger has on the victim."""
    return [id_ for id_ in ids if row_of(cloud, id_)["host"] == VICTIM]


def spread_pods(cloud: Cloud) -> tuple[list[str], list[str]]:
    """Containers on both hosts: all of them, and those on the victim."""
    ids = pods(cloud, 2)
    cloud.run(lambda conn: fleet.set_host(conn, host_id(cloud, "host-0002"), None, cordoned=True))
    ids += pods(cloud, 2)
    cloud.run(lambda conn: fleet.set_host(conn, host_id(cloud, "host-0002"), None, cordoned=False))
    on_it = there(cloud, ids)
    assert on_it
    return ids, on_it


def host_id(cloud: Cloud, name: str) -> str:
    return str(cloud.rows("SELECT id FROM hosts WHERE backend_name = :name AND kinds <> '{bare_metal}'", name=name)[0]["id"])


@dataclass(slots=True)
class Meddled(Points):
    """Wherever a controller might die, somebody might also do something to the machine."""

    meddle: Callable[[str], None] = field(default=lambda _: None)

    def at(self, where: str) -> None:
        self.passed.append(where)
        self.meddle(where)


@dataclass
class Machine:
    """The victim as it really is: whether it has power, and what its agent does with what it was told before it booted."""

    cloud: Cloud
    dice: random.Random
    on: bool = True

    def cut(self) -> None:
        """No more is seen of it at once: the fake world would start things on a host that it still sees."""
        self.on = False
        lose(self.cloud)

    def boot(self) -> None:
        """All that it is to run is started; what was told to end before is not."""
        power(self.cloud, HostPower.ON)
        for id_, record in self.cloud.world.records().items():
            if not self.on and record.host == VICTIM and id_ not in self.cloud.world.leaving:
                self.cloud.world.start(id_)
        self.on = True

    def lose_sight(self) -> None:
        self.cloud.world.describe(VICTIM, health=Health.SILENT)

    def be_seen(self) -> None:
        if self.on:
            self.cloud.world.describe(VICTIM, health=Health.READY)

    def be_mute(self) -> None:
        bmc(self.cloud).silence()

    def speak(self) -> None:
        bmc(self.cloud).unsilence()

    def meddle(self, often: float) -> None:
        if self.dice.random() < often:
            self.dice.choice((self.cut, self.boot, self.lose_sight, self.lose_sight, self.be_seen, self.be_mute, self.speak, self.speak))()

    def heal(self) -> None:
        for mend in (self.boot, self.be_seen, self.speak):
            mend()
