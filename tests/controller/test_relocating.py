"""What a lost or drained host ran is started elsewhere: never twice, never counted twice, and again later where there is no room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from controller import errors
from controller.actions import fleet, relocating
from controller.actions.admit import admit
from controller.config import Settings
from controller.model.request import SpreadRule
from controller.store.database import Database
from drivers.base import Health, Reason
from drivers.fake.world import forget
from tests.controller.asking import ask, backend, create, nothing_left, row_of, sound, told
from tests.controller.fixtures import PLENTY, ROOT, Cloud, make_cloud, submission
from tests.controller.stepping import Crash, Stepper

RUNS: dict[str, Any] = {
    "image": "registry.example/app:1",
    "command": [],
    "args": [],
    "env": {},
    "secrets": {},
    "ports": [],
    "volumes": [],
    "liveness": None,
    "readiness": None,
    "startup": None,
    "restart": "always",
    "service": None,
}


@pytest.fixture
def cloud(database: Database, settings: Settings) -> Iterator[Cloud]:
    """Three hosts of four vCPUs each that run containers and machines."""
    made = make_cloud(database, settings, hosts=3, vcpus=4, kinds="container,vm")
    made.auto_approve(ROOT, PLENTY)
    made.flavor("pod", 1, 512, 1, kind="container")
    yield made
    forget(made.uri)


def pods(cloud: Cloud, count: int, **more: Any) -> list[str]:
    """Containers that run."""
    ids = create(cloud, count=count, flavor="pod", container=RUNS, **more)
    Stepper(cloud).settle()
    return ids


def hosts(cloud: Cloud, ids: list[str]) -> Counter[str]:
    return Counter(row_of(cloud, id_)["host"] for id_ in ids)


def looked(cloud: Cloud) -> Stepper:
    """A controller that has looked at every endpoint, and done what follows from it."""
    stepper = Stepper(cloud)
    stepper.look()
    stepper.settle()
    return stepper


def lose(cloud: Cloud, host: str) -> list[str]:
    """A host loses power; who was on it."""
    cloud.world.fence(host)
    return [id_ for id_, record in cloud.world.records().items() if record.host == host]


def test_what_a_fenced_host_ran_runs_elsewhere_once_and_counts_once(cloud: Cloud) -> None:
    ids = pods(cloud, 6)
    victim = row_of(cloud, ids[0])["host"]
    gone = lose(cloud, victim)
    stepper = looked(cloud)
    assert gone
    assert victim not in hosts(cloud, ids)
    for id_ in ids:
        row = row_of(cloud, id_)
        assert (row["state"], row["condition"], backend(cloud, id_).live) == ("active", "running", True)
        assert cloud.world.boots(id_) == (2 if id_ in gone else 1)
        assert ("instance.evacuated" in told(cloud, id_)) == (id_ in gone)
    assert cloud.rows("SELECT used_instances FROM hosts WHERE state = 'fenced'") == [{"used_instances": 0}]
    assert cloud.rows("SELECT instances, vcpus FROM usage WHERE kind = 'container'") == [{"instances": 6, "vcpus": 6}]
    sound(cloud)
    stepper.look()
    assert stepper.once() == 0, "and that is all"


def test_a_host_that_is_only_silent_keeps_what_it_may_still_run(cloud: Cloud) -> None:
    ids = pods(cloud, 3)
    victim = row_of(cloud, ids[0])["host"]
    cloud.world.describe(victim, health=Health.SILENT)
    stepper = looked(cloud)
    assert victim in hosts(cloud, ids)
    assert row_of(cloud, ids[0])["host_state"] == "unreachable"
    assert all(cloud.world.boots(id_) == 1 for id_ in ids)
    cloud.world.describe(victim, health=Health.READY)
    stepper.look()
    assert row_of(cloud, ids[0])["host_state"] == "up"
    sound(cloud)


def test_who_finds_no_room_waits_says_so_and_is_started_when_there_is_some(cloud: Cloud) -> None:
    ids = pods(cloud, 12)
    victim = row_of(cloud, ids[0])["host"]
    gone = lose(cloud, victim)
    stepper = looked(cloud)
    assert hosts(cloud, gone) == Counter({victim: 4})
    assert {row_of(cloud, id_)["reason"]["code"] for id_ in gone} == {"no_room_to_evacuate"}
    staying = [id_ for id_ in ids if id_ not in gone]
    ask(cloud, "delete", staying[0])
    ask(cloud, "delete", gone[0])
    stepper.settle()
    stepper.look()
    stepper.settle()
    assert row_of(cloud, gone[0])["state"] == "deleted", "what is to be gone leaves a fenced host too"
    assert hosts(cloud, gone[1:])[victim] == 2
    cloud.world.describe(victim, health=Health.READY)
    stepper.look()
    stepper.settle()
    assert all(row_of(cloud, id_)["condition"] == "running" for id_ in gone[1:]), "the host is back, and so are they"
    sound(cloud)


def test_machines_stay_with_their_disks(cloud: Cloud) -> None:
    (id_,) = create(cloud)
    Stepper(cloud).settle()
    victim = row_of(cloud, id_)["host"]
    lose(cloud, victim)
    looked(cloud)
    assert row_of(cloud, id_)["host"] == victim
    sound(cloud)


def test_members_that_must_lie_apart_do_so_afterwards(cloud: Cloud) -> None:
    ids = pods(cloud, 2, spread=SpreadRule("anti_affinity"))
    lose(cloud, row_of(cloud, ids[0])["host"])
    looked(cloud)
    assert sorted(hosts(cloud, ids).values()) == [1, 1]
    sound(cloud)


def test_a_host_is_drained_and_uncordoned(cloud: Cloud) -> None:
    ids = pods(cloud, 6)
    victim = row_of(cloud, ids[0])["host"]
    cloud.run(lambda conn: relocating.drain(conn, cloud.env, cloud.admin, victim, None))
    stepper = Stepper(cloud)
    stepper.settle()
    assert victim not in hosts(cloud, ids)
    assert all(backend(cloud, id_).live for id_ in ids)
    assert "instance.moved" in told(cloud, ids[0])
    row = cloud.run(lambda conn: fleet.cordon(conn, cloud.admin, victim, False, None))
    assert (row["cordoned"], row["draining"], row["used_instances"]) == (False, False, 0)
    sound(cloud)


def test_a_drain_that_can_not_end_does_not_begin(cloud: Cloud) -> None:
    ids = pods(cloud, 4)
    (machine,) = create(cloud, flavor="small")
    Stepper(cloud).settle()
    victim = row_of(cloud, machine)["host"]
    with pytest.raises(errors.InvalidState) as refusal:
        cloud.run(lambda conn: relocating.drain(conn, cloud.env, cloud.admin, victim, None))
    assert [one["why"] for one in refusal.value.details["instances"]] == ["kind"]
    assert cloud.rows("SELECT 1 FROM hosts WHERE cordoned OR draining") == []
    pods(cloud, 6)
    full = next(host for host in ("host-0001", "host-0002", "host-0003") if host != victim)
    with pytest.raises(errors.InvalidState):
        cloud.run(lambda conn: relocating.drain(conn, cloud.env, cloud.admin, full, None))
    assert len(ids) == 4
    sound(cloud)


def test_what_the_backends_people_closed_takes_nothing_new(cloud: Cloud) -> None:
    for name in ("host-0001", "host-0002"):
        cloud.world.describe(name, closed=Reason("node_closed", {"detail": "kubectl cordon"}), zone="zone-of-its-own")
    Stepper(cloud).look()
    ids = pods(cloud, 4)
    assert hosts(cloud, ids) == Counter({"host-0003": 4})
    shown = cloud.rows("SELECT own_zone, closed->>'code' AS code FROM hosts WHERE closed IS NOT NULL")
    assert shown == [{"own_zone": "zone-of-its-own", "code": "node_closed"}] * 2
    wish = submission(cloud.admin, flavor="pod", container=RUNS, zone="zone-of-its-own")
    (asked,) = cloud.run(lambda conn: admit(conn, cloud.admission(), [wish]))
    assert isinstance(asked, errors.NoCapacity), "there is such a zone, and nobody is wanted there"


def test_a_host_that_takes_only_so_many_is_promised_no_more_however_small_they_are(cloud: Cloud) -> None:
    for name in ("host-0001", "host-0002", "host-0003"):
        cloud.world.describe(name, instances=2)
    Stepper(cloud).look()
    assert cloud.rows("SELECT DISTINCT vcpus FROM hosts") == [{"vcpus": 2}]
    ids = pods(cloud, 6)
    assert sorted(hosts(cloud, ids).values()) == [2, 2, 2]
    (more,) = cloud.run(lambda conn: admit(conn, cloud.admission(), [submission(cloud.admin, flavor="pod", container=RUNS)]))
    assert isinstance(more, errors.NoCapacity)
    for name in ("host-0001", "host-0002", "host-0003"):
        cloud.world.describe(name, instances=3)
    Stepper(cloud).look()
    assert len(pods(cloud, 3)) == 3
    sound(cloud)


def test_a_crash_anywhere_while_a_host_is_evacuated_starts_nothing_twice_and_loses_nothing(cloud: Cloud) -> None:
    fatal = 0
    while True:
        fatal += 1
        ids = pods(cloud, 2)
        victim = row_of(cloud, ids[0])["host"]
        lose(cloud, victim)
        dying = Stepper(cloud, fatal)
        with suppress(Crash):
            dying.look()
            dying.settle()
        after = Stepper(cloud)
        after.look()
        after.settle()
        assert all(row_of(cloud, id_)["condition"] == "running" and backend(cloud, id_).live for id_ in ids), dying.points.passed
        assert victim not in hosts(cloud, ids)
        sound(cloud)
        for id_ in ids:
            ask(cloud, "delete", id_)
        cloud.world.describe(victim, health=Health.READY)
        after.look()
        after.settle()
        nothing_left(cloud)
        if len(dying.points.passed) < fatal:
            break
    assert fatal > 10
