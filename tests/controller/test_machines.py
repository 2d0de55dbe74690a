"""A machine that is enrolled by two addresses would count twice: it is noticed by what the machine itself is, not by the address."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from controller import errors
from controller.actions import fleet
from drivers.base import HostInventory, Inventory
from tests.controller.fixtures import Cloud

ONE = HostInventory("one", "x86_64", 8, 16384, 200, machine="m-1")


def enrol(cloud: Cloud, name: str, *hosts: HostInventory) -> Any:
    record = {"id": cloud.env.new_id(), "credentials": "", "name": name, "driver": "fake", "uri": f"fake://{name}", "options": {}}
    return cloud.run(lambda conn: fleet.enrol(conn, cloud.env, cloud.admin, record, "general", Inventory(hosts)))


def look(cloud: Cloud, endpoint: Any, *hosts: HostInventory) -> Any:
    """What a look finds; the rows of the endpoint's hosts afterwards."""
    cloud.run(lambda conn: fleet.discover(conn, cloud.env.new_id, endpoint, Inventory(hosts)))
    return cloud.rows(
        "SELECT name, machine, notes, state FROM hosts WHERE endpoint_id = CAST(:id AS uuid) ORDER BY name", id=endpoint["id"]
    )


def test_the_same_machine_by_another_address_is_refused_and_nothing_is_left(cloud: Cloud) -> None:
    enrol(cloud, "first", ONE)
    with pytest.raises(errors.AlreadyExists) as refusal:
        enrol(cloud, "second", replace(ONE, name="other"))
    assert (refusal.value.text, refusal.value.params) == ("machine_enrolled", {"name": "one"})
    assert cloud.rows("SELECT 1 FROM endpoints WHERE name = 'second'") == []
    enrol(cloud, "third", replace(ONE, name="other", machine="m-2"))


def test_a_machine_is_free_again_once_its_host_is_retired(cloud: Cloud) -> None:
    enrol(cloud, "first", ONE)
    cloud.run(lambda conn: fleet.retire(conn, cloud.admin, "one", None))
    enrol(cloud, "second", replace(ONE, name="again"))


def test_backends_that_do_not_say_what_the_machine_is_are_not_compared(cloud: Cloud) -> None:
    for name in ("first", "second"):
        enrol(cloud, name, replace(ONE, name=name, machine=""))


def test_hosts_enrolled_before_machines_were_asked_for_are_told_of_at_the_next_look(cloud: Cloud) -> None:
    first, second = enrol(cloud, "first", replace(ONE, machine="")), enrol(cloud, "second", replace(ONE, name="other", machine=""))
    assert look(cloud, first, ONE)[0]["machine"] == "m-1"
    for _ in range(2):
        (row,) = look(cloud, second, replace(ONE, name="other"))
        assert (row["machine"], row["state"]) == ("", "up")
        assert row["notes"] == [{"code": "machine_enrolled", "params": {"name": "one"}}]
    said = cloud.rows("SELECT object_name FROM events WHERE kind = 'host.changed'")
    assert [one["object_name"] for one in said] == ["one", "other"]
