"""A server that a real region had before becomes an instance, by a controller that is killed wherever it can be, and is given back."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from controller.actions import adopting, fleet
from controller.actions.adopting import Told, Wish
from drivers.adopting import Adopts
from tests.controller.asking import ask, row_of, told
from tests.controller.fixtures import ROOT, Cloud, cloud, database, database_url, postgres, settings
from tests.controller.stepping import Crash, Stepper
from tests.drivers.openstack.backend import Behind, options_for, uri
from tests.drivers.openstack.test_adopting import Others, but_marks
from tests.lab.openstack.settings import ADMIN, DEMO, NETWORK
from tests.lab.openstack.shared import shared_region

__all__ = ["cloud", "database", "database_url", "postgres", "settings"]
pytestmark = [pytest.mark.real, pytest.mark.slow]
WAYS = {"hosts": ADMIN, "opaque": DEMO}


@dataclass(frozen=True)
class Place:
    """A region in a cloud, and the others in it."""

    cloud: Cloud
    others: Others

    def start(self) -> str:
        """A server of theirs with an address, as the controller would look for one for a while."""
        networks = self.others.region.admin.ask("neutron", f"GET /v2.0/networks?name={NETWORK}")["networks"]
        return self.others.start(networks=[{"uuid": networks[0]["id"]}])

    def adopt(self, id_: str) -> str:
        """As the API does it."""
        wish, of = Wish(id_, ROOT, f"vm-{uuid.uuid4().hex[:8]}"), self.cloud
        row, adopted = of.run(lambda conn: adopting.before(conn, of.admin, "region", wish))
        driver = Stepper(of).open(row)
        assert isinstance(driver, Adopts)
        found = driver.foreigner(id_)
        assert found is not None
        answer = Told(found, driver.inventory_with(adopted | {id_}), adopted)
        return str(of.run(lambda conn: adopting.adopt(conn, of.env, of.admin, row, wish, answer))["id"])

    def hosts(self) -> list[dict[str, Any]]:
        """What each has promised and may promise."""
        return self.cloud.rows(
            "SELECT h.name, h.vcpus, h.used_vcpus, h.memory_mib, h.used_memory_mib FROM hosts h JOIN endpoints e ON e.id = h.endpoint_id"
            " WHERE e.name = 'region' ORDER BY h.name"
        )

    def free(self) -> list[tuple[int, int]]:
        return [(row["vcpus"] - row["used_vcpus"], row["memory_mib"] - row["used_memory_mib"]) for row in self.hosts()]


@pytest.fixture(params=["hosts", pytest.param("opaque", marks=pytest.mark.long)])  # CI has that way with the driver alone
def place(request: pytest.FixtureRequest, cloud: Cloud) -> Iterator[Place]:
    region, others = shared_region(), Others(shared_region(), shared_region().user(DEMO))
    given = options_for(WAYS[request.param], sees=request.param)
    credentials = given.pop("credentials")
    cloud.pool("region", "wuhan-b")
    connections = cloud.connections()
    record = {"id": cloud.env.new_id(), "name": "region", "driver": "openstack", "uri": uri(region), "options": given}
    opened = connections.open(record, credentials)
    inventory = opened.inventory()
    opened.close()
    record["credentials"] = connections.sealed(credentials, record["id"])
    cloud.run(lambda conn: fleet.enrol(conn, cloud.env, cloud.admin, record, "region", inventory))
    yield Place(cloud, others)
    others.end()
    Behind(region).forget(cloud.rows("SELECT owner FROM cloud")[0]["owner"])


def test_wherever_a_controller_dies_a_server_is_adopted_and_given_back_untouched(place: Place) -> None:
    id_ = place.start()
    before = place.others.server(id_)
    for verb, state in (("adopt", "active"), ("disown", "deleted")):
        for fatal in count(1):
            Stepper(place.cloud).look()
            free = place.free()
            instance = place.adopt(id_)
            assert place.free() == free, "neither freed nor taken twice"
            if verb == "disown":
                Stepper(place.cloud).settle(60)
                ask(place.cloud, "disown", instance)
            survived = _survives(place.cloud, fatal)
            Stepper(place.cloud).settle(60)
            assert row_of(place.cloud, instance)["state"] == state, (fatal, row_of(place.cloud, instance))
            assert all(vcpus >= 0 and memory >= 0 for vcpus, memory in place.free())
            if verb == "adopt":
                Stepper(place.cloud).look()
                assert place.free() == free
                ask(place.cloud, "disown", instance)
                Stepper(place.cloud).settle(60)
            if survived:
                break
        assert fatal > 4, "there were places to die at"
    after = place.others.server(id_)
    assert but_marks(after) == but_marks(before)
    assert (after["metadata"], after["tags"]) == (before["metadata"], before["tags"])
    assert place.others.actions(id_) == ["create"]


def _survives(cloud: Cloud, fatal: int) -> bool:
    try:
        Stepper(cloud, fatal).settle(60)
    except Crash:
        return False
    return True


def test_an_adopted_server_is_stopped_resized_and_deleted_by_its_department(place: Place) -> None:
    id_ = place.start()
    stepper = Stepper(place.cloud)
    stepper.look()
    instance = place.adopt(id_)
    stepper.settle(60)
    place.cloud.flavor("m1.medium", 2, 4096, 40)
    for verb, more, state, status in (
        ("stop", (), "stopped", "SHUTOFF"),
        ("start", (), "active", "ACTIVE"),
        ("resize", ("m1.medium",), "active", "ACTIVE"),
        ("reboot", (), "active", "ACTIVE"),
    ):
        ask(place.cloud, verb, instance, *more)
        stepper.settle(90)
        assert (row_of(place.cloud, instance)["state"], place.others.server(id_)["status"]) == (state, status), verb
    assert place.others.server(id_)["flavor"]["vcpus"] == 2
    place.others.act(id_, "os-stop")
    place.others.await_status(id_, "SHUTOFF")
    stepper.look()
    stepper.settle(60)
    assert told(place.cloud, instance)[-2:] == ["instance.stopped_by_other", "instance.mended"]
    ask(place.cloud, "delete", instance)
    stepper.settle(60)
    place.others.region.admin.until_gone("nova-api", f"GET /servers/{id_}")
    stepper.look()
    assert place.cloud.rows("SELECT sum(used_vcpus) AS used FROM hosts") == [{"used": 0}]


def test_one_that_is_deleted_behind_our_back_is_reported_and_never_made_anew(place: Place) -> None:
    id_ = place.start()
    stepper = Stepper(place.cloud)
    stepper.look()
    instance = place.adopt(id_)
    stepper.settle(60)
    place.others.end()
    stepper.look()
    stepper.settle(60)
    row = row_of(place.cloud, instance)
    assert (row["state"], row["reason"]["code"]) == ("error", "disk_missing")
    ask(place.cloud, "delete", instance)
    stepper.settle(60)
    assert row_of(place.cloud, instance)["state"] == "deleted"
