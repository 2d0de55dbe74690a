"""Whether a host is on: what its driver sees counts; what an operator says counts where nobody sees it, and not for longer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller import errors
from controller.actions import fleet
from controller.model import translate
from controller.reconcile.endpoints import silent
from controller.store import fleet as store
from drivers.base import HostInventory, HostPower, Inventory
from drivers.errors import HostUnreachable
from tests.controller.fixtures import Cloud

SEEN = HostInventory("one", "x86_64", 8, 16384, 200, power=HostPower.ON)


def enrol(cloud: Cloud, host: HostInventory) -> dict[str, str]:
    record = {"id": cloud.env.new_id(), "credentials": "", "name": "e", "driver": "fake", "uri": "fake://e", "options": {}}
    return dict(cloud.run(lambda conn: fleet.enrol(conn, cloud.env, cloud.admin, record, "general", Inventory((host,)))))


def say(cloud: Cloud, power: str) -> None:
    cloud.run(lambda conn: fleet.change_host(conn, cloud.admin, "one", None, {"power": power}))


def power(cloud: Cloud) -> tuple[str, bool, bool]:
    """As told to people; and whether it is on and answers, as told to the scheduler."""
    row = cloud.run(lambda conn: store.host(conn, "one"))
    (placed,) = cloud.run(lambda conn: store.placed(conn, [row["id"]]))
    host = translate.host(placed)
    return row["power"], host.on, host.up


def test_a_host_that_falls_silent_is_off_only_if_somebody_says_so_and_on_again_when_it_answers(cloud: Cloud) -> None:
    endpoint = enrol(cloud, SEEN)
    assert power(cloud) == ("on", True, True)
    with pytest.raises(errors.InvalidState) as refusal:
        say(cloud, "off")
    assert refusal.value.text == "power_is_seen"
    cloud.run(lambda conn: silent(conn, endpoint, HostUnreachable(detail="no route"), 30.0))
    assert power(cloud) == ("unknown", True, False)
    say(cloud, "off")
    assert power(cloud) == ("off", False, True), "silent because it is off: its pool decides whether it is capacity"
    for _ in range(2):
        cloud.run(lambda conn: fleet.discover(conn, cloud.env.new_id, endpoint, Inventory((SEEN,))))
    assert power(cloud) == ("on", True, True)
    cloud.run(lambda conn: silent(conn, endpoint, HostUnreachable(detail="no route"), 30.0))
    assert power(cloud) == ("unknown", True, False), "what was said before it answered is not true any more"


def test_what_an_operator_says_stays_where_the_driver_can_not_see_it(cloud: Cloud) -> None:
    endpoint = enrol(cloud, replace(SEEN, power=HostPower.UNKNOWN))
    say(cloud, "off")
    cloud.run(
        lambda conn: fleet.discover(conn, cloud.env.new_id, endpoint, Inventory((replace(SEEN, power=HostPower.UNKNOWN, disk_gib=300),)))
    )
    assert power(cloud) == ("off", False, True)
    cloud.run(lambda conn: fleet.update_pool(conn, cloud.admin, "general", None, {"may_wake": True}))
    assert power(cloud) == ("off", False, True)
