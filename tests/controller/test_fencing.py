"""A host that its backend lost sight of is fenced when its machine's BMC says now that it is off: then, and only then, is it evacuated."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model import fencing, views
from controller.reconcile.fencing import Fencing
from controller.store import events, fleet
from drivers.base import Health, HostInventory, HostPower, Inventory
from drivers.errors import BmcUnreachable
from drivers.fake.world import forget, world
from tests.controller import off as plant
from tests.controller.asking import ask, backend, create, row_of, sound, told
from tests.controller.fixtures import Cloud
from tests.controller.off import (
    MACHINE,
    VICTIM,
    bmc,
    bmc_uri,
    enrol_bmc,
    host_id,
    look_at_cluster,
    lose,
    power,
    spread_pods,
    state,
    steps,
    there,
)
from tests.controller.stepping import Stepper

cloud = plant.cloud  # the fixture


# -- the decision ----------------------------------------------------------------------------------------------------------------


def host(name: str, **fields: Any) -> HostInventory:
    return HostInventory(name, "x86_64", 8, 16384, 200, **fields)


def says(*machines: tuple[str, HostPower]) -> Inventory:
    return Inventory(tuple(host(f"m{i}", machine=machine, power=is_) for i, (machine, is_) in enumerate(machines)))


@pytest.mark.parametrize(
    ("answer", "off"),
    [
        (says(("bmc a", HostPower.OFF)), True),
        (says(("bmc a", HostPower.ON)), False),
        (says(("bmc a", HostPower.UNKNOWN)), False),
        (says(("bmc b", HostPower.OFF)), False),
        (says(("bmc a", HostPower.OFF), ("bmc a", HostPower.OFF)), False),
        (says(("bmc a", HostPower.ON), ("bmc b", HostPower.OFF)), False),
        (says(("", HostPower.OFF)), False),
        (says(), False),
        (None, False),
    ],
    ids=["off", "on", "changing", "another machine", "twice", "only another is off", "nameless", "none", "no answer"],
)
def test_only_a_bmc_that_says_off_of_this_very_machine_proves_anything(answer: Inventory | None, off: bool) -> None:
    assert fencing.says_off(answer, "bmc a") is off


PROOF = fencing.proof("bmc-1", datetime(2026, 5, 4, 3, 2, 1, 999, UTC))
hosts_of = st.lists(st.tuples(st.sampled_from(Health), st.sampled_from(["", "m"]), st.booleans()), max_size=6)


@given(hosts_of)
def test_proof_fences_the_silent_and_changes_nothing_else(shape: list[tuple[Health, str, bool]]) -> None:
    found = Inventory(tuple(host(f"n{i}", health=health, machine=machine) for i, (health, machine, _) in enumerate(shape)), complete=True)
    proofs = {f"n{i}": PROOF for i, (_, _, proven) in enumerate(shape) if proven}
    judged = fencing.judged(found, proofs)
    assert judged.complete
    for before, after in zip(found.hosts, judged.hosts, strict=True):
        if before.health is Health.SILENT and before.name in proofs:
            assert (after.health, after.notes) == (Health.FENCED, (PROOF,))
        else:
            assert after == before
    assert fencing.silent(found) == [one.name for one in found.hosts if one.health is Health.SILENT and one.machine]


# -- what follows from it --------------------------------------------------------------------------------------------------------


def test_what_a_silent_host_ran_runs_elsewhere_once_its_machine_is_proven_off(cloud: Cloud) -> None:
    ids, on_it = spread_pods(cloud)
    lose(cloud)
    stepper = Stepper(cloud)
    stepper.look()
    assert state(cloud) == "fenced"
    stepper.settle()
    assert there(cloud, ids) == []
    for id_ in ids:
        assert (row_of(cloud, id_)["condition"], backend(cloud, id_).live) == ("running", True)
        assert cloud.world.boots(id_) == (2 if id_ in on_it else 1)
        assert ("instance.evacuated" in told(cloud, id_)) == (id_ in on_it)
    sound(cloud)
    stepper.look()
    assert stepper.once() == 0, "and that is all"


def test_operators_see_who_says_so_and_since_when(cloud: Cloud) -> None:
    lose(cloud)
    stepper = Stepper(cloud)
    stepper.look()

    def seen(lang: str) -> tuple[Any, str]:
        row = cloud.run(lambda conn: fleet.host(conn, host_id(cloud, VICTIM)))
        assert row is not None
        (fact,) = [one for one in cloud.run(lambda conn: events.latest(conn, None, row["id"], 50)) if one["kind"] == "host.fenced"]
        reader = views.Reader(lang, fleet=True)
        return views.host(row, reader)["reason"], views.event(fact, {}, reader)["text"]

    (reason, text), (zh_reason, zh_text) = seen("en"), seen("zh")
    assert reason["code"] == "machine_off"
    assert reason["text"].startswith("Its machine is off, seen at 20")
    assert reason["text"].endswith("Z through the BMC endpoint: bmc.")
    assert reason["text"] in text
    assert zh_reason["text"].startswith("其服务器已关机（20")
    assert zh_reason["text"].endswith("，BMC 接入点：bmc。")
    assert zh_reason["text"] in zh_text
    time.sleep(1.1)
    before = cloud.rows("SELECT generation FROM hosts")
    stepper.look()
    assert seen("en")[0] == reason, "the first time stands"
    assert cloud.rows("SELECT generation FROM hosts") == before, "and nothing is written again"


@pytest.mark.parametrize("now", [HostPower.ON, HostPower.UNKNOWN])
def test_a_machine_that_is_not_off_may_still_run_all_of_it(cloud: Cloud, now: HostPower) -> None:
    ids, on_it = spread_pods(cloud)
    cloud.world.describe(VICTIM, health=Health.SILENT)
    power(cloud, now)
    stepper = Stepper(cloud)
    for _ in range(2):
        stepper.look()
        stepper.settle()
    assert (state(cloud), there(cloud, ids)) == ("unreachable", on_it)
    assert all(cloud.world.boots(id_) == 1 for id_ in ids)


def test_a_host_that_answers_is_not_fenced_by_any_bmc(cloud: Cloud) -> None:
    power(cloud, HostPower.OFF)
    Stepper(cloud).look()
    assert state(cloud) == "up"


def test_what_a_bmc_said_before_is_no_proof(cloud: Cloud) -> None:
    ids, on_it = spread_pods(cloud)
    power(cloud, HostPower.OFF)
    stepper = Stepper(cloud)
    stepper.look()
    assert cloud.rows("SELECT power_seen FROM hosts WHERE machine LIKE 'bmc %'") == [{"power_seen": "off"}]
    power(cloud, HostPower.ON)  # and nobody has looked since
    cloud.world.describe(VICTIM, health=Health.SILENT)
    look_at_cluster(cloud, stepper)
    stepper.settle()
    assert (state(cloud), there(cloud, ids)) == ("unreachable", on_it)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_bmc_that_does_not_answer_proves_nothing(cloud: Cloud, recorded: bool) -> None:
    lose(cloud)
    stepper = Stepper(cloud)
    bmc(cloud).silence()
    if recorded:
        stepper.look()
        assert cloud.rows("SELECT state FROM endpoints WHERE name = 'bmc'") == [{"state": "unreachable"}]
    asked = bmc(cloud).counts.total()
    look_at_cluster(cloud, stepper)
    assert state(cloud) == "unreachable"
    assert (bmc(cloud).counts.total() == asked) is recorded, "where that is known nobody waits for it"
    bmc(cloud).unsilence()
    stepper.look()
    stepper.look()
    assert state(cloud) == "fenced"


def test_a_machine_that_two_hosts_claim_is_nobodys(cloud: Cloud) -> None:
    uri = f"{cloud.uri}-other"
    world(f"{uri}?hosts=1&kinds=container").describe(VICTIM, machine="", health=Health.READY)
    cloud.enrol("other", uri, "general")
    world(uri).describe(VICTIM, machine=MACHINE)  # as a board from the same vendor would, that is looked at later
    stepper = Stepper(cloud)
    stepper.look()
    lose(cloud)
    stepper.look()
    assert state(cloud) == "unreachable"
    forget(uri)


def test_a_machine_that_two_bmcs_claim_is_nobodys(cloud: Cloud) -> None:
    enrol_bmc(cloud, "second", machine="5ca1ab1e-0000-4000-8000-00000badbeef")
    bmc(cloud, "second").describe(VICTIM, machine=f"bmc {MACHINE}")
    stepper = Stepper(cloud)
    stepper.look()
    lose(cloud)
    stepper.look()
    assert state(cloud) == "unreachable"
    forget(bmc_uri(cloud, "second"))


def test_a_machine_that_is_on_again_is_fenced_no_more_and_what_was_not_moved_stays(cloud: Cloud) -> None:
    (machine,) = create_machine_on_victim(cloud)
    lose(cloud)
    stepper = Stepper(cloud)
    stepper.look()
    assert state(cloud) == "fenced"
    power(cloud, HostPower.ON)
    stepper.look()
    assert state(cloud) == "unreachable"
    cloud.world.describe(VICTIM, health=Health.READY)
    stepper.look()
    assert state(cloud) == "up"
    stepper.settle()
    assert row_of(cloud, machine)["host"] == VICTIM, "a machine stays with its disk"
    sound(cloud)


def create_machine_on_victim(cloud: Cloud) -> list[str]:
    cloud.run(lambda conn: fleet.set_host(conn, host_id(cloud, "host-0002"), None, cordoned=True))
    made = create(cloud)
    Stepper(cloud).settle()
    cloud.run(lambda conn: fleet.set_host(conn, host_id(cloud, "host-0002"), None, cordoned=False))
    return made


def test_switched_on_between_the_look_and_the_pass_nothing_is_released_until_its_own_host_ends_it(cloud: Cloud) -> None:
    ids, on_it = spread_pods(cloud)
    lose(cloud)
    stepper = Stepper(cloud)
    stepper.look()
    assert there(cloud, ids) == [], "the ledger has moved them"
    power(cloud, HostPower.ON)  # somebody pushes the button; the backend still does not see the host
    for id_ in on_it:
        cloud.world.start(id_)  # and its agent starts all that it was not yet told to end
    steps(cloud, stepper)
    assert cloud.world.leaving == set(on_it)
    assert all(cloud.world.records()[id_].host == VICTIM for id_ in on_it), "not made anew, as it may run there"
    assert "release" not in {verb for verb, _ in cloud.world.calls}
    stepper.look()
    steps(cloud, stepper)
    assert "release" not in {verb for verb, _ in cloud.world.calls}
    cloud.world.describe(VICTIM, health=Health.READY)
    stepper.look()
    stepper.settle()
    for id_ in on_it:
        assert (cloud.world.records()[id_].host, backend(cloud, id_).live) == ("host-0002", True)
    sound(cloud)


def test_off_again_what_was_held_back_goes_on(cloud: Cloud) -> None:
    _, on_it = spread_pods(cloud)
    lose(cloud)
    stepper = Stepper(cloud)
    stepper.look()
    power(cloud, HostPower.ON)
    steps(cloud, stepper)
    power(cloud, HostPower.OFF)
    stepper.look()
    stepper.settle()
    assert all(cloud.world.records()[id_].host == "host-0002" for id_ in on_it)
    sound(cloud)


def test_what_is_to_be_gone_leaves_a_machine_that_is_off(cloud: Cloud) -> None:
    _, on_it = spread_pods(cloud)
    cloud.run(lambda conn: fleet.set_host(conn, host_id(cloud, "host-0002"), None, cordoned=True))
    lose(cloud)
    stepper = Stepper(cloud)
    stepper.look()
    for id_ in on_it:
        ask(cloud, "delete", id_)
    steps(cloud, stepper)
    assert {row_of(cloud, id_)["state"] for id_ in on_it} == {"deleted"}
    sound(cloud)


def test_an_answer_counts_only_for_who_asked_before_it_was_asked_for(cloud: Cloud) -> None:
    lose(cloud)
    Stepper(cloud).look()
    asking, endpoint = Fencing(cloud.database, cloud.connections()), fake_id(cloud)
    bmc(cloud).set(latency_s=0.6)
    found: dict[str, bool] = {}

    def one(name: str) -> threading.Thread:
        thread = threading.Thread(target=lambda: found.update({name: asking.off(endpoint, VICTIM)}))
        thread.start()
        return thread

    before = bmc(cloud).counts["inventory"]
    first = one("first")
    time.sleep(0.2)  # it is being asked: what it answers may be older than who comes now
    later = [one(f"later {i}") for i in range(5)]
    time.sleep(0.1)
    for thread in (first, *later):
        thread.join()
    assert set(found.values()) == {True}
    assert bmc(cloud).counts["inventory"] - before == 2, "one question for the first, and one for all that came while it was asked"


def test_a_question_that_fails_is_no_answer_for_anybody(cloud: Cloud) -> None:
    lose(cloud)
    Stepper(cloud).look()
    asking, endpoint = Fencing(cloud.database, cloud.connections()), fake_id(cloud)
    assert asking.off(endpoint, VICTIM)
    bmc(cloud).fail_next("inventory", BmcUnreachable(detail="gone"))
    assert not asking.off(endpoint, VICTIM)
    assert asking.off(endpoint, VICTIM)
    assert not asking.off(endpoint, "host-0002")
    power(cloud, HostPower.ON)
    assert not asking.off(endpoint, VICTIM)


def fake_id(cloud: Cloud) -> str:
    return str(cloud.rows("SELECT id FROM endpoints WHERE name = 'fake'")[0]["id"])
