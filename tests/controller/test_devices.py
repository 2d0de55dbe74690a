"""GPUs and NUMA cells in the ledger: which of them an allocation holds, at every commit, through everything that may become of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import IntegrityError

from controller import errors
from controller.actions import fleet as fleet_actions
from controller.actions import instances as verbs
from controller.actions import relocating, requests, terms
from controller.actions.admit import admit
from controller.actions.draft import Accepted, Outcome
from controller.config import Settings
from controller.model.identity import Role
from controller.model.request import Submission
from controller.store.database import Database
from drivers.base import Gpu
from drivers.fake.world import forget
from scheduler.fleet import Fleet
from tests.controller.asking import ask, create, look, row_of, running, sound
from tests.controller.fixtures import PLENTY, ROOT, Cloud, make_cloud, submission
from tests.controller.stepping import Stepper
from tests.controller.test_admission import admitting, at_once, kinds

SHAPES: dict[str, dict[str, Any]] = {
    "quarter": {"gpus": 1, "gpu_milli": 250},
    "half": {"gpus": 1, "gpu_milli": 500, "gpu_model": "a100"},
    "one": {"gpus": 1},
    "two": {"gpus": 2},
    "near": {"numa_nodes": 1},
    "across": {"numa_nodes": 2, "cpu_baseline": "x86-64-v2"},
    "bound": {"gpus": 1, "gpu_milli": 250, "numa_nodes": 1},
}


@pytest.fixture
def cloud(database: Database, settings: Settings) -> Iterator[Cloud]:
    """Two hosts of two cells with six vCPUs each, and two GPUs that may be shared."""
    made = make_cloud(
        database, settings, hosts=2, vcpus=12, memory_mib=16_384, cells=2, gpus=2, gpu_model="a100", gpu_shared=1,
        cpu_baselines="x86-64-v1,x86-64-v2",
    )  # fmt: skip
    made.auto_approve(ROOT, PLENTY)
    for name, more in SHAPES.items():
        made.flavor(name, 2 if name == "across" else 1, 1024, 10, **more)
    made.flavor("broad", 5, 2048, 10, numa_nodes=1)
    made.flavor("four", 3, 4096, 40, gpus=1)
    yield made
    forget(made.uri)


def hand_in(cloud: Cloud, given: Submission) -> Outcome:
    (outcome,) = cloud.run(lambda conn: admit(conn, cloud.admission(), [given]))
    return outcome


def refused(outcome: Outcome) -> dict[str, int]:
    """The rules of a refusal for lack of room."""
    assert isinstance(outcome, errors.NoCapacity), outcome
    return {one["rule"]: one["excluded"] for one in outcome.details["rules"]}


def held(cloud: Cloud, id_: str) -> tuple[list[int], list[int]]:
    """What an instance holds of each GPU, and of each cell in vCPUs."""
    (row,) = cloud.rows("SELECT held_gpus, held_cell_vcpus FROM allocations WHERE id = CAST(:id AS uuid)", id=id_)
    return row["held_gpus"], row["held_cell_vcpus"]


def fleet_now(fleet: Fleet) -> dict[str, Any]:
    """All that a fleet says of its hosts, but for what is thought of lifetimes and when a row was read."""
    return {id_: replace(fleet.host(id_), emptying=(), generation=0) for id_ in fleet.rows}


def gpus_used(cloud: Cloud, path: str = ROOT) -> str:
    (row,) = cloud.rows(
        "SELECT sum(u.gpus + u.held_gpus) AS n FROM usage u JOIN projects p ON p.id = u.project_id WHERE p.path = :p", p=path
    )
    return f"{row['n']:f}"


# -- what is given out -----------------------------------------------------------------------------------------------------------


def test_shares_fill_gpus_exactly_and_the_next_one_is_told_why(cloud: Cloud) -> None:
    for _ in range(16):
        create(cloud, flavor="quarter")
    assert refused(hand_in(cloud, submission(cloud.admin, flavor="quarter"))) == {"gpus": 2}
    assert [row["used_devices"] for row in cloud.rows("SELECT used_devices FROM hosts")] == [[1000, 1000]] * 2
    assert gpus_used(cloud) == "4.000"
    Stepper(cloud).settle()
    sound(cloud)
    assert all(cloud.world.store.audit().milli(host, gpu.id) == 1000 for host, one in cloud.world.hosts.items() for gpu in one.devices)


def test_a_share_counts_in_quota_as_what_it_is(cloud: Cloud) -> None:
    path = cloud.project("health", gpus=1)
    for _ in range(3):
        create(cloud, project=path, flavor="quarter")
    over = hand_in(cloud, submission(cloud.admin, path, "half"))
    assert isinstance(over, errors.QuotaExceeded)
    (told,) = over.details["over"]
    assert (told["resource"], float(told["asked"]), float(told["used"]), float(told["free"])) == ("gpus", 0.5, 0.75, 0.25)
    create(cloud, project=path, flavor="quarter")
    assert isinstance(hand_in(cloud, submission(cloud.admin, path, "quarter")), errors.QuotaExceeded)
    sound(cloud)


@pytest.mark.parametrize(
    ("more", "rule"),
    [
        ({"gpus": 1, "gpu_model": "h100"}, "gpu_model"),
        ({"cpu_baseline": "x86-64-v3"}, "baseline"),
        ({"vcpus": 7, "numa_nodes": 1}, "cells"),
        ({"numa_nodes": 3, "vcpus": 3}, "cells"),
        ({"gpus": 3}, "gpus"),
    ],
)
def test_what_no_host_has_is_refused_by_its_rule(cloud: Cloud, more: dict[str, Any], rule: str) -> None:
    cloud.flavor("odd", **{"vcpus": 1, "memory_mib": 1024, "disk_gib": 10, **more})
    assert refused(hand_in(cloud, submission(cloud.admin, flavor="odd"))) == {rule: 2}


def test_whole_gpus_alone_are_had_where_they_are_not_shared(database: Database, settings: Settings) -> None:
    plain = make_cloud(database, settings, hosts=1, gpus=2, gpu_model="a100")
    plain.auto_approve(ROOT, PLENTY)
    plain.flavor("quarter", 1, 1024, 10, gpus=1, gpu_milli=250)
    plain.flavor("one", 1, 1024, 10, gpus=1)
    assert refused(hand_in(plain, submission(plain.admin, flavor="quarter"))) == {"gpu_share": 1}
    id_ = running(plain, flavor="one")
    assert sorted(held(plain, id_)[0]) in ([1000], [0, 1000])
    sound(plain)
    forget(plain.uri)


def test_a_cell_holds_what_it_has_and_a_guest_knows_its_cells(cloud: Cloud) -> None:
    broad = [running(cloud, flavor="broad") for _ in range(4)]
    assert Counter(tuple(held(cloud, id_)[1]) for id_ in broad) == {(5,): 2, (0, 5): 2}
    cloud.flavor("pair", 2, 1024, 10, numa_nodes=1)
    assert refused(hand_in(cloud, submission(cloud.admin, flavor="pair"))) == {"cells": 2}, "there are two free vCPUs, in two cells"
    across = running(cloud, flavor="across")
    assert held(cloud, across)[1] == [1, 1]
    assert cloud.world.records()[across].binding == "cpu:x86-64-v2 cells:0,1"
    sound(cloud)


# -- what becomes of it ----------------------------------------------------------------------------------------------------------


def test_what_was_held_is_what_is_built_and_what_is_gone_is_free(cloud: Cloud) -> None:
    path = cloud.project("health", auto={})
    approver, _ = cloud.user("li", ROOT, Role.APPROVER)
    waiting = hand_in(cloud, submission(cloud.admin, path, "bound"))
    assert isinstance(waiting, Accepted)
    before = cloud.rows("SELECT used_devices, used_cell_vcpus FROM hosts ORDER BY id")
    cloud.run(lambda conn: requests.approve(conn, cloud.env, approver, waiting.request["id"], None, None))
    assert cloud.rows("SELECT used_devices, used_cell_vcpus FROM hosts ORDER BY id") == before
    Stepper(cloud).settle()
    sound(cloud)
    (row,) = cloud.rows("SELECT id FROM instances")
    assert cloud.world.records()[row["id"]].binding.startswith("cells:")
    ask(cloud, "delete", row["id"])
    Stepper(cloud).settle()
    assert gpus_used(cloud) == "0.000"
    assert not any(any(row["used_devices"]) or any(row["used_cell_vcpus"]) for row in cloud.rows("SELECT * FROM hosts"))
    sound(cloud)


def test_a_resize_keeps_the_devices_and_cells_and_gives_back_at_its_end(cloud: Cloud) -> None:
    id_ = running(cloud, flavor="quarter")
    (device,) = [number for number, milli in enumerate(held(cloud, id_)[0]) if milli]
    for flavor, milli in (("half", 500), ("one", 1000), ("quarter", 250)):
        ask(cloud, "resize", id_, flavor)
        assert held(cloud, id_)[0][device] == max(milli, 1000 if flavor == "quarter" else 0), "until it is smaller, it holds both"
        Stepper(cloud).settle()
        assert held(cloud, id_)[0] == [0] * device + [milli]
        sound(cloud)
    ask(cloud, "resize", id_, "small")
    Stepper(cloud).settle()
    assert held(cloud, id_) == ([], [])
    ask(cloud, "resize", id_, "near")
    Stepper(cloud).settle()
    assert sum(held(cloud, id_)[1]) == 1
    ask(cloud, "resize", id_, "broad")
    Stepper(cloud).settle()
    assert sum(held(cloud, id_)[1]) == 5
    sound(cloud)
    with pytest.raises(errors.NoCapacity) as other:
        ask(cloud, "resize", id_, "across")
    assert [one["rule"] for one in other.value.details["rules"]] == ["cells"]


def test_a_resize_finds_no_room_on_a_gpu_that_others_share(cloud: Cloud) -> None:
    ids = [running(cloud, flavor="half") for _ in range(8)]
    with pytest.raises(errors.NoCapacity) as full:
        ask(cloud, "resize", ids[0], "one")
    assert [one["rule"] for one in full.value.details["rules"]] == ["gpus"]
    sound(cloud)


def test_who_preempts_gets_the_very_gpus_and_cells_and_never_more_than_there_is(cloud: Cloud) -> None:
    for _ in range(4):
        create(cloud, flavor="one", preemptible=True, priority="batch")
    Stepper(cloud).settle()
    cloud.policy(ROOT, may_preempt=True)
    outcome = hand_in(cloud, submission(cloud.admin, flavor="quarter", count=2, preempt=True))
    assert isinstance(outcome, Accepted), outcome
    sound(cloud)
    (gone,) = cloud.rows("SELECT a.held_gpus FROM instances i JOIN allocations a ON a.instance_id = i.id WHERE i.preempted_for IS NOT NULL")
    assert sum(gone["held_gpus"]) == 500, "what the newcomers do not lack stays with who goes"
    assert fleet_now(look(cloud, cloud.admission())) == fleet_now(look(cloud, cloud.admission()))
    Stepper(cloud).settle()
    sound(cloud)
    assert gpus_used(cloud) == "3.500"


def test_a_promise_is_of_the_devices_and_cells_that_are_left(cloud: Cloud) -> None:
    leaving = [create(cloud, flavor="four", term_days=5 + number, ends=True)[0] for number in range(4)]
    Stepper(cloud).settle()
    given = submission(cloud.admin, flavor="quarter", count=3)
    told = hand_in(cloud, given)
    assert isinstance(told, errors.NoCapacity)
    (start,) = [one["starts_at"] for one in told.details["changes"] if one["change"] == "later"]
    heirs = hand_in(cloud, replace(given, starts_at=datetime.fromisoformat(start)))
    assert isinstance(heirs, Accepted), heirs
    sound(cloud)
    first = held(cloud, leaving[0])[0]
    assert {tuple(held(cloud, id_)[0]) for id_ in heirs.request["instances"]} == {tuple(amount // 4 for amount in first)}
    cloud.rows("UPDATE instances SET term_ends_at = now(), term_due_at = now() WHERE id = CAST(:id AS uuid) RETURNING 1", id=leaving[0])
    assert cloud.run(lambda conn: terms.fall_due(conn, cloud.settings)) >= 1
    Stepper(cloud).settle()
    sound(cloud)
    assert gpus_used(cloud) == "3.750"


# -- hosts that change -----------------------------------------------------------------------------------------------------------


def look_again(cloud: Cloud) -> None:
    """The driver tells anew what there is."""
    opened = cloud.connections().open({"driver": "fake", "uri": cloud.uri, "options": {}}, "")
    inventory = opened.inventory()
    opened.close()

    def work(conn: Any) -> None:
        fleet_actions.discover(conn, cloud.env.new_id, fleet_actions.find_endpoint(conn, cloud.admin, "fake"), inventory)

    cloud.run(work)


def test_a_gpu_that_is_gone_keeps_its_place_and_takes_nothing(cloud: Cloud) -> None:
    name = next(iter(cloud.world.hosts))
    for one in cloud.world.hosts:
        if one != name:
            cloud.run(lambda conn, one=one: fleet_actions.cordon(conn, cloud.admin, one, True, None))
    first = running(cloud, flavor="one")
    (place,) = [number for number, milli in enumerate(held(cloud, first)[0]) if milli]
    before = cloud.world.hosts[name]
    rest = tuple(gpu for number, gpu in enumerate(before.devices) if number != 1 - place)
    cloud.world.hosts[name] = replace(before, gpus=2, devices=(Gpu("0000:ff:00.0", "a100", True), *rest))
    look_again(cloud)
    (row,) = cloud.rows("SELECT devices, gpus FROM hosts WHERE name = :name", name=name)
    assert [one["there"] for one in row["devices"]] == [number != 1 - place for number in range(3)]
    assert row["gpus"] == 2
    second = create(cloud, flavor="one")[0]
    assert held(cloud, second)[0] == [0, 0, 1000]
    assert refused(hand_in(cloud, submission(cloud.admin, flavor="quarter"))) == {"cordon": 1, "gpus": 1}
    Stepper(cloud).settle()
    sound(cloud)
    cloud.world.hosts[name] = replace(before, gpus=3, devices=(*before.devices, Gpu("0000:ff:00.0", "a100", True)))
    look_again(cloud)
    (row,) = cloud.rows("SELECT devices FROM hosts WHERE name = :name", name=name)
    assert row["devices"][1 - place]["there"]
    create(cloud, flavor="one")
    sound(cloud)


def test_a_host_of_several_models_gives_out_the_one_it_has_most_of(cloud: Cloud) -> None:
    for name, host in list(cloud.world.hosts.items()):
        more = (*host.devices, Gpu("0000:fe:00.0", "t4", True))
        cloud.world.hosts[name] = replace(host, gpus=3, devices=more)
    look_again(cloud)
    for _ in range(4):
        create(cloud, flavor="one")
    assert refused(hand_in(cloud, submission(cloud.admin, flavor="one"))) == {"gpus": 2}
    assert {note["code"] for row in cloud.rows("SELECT notes FROM hosts") for note in row["notes"]} == {"gpu_models_mixed"}
    sound(cloud)


def test_the_database_itself_refuses_to_give_a_gpu_out_beyond_what_it_is(cloud: Cloud) -> None:
    create(cloud, flavor="one", count=1)
    (row,) = cloud.rows("SELECT id, held_gpus FROM allocations")
    with pytest.raises(IntegrityError) as broken:
        cloud.rows("UPDATE allocations SET held_gpus = '{1001,1001}' WHERE id = CAST(:id AS uuid) RETURNING 1", id=row["id"])
    assert isinstance(broken.value.orig, psycopg.errors.CheckViolation)
    assert cloud.rows("SELECT held_gpus FROM allocations") == [{"held_gpus": row["held_gpus"]}]


# -- many at once, and again from nothing ----------------------------------------------------------------------------------------


def test_clients_of_two_controllers_fill_the_gpus_exactly_and_never_beyond(cloud: Cloud) -> None:
    given = [submission(cloud.admin, flavor="quarter" if number % 2 else "half") for number in range(24)]
    with admitting(cloud, 2) as both:
        first = at_once(both, given)
        rest = at_once(both, [submission(cloud.admin, flavor="quarter") for _ in range(16)])
    assert set(kinds([*first, *rest])) <= {"Accepted", "NoCapacity"}, kinds([*first, *rest])
    assert [row["used_devices"] for row in cloud.rows("SELECT used_devices FROM hosts")] == [[1000, 1000]] * 2
    assert gpus_used(cloud) == "4.000"
    sound(cloud)


@pytest.mark.parametrize("seed", range(4))
def test_a_fleet_read_anew_is_the_one_that_was_followed(cloud: Cloud, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311
    follower, admission = cloud.admission(), cloud.admission()
    for _ in range(40):
        live = [row["id"] for row in cloud.rows("SELECT id FROM instances WHERE goal <> 'gone' ORDER BY id")]
        what = dice.choice(["create", "create", "create", "delete", "resize", "settle"])
        if what == "create":
            given = submission(cloud.admin, flavor=dice.choice([*SHAPES, "broad", "small"]), count=dice.randint(1, 2))
            cloud.run(lambda conn, given=given: admit(conn, admission, [given]))
        elif what == "settle":
            Stepper(cloud).settle()
        elif live:
            try:
                ask(cloud, what, dice.choice(live), *([dice.choice([*SHAPES, "small"])] if what == "resize" else []))
            except errors.NoCapacity:
                continue
        sound(cloud)
        assert fleet_now(look(cloud, admission)) == fleet_now(look(cloud, follower)) == fleet_now(look(cloud, cloud.admission()))


def test_what_a_controller_claimed_in_memory_is_what_the_database_tells(cloud: Cloud) -> None:
    admission = cloud.admission()
    given = [submission(cloud.admin, flavor=flavor) for flavor in ("quarter", "bound", "two", "half", "near", "across", "one")]
    outcomes = cloud.run(lambda conn: admit(conn, admission, given))
    assert any(isinstance(one, Accepted) for one in outcomes)
    assert fleet_now(admission.view.fleet) == fleet_now(look(cloud, cloud.admission()))


def test_deleting_twice_frees_once(cloud: Cloud) -> None:
    id_ = running(cloud, flavor="bound")
    for _ in range(2):
        cloud.run(lambda conn: verbs.delete(conn, cloud.env, cloud.admin, id_, None))
    Stepper(cloud).settle()
    assert row_of(cloud, id_)["state"] == "deleted"
    sound(cloud)


def test_a_hold_that_is_moved_off_a_drained_host_has_devices_and_cells_of_the_new_one(cloud: Cloud) -> None:
    path = cloud.project("health", auto={})
    first = hand_in(cloud, submission(cloud.admin, path, "one", pool="general"))
    assert isinstance(first, Accepted)
    waiting = hand_in(cloud, submission(cloud.admin, path, "bound"))
    assert isinstance(waiting, Accepted)
    (row,) = cloud.rows("SELECT a.id, h.name FROM allocations a JOIN hosts h ON h.id = a.host_id WHERE a.gpu_milli = 250")
    other = next(name for name in cloud.world.hosts if name != row["name"])
    for _ in range(2):  # the first device and cell there are no longer the emptiest
        near = hand_in(cloud, submission(cloud.admin, path, "near"))
        assert isinstance(near, Accepted)
    cloud.run(lambda conn: relocating.drain(conn, cloud.env, cloud.admin, row["name"], None))
    assert {one["name"] for one in cloud.rows("SELECT h.name FROM allocations a JOIN hosts h ON h.id = a.host_id")} == {other}
    assert sum(held(cloud, row["id"])[0]) == 250
    assert sum(held(cloud, row["id"])[1]) == 1
    sound(cloud)
    approver, _ = cloud.user("li", ROOT, Role.APPROVER)
    cloud.run(lambda conn: requests.approve(conn, cloud.env, approver, waiting.request["id"], None, None))
    Stepper(cloud).settle()
    sound(cloud)
    assert fleet_now(look(cloud, cloud.admission())) == fleet_now(look(cloud, cloud.admission()))
