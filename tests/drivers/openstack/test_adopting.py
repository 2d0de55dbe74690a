"""Servers that aren't ours, on a real region and seen both ways: told of, marked, and given back; they are touched by nothing of that."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest

from drivers.adopting import Foreign, NotAdoptable
from drivers.base import Condition, InstanceSpec, Power, Reason
from drivers.errors import DiskMissing, DriverError, Transient
from drivers.openstack.driver import OpenStackDriver
from drivers.openstack.names import PREFIX, instance_tag, owner_tag
from tests.drivers.contract import Backend, converge, eventually, settle
from tests.drivers.openstack import backend as backends
from tests.drivers.openstack.backend import Behind
from tests.lab.openstack.api import Api, Refused
from tests.lab.openstack.rig import Region
from tests.lab.openstack.settings import DEMO

pytestmark = [pytest.mark.real, pytest.mark.slow]
SMALL: Final = (1, 2048, 20)  # m1.small
MARKS: Final = ("metadata", "tags", "updated")
"""All that may differ in a server that was adopted."""


@dataclass
class Others:
    """Those who had the region before us: the project demo's people."""

    region: Region
    api: Api
    made: list[str] = field(default_factory=list)

    def flavor(self, name: str = "m1.small") -> str:
        return str(
            next(one["id"] for one in self.region.admin.ask("nova-api", "GET /flavors?is_public=None")["flavors"] if one["name"] == name)
        )

    def start(self, name: str = "Web Server 1", flavor: str = "m1.small", **fields: Any) -> str:
        """A server of theirs that runs; its id."""
        image = next(one["id"] for one in self.region.admin.ask("glance", "GET /v2/images?name=blank")["images"])
        body = {
            "name": name,
            "imageRef": image,
            "flavorRef": self.flavor(flavor),
            "networks": "none",
            "metadata": {"theirs": "1"},
            **fields,
        }
        id_ = str(self.api.ask("nova-api", "POST /servers", {"server": {"tags": ["web"], **body}})["server"]["id"])
        self.made.append(id_)
        self.await_status(id_, "ACTIVE")
        return id_

    def act(self, id_: str, action: str, given: object = None) -> None:
        self.region.admin.ask("nova-api", f"POST /servers/{id_}/action", {action: given})

    def await_status(self, id_: str, status: str) -> None:
        self.region.admin.until(
            "nova-api",
            f"GET /servers/{id_}",
            lambda said: (said["server"]["status"], said["server"]["OS-EXT-STS:task_state"]) == (status, None),
        )

    def server(self, id_: str) -> dict[str, Any]:
        found: dict[str, Any] = self.region.admin.ask("nova-api", f"GET /servers/{id_}")["server"]
        return found

    def actions(self, id_: str) -> list[str]:
        return [one["action"] for one in self.region.admin.ask("nova-api", f"GET /servers/{id_}/os-instance-actions")["instanceActions"]]

    def end(self) -> None:
        for id_ in self.made:
            with suppress(Refused):
                self.region.admin.ask("nova-api", f"DELETE /servers/{id_}")
        for id_ in self.made:
            self.region.admin.until_gone("nova-api", f"GET /servers/{id_}")


@pytest.fixture
def others(region: Region) -> Iterator[Others]:
    found = Others(region, region.user(DEMO))
    yield found
    found.end()


@pytest.fixture(params=["hosts", "opaque"])
def either(request: pytest.FixtureRequest, owner: str) -> Iterator[OpenStackDriver]:
    """An administrator's connection, and one of the project's that has the servers."""
    opened = backends.connect(owner) if request.param == "hosts" else backends.connect(owner, DEMO, sees="opaque")
    yield opened
    opened.close()


def walk(driver: OpenStackDriver, most: int = 50) -> dict[str, Foreign]:
    """All pages."""
    found, after = driver.foreign("", most)
    listed = list(found)
    while after:
        found, after = driver.foreign(after, most)
        assert len(found) <= most
        listed += found
    assert len({one.id for one in listed}) == len(listed), "each is told of once"
    return {one.id: one for one in listed}


def spec_for(found: Foreign, **fields: Any) -> InstanceSpec:
    """What the controller asks once it is booked."""
    given = {"adopted": found.id, "image": None, "name": "web-server-1", "power": found.power, **fields}
    size = {"vcpus": found.vcpus, "memory_mib": found.memory_mib, "disk_gib": found.disk_gib}
    return replace(backends.spec_on(found.host, {}), **size, **given)


def foreigner(driver: OpenStackDriver, id_: str) -> Foreign:
    found = driver.foreigner(id_)
    assert found is not None
    return found


def but_marks(server: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in server.items() if name not in MARKS}


# -- told of -------------------------------------------------------------------------------------------------------------------------


def test_what_is_not_ours_is_told_of_page_by_page_and_what_is_ours_is_not(
    either: OpenStackDriver, others: Others, patient: Backend, region: Region
) -> None:
    ids = [others.start(f"Web Server {number}") for number in range(3)]
    mine = backends.spec_on(either.inventory().hosts[0].name, {})
    converge(patient, either, mine)
    seen = walk(either)
    assert set(ids) <= seen.keys()
    assert walk(either, 2) == seen
    assert mine.name not in {one.name for one in seen.values()}
    one, raw = seen[ids[0]], others.server(ids[0])
    assert (one.name, one.status, one.power, one.obstacle) == ("Web Server 0", "active", Power.RUNNING, None)
    assert (one.vcpus, one.memory_mib, one.disk_gib, one.flavor, one.image) == (*SMALL, "m1.small", "blank")
    assert (one.group, one.created_at) == (DEMO.project, raw["created"])
    assert one.host in {host.name for host in either.inventory().hosts}
    assert foreigner(either, ids[0]) == one
    assert either.foreigner(str(uuid.uuid4())) is either.foreigner("../flavors") is None
    either.remove(mine.instance_id)


def test_what_stands_in_the_way_is_named(either: OpenStackDriver, others: Others, region: Region) -> None:
    id_ = others.start()
    others.act(id_, "pause")
    others.await_status(id_, "PAUSED")
    assert foreigner(either, id_).obstacle == Reason("server_set_aside", {"status": "paused"})
    others.act(id_, "unpause")
    others.await_status(id_, "ACTIVE")
    others.act(id_, "lock")
    assert foreigner(either, id_).obstacle == Reason("server_locked")
    others.act(id_, "unlock")
    region.reset(id_)
    assert foreigner(either, id_).obstacle == Reason("server_broken", {"detail": ""})
    region.reset(id_, "active")
    assert foreigner(either, id_).obstacle is None


@pytest.mark.parametrize(
    ("flavor", "specifics", "obstacle"),
    [
        ({"OS-FLV-EXT-DATA:ephemeral": 5}, {}, Reason("more_disks", {"ephemeral_gib": 5, "swap_mib": 0})),
        ({"swap": 64}, {}, Reason("more_disks", {"ephemeral_gib": 0, "swap_mib": 64})),
        ({}, {"hw:cpu_policy": "shared"}, Reason("special_hardware", {"what": "hw:cpu_policy"})),
        ({}, {"quota:disk_total_iops_sec": "500"}, None),
    ],
)
def test_what_no_spec_of_ours_says_is_named(
    driver: OpenStackDriver, others: Others, region: Region, flavor: dict[str, int], specifics: dict[str, str], obstacle: Reason | None
) -> None:
    size = {"name": "odd", "id": "odd", "vcpus": 1, "ram": 512, "disk": 1, **flavor}
    region.admin.ask("nova-api", "POST /flavors", {"flavor": size})
    try:
        if specifics:
            region.admin.ask("nova-api", "POST /flavors/odd/os-extra_specs", {"extra_specs": specifics})
        assert foreigner(driver, others.start(flavor="odd")).obstacle == obstacle
    finally:
        region.admin.ask("nova-api", "DELETE /flavors/odd")


# -- adopted -------------------------------------------------------------------------------------------------------------------------


def test_adopting_writes_marks_and_touches_nothing(either: OpenStackDriver, others: Others, behind: Behind, patient: Backend) -> None:
    id_ = others.start()
    before = others.server(id_)
    whole = either.inventory_with({id_})
    assert whole != either.inventory(), "it is somebody's, and taken off"
    spec = spec_for(foreigner(either, id_))
    either.ensure(spec)
    seen = either.observe(spec.instance_id)
    assert (seen.condition, seen.generation, seen.host) == (Condition.RUNNING, 1, spec.host)
    after = others.server(id_)
    assert but_marks(after) == but_marks(before)
    assert after["OS-SRV-USG:launched_at"] == before["OS-SRV-USG:launched_at"]
    assert others.actions(id_) == ["create"]
    assert {**before["metadata"], **after["metadata"]} == after["metadata"], "theirs stay"
    assert set(after["tags"]) == {*before["tags"], owner_tag(either._owner), instance_tag(spec.instance_id)}
    assert either.inventory() == either.inventory_with({id_}) == whole
    assert list(either.observe_all()) == [seen]
    assert either.foreigner(id_) is None
    assert id_ not in walk(either)
    for one in (spec, replace(spec, generation=2, ssh_keys=("ssh-ed25519 AAAA",), user_data="#!/bin/sh")):
        converge(patient, either, one)
    assert but_marks(others.server(id_)) == but_marks(before), "nor does a newer spec of the same size"
    assert others.actions(id_) == ["create"]


def test_one_that_is_off_stays_off(driver: OpenStackDriver, others: Others) -> None:
    id_ = others.start()
    others.act(id_, "os-stop")
    others.await_status(id_, "SHUTOFF")
    spec = spec_for(foreigner(driver, id_))
    assert spec.power is Power.STOPPED
    driver.ensure(spec)
    seen = driver.observe(spec.instance_id)
    assert (seen.condition, seen.generation) == (Condition.STOPPED, 1)
    assert sorted(others.actions(id_)) == ["create", "stop"]


def test_afterwards_it_is_a_server_like_any_of_ours(driver: OpenStackDriver, others: Others, behind: Behind, patient: Backend) -> None:
    id_ = others.start()
    spec = spec_for(foreigner(driver, id_))
    driver.ensure(spec)
    assert b"ready" in driver.console_log(spec.instance_id, 1000) or driver.console_log(spec.instance_id, 1000) == b""
    stopped = replace(spec, generation=2, power=Power.STOPPED)
    converge(patient, driver, stopped)
    converge(patient, driver, replace(spec, generation=3))
    larger = replace(spec, generation=4, vcpus=2, memory_mib=4096)
    converge(patient, driver, larger)
    assert behind.size(spec.instance_id) == (2, 4096, 20)
    others.region.admin.ask("nova-api", f"PUT /servers/{id_}", {"server": {"name": "other"}})
    assert driver.observe(spec.instance_id).generation is None
    converge(patient, driver, larger)
    assert others.server(id_)["name"] == "Web Server 1", "its own name, not the instance's"
    rebuilt = replace(larger, generation=5, build=2, built=True, image=backends.image())
    converge(patient, driver, rebuilt)
    assert (others.server(id_)["id"], others.actions(id_).count("rebuild"), others.server(id_)["name"]) == (id_, 1, "Web Server 1")
    driver.remove(spec.instance_id)
    settle(patient, driver, spec.instance_id, Condition.ABSENT)
    eventually(patient, "its end", lambda: driver.foreigner(id_) is None)


def test_marks_that_are_lost_wholly_or_in_part_are_written_again(
    either: OpenStackDriver, others: Others, patient: Backend, region: Region
) -> None:
    id_ = others.start()
    spec = spec_for(foreigner(either, id_))
    region.admin.ask("nova-api", f"PUT /servers/{id_}/tags/{owner_tag(either._owner)}")  # who began died here
    for built in (False, True):
        asked = replace(spec, built=built)
        converge(patient, either, asked)
        region.admin.ask("nova-api", f"PUT /servers/{id_}/tags", {"tags": ["web"]})
        assert either.observe(spec.instance_id).condition is Condition.ABSENT
        converge(patient, either, asked)
        region.admin.ask("nova-api", f"PUT /servers/{id_}/metadata", {"metadata": {"theirs": "1"}})
        assert either.observe(spec.instance_id).condition is Condition.ABSENT
        converge(patient, either, replace(asked, built=True))
    assert others.actions(id_) == ["create"]


def test_one_that_is_gone_is_never_made_again(driver: OpenStackDriver, others: Others) -> None:
    id_ = others.start()
    spec = spec_for(foreigner(driver, id_))
    others.end()
    with pytest.raises(NotAdoptable) as refusal:
        driver.ensure(spec)
    assert refusal.value.reason == Reason("adoptee_gone", {"server": id_})
    with pytest.raises(DiskMissing):
        driver.ensure(replace(spec, built=True))


def test_what_changed_since_it_was_booked_is_refused_by_name(driver: OpenStackDriver, others: Others) -> None:
    id_ = others.start()
    spec = spec_for(foreigner(driver, id_))
    for other in ({"vcpus": 2}, {"host": "elsewhere"}):
        with pytest.raises(NotAdoptable) as refusal:
            driver.ensure(replace(spec, **other))
        assert refusal.value.reason.code == "adoptee_changed"
    others.act(id_, "pause")
    others.await_status(id_, "PAUSED")
    with pytest.raises(Transient):
        driver.ensure(spec)
    assert not [name for name in others.server(id_)["metadata"] if name.startswith(PREFIX)]


def test_one_that_another_cloud_has_is_refused_by_name_until_it_is_given_back(driver: OpenStackDriver, owner: str, others: Others) -> None:
    id_ = others.start()
    other = backends.connect(f"{owner}-other")
    theirs = spec_for(foreigner(driver, id_))
    other.ensure(theirs)
    assert foreigner(driver, id_).obstacle == Reason("other_owner")
    mine = spec_for(foreigner(driver, id_))
    with pytest.raises(NotAdoptable) as refusal:
        driver.ensure(replace(mine, power=Power.RUNNING))
    assert refusal.value.reason.code == "other_owner"
    other.disown(theirs.instance_id, id_)
    driver.ensure(replace(mine, power=Power.RUNNING))
    assert driver.observe(mine.instance_id).condition is Condition.RUNNING
    other.close()


def test_one_that_bears_a_mark_of_an_instance_that_is_being_given_back_waits(driver: OpenStackDriver, others: Others) -> None:
    id_ = others.start()
    first, second = spec_for(foreigner(driver, id_)), spec_for(foreigner(driver, id_))
    driver.ensure(first)
    with pytest.raises(DriverError) as refusal:
        driver.ensure(second)
    assert isinstance(refusal.value, Transient)
    driver.disown(first.instance_id, id_)
    driver.ensure(second)
    driver.disown(first.instance_id, id_)
    assert driver.observe(second.instance_id).condition is Condition.RUNNING, "what is another's stays"


# -- given back ----------------------------------------------------------------------------------------------------------------------


def test_what_is_given_back_is_as_it_was(either: OpenStackDriver, others: Others, region: Region) -> None:
    id_ = others.start()
    before = others.server(id_)
    spec = spec_for(foreigner(either, id_))
    either.ensure(spec)
    region.admin.ask("nova-api", f"DELETE /servers/{id_}/metadata/{PREFIX}build")  # who began to take them off died here
    for _ in range(2):
        either.disown(spec.instance_id, id_)
        assert {**others.server(id_), "updated": ""} == {**before, "updated": ""}
    assert either.observe(spec.instance_id).condition is Condition.ABSENT
    assert others.actions(id_) == ["create"]
    assert foreigner(either, id_).obstacle is None
    others.end()
    either.disown(spec.instance_id, id_)
