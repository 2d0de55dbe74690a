"""A silent host is fenced because somebody asked for it: its machine is switched off by its BMC, and proven off as ever."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from controller import errors
from controller.actions import fencing, fleet
from controller.actions import machines as bare
from controller.model import views
from controller.reconcile import switching
from controller.store import sql
from controller.store.fleet import host as host_row
from drivers.base import Health, HostPower
from drivers.errors import BmcUnreachable, MachineAtWork, PasswordRefused, PowerRefused
from drivers.fake.audit import live_twice
from drivers.fake.world import forget, world
from tests.controller import off as plant
from tests.controller.asking import ask, backend, create, row_of, sound, told
from tests.controller.fixtures import Cloud
from tests.controller.off import (
    VICTIM,
    Machine,
    Meddled,
    bmc,
    enrol_bmc,
    host_id,
    look_at_cluster,
    power,
    spread_pods,
    state,
    steps,
    there,
)
from tests.controller.stepping import Crash, Stepper
from tests.controller.test_fencing_faults import bring_back
from tests.controller.test_relocating import pods

cloud = plant.cloud  # the fixture


def wire(cloud: Cloud) -> Machine:
    """What the BMC does to the machine's power reaches what runs there."""
    machine = Machine(cloud, random.Random(0))  # noqa: S311  # no dice here
    bmc(cloud).wires[VICTIM] = lambda now: machine.boot() if now is HostPower.ON else machine.cut()
    return machine


def hang(cloud: Cloud, stepper: Stepper) -> tuple[list[str], list[str]]:
    """The cluster loses sight of a host on which containers run on."""
    ids, on_it = spread_pods(cloud)
    wire(cloud)
    cloud.world.describe(VICTIM, health=Health.SILENT)
    look_at_cluster(cloud, stepper)
    assert state(cloud) == "unreachable"
    return ids, on_it


def fence(cloud: Cloud, name: str | None = None) -> Any:
    return cloud.run(lambda conn: fencing.fence(conn, cloud.env, cloud.admin, name or host_id(cloud, VICTIM), None))


def metal(cloud: Cloud, name: str = "bmc") -> str:
    """The host that the machine is by its BMC."""
    return str(cloud.rows("SELECT h.id FROM hosts h JOIN endpoints e ON e.id = h.endpoint_id WHERE e.name = :name", name=name)[0]["id"])


def switch(cloud: Cloud, wanted: str) -> Any:
    return cloud.run(lambda conn: fencing.switch(conn, cloud.admin, metal(cloud), None, wanted))


def refused(what: Callable[[], Any]) -> errors.InvalidState:
    with pytest.raises(errors.InvalidState) as refusal:
        what()
    return refusal.value


def commands(cloud: Cloud, name: str = "bmc") -> int:
    return bmc(cloud, name).counts["switch_power"]


def why(cloud: Cloud) -> Any:
    (row,) = cloud.rows("SELECT reason FROM endpoints WHERE name = 'bmc'")
    return row["reason"] and row["reason"]["code"]


# -- a host that hangs -----------------------------------------------------------------------------------------------------------


def test_what_a_hanging_host_ran_runs_elsewhere_once_its_operators_have_it_fenced(cloud: Cloud) -> None:
    stepper = Stepper(cloud)
    ids, on_it = hang(cloud, stepper)
    assert fence(cloud)["power_wanted"] == "off"
    assert all(backend(cloud, id_).live for id_ in ids), "nothing is done by asking"
    stepper.look()
    stepper.look()
    assert state(cloud) == "fenced"
    stepper.settle()
    assert there(cloud, ids) == []
    assert all(cloud.world.boots(id_) == (2 if id_ in on_it else 1) and backend(cloud, id_).live for id_ in ids)
    sound(cloud)
    assert [kind for kind in told(cloud, host_id(cloud, VICTIM)) if "fence" in kind] == ["host.fence_asked", "host.fenced"]
    assert "machine.switched_off" in told(cloud, metal(cloud))
    assert cloud.rows("SELECT 1 FROM switching") == []
    done = commands(cloud)
    assert fence(cloud)["state"] == "fenced"
    stepper.look()
    assert commands(cloud) == done, "asked for again nothing is done again"


def test_asking_twice_is_asking_once_and_what_is_off_already_is_not_switched(cloud: Cloud) -> None:
    stepper = Stepper(cloud)
    hang(cloud, stepper)
    power(cloud, HostPower.OFF)  # and nobody has looked
    for _ in range(2):
        fence(cloud)
    assert told(cloud, host_id(cloud, VICTIM)).count("host.fence_asked") == 1
    stepper.look()
    stepper.look()
    assert state(cloud) == "fenced"


def test_a_host_that_answers_again_before_its_bmc_does_is_left_alone(cloud: Cloud) -> None:
    stepper = Stepper(cloud)
    ids, _ = hang(cloud, stepper)
    fence(cloud)
    bmc(cloud).silence()
    stepper.look()
    cloud.world.describe(VICTIM, health=Health.READY)
    stepper.look()
    assert state(cloud) == "up"
    bmc(cloud).unsilence()
    stepper.look()
    assert commands(cloud) == 1, "the one that found it silent"
    assert "host.spared" in told(cloud, metal(cloud))
    assert cloud.rows("SELECT 1 FROM switching") == []
    assert all(cloud.world.boots(id_) == 1 and backend(cloud, id_).live for id_ in ids)


@pytest.mark.parametrize("error", [BmcUnreachable(detail="gone"), PowerRefused(detail="self-test"), MachineAtWork(host="m")])
@pytest.mark.parametrize("after", [False, True])
def test_a_command_that_fails_or_whose_answer_is_lost_is_given_again(cloud: Cloud, error: Exception, after: bool) -> None:
    stepper = Stepper(cloud)
    ids, _ = hang(cloud, stepper)
    fence(cloud)
    bmc(cloud).fail_next("switch_power", error, after=after)
    stepper.look()
    if not after:
        assert (why(cloud), state(cloud)) == (error.reason.code, "unreachable")  # type: ignore[attr-defined]
        assert cloud.rows("SELECT state FROM hosts WHERE machine LIKE 'bmc %'") == [{"state": "up"}], "its BMC answers when it is looked at"
    stepper.look()
    stepper.look()
    assert (why(cloud), state(cloud)) == (None, "fenced")
    stepper.settle()
    assert there(cloud, ids) == []
    sound(cloud)


def test_a_bmc_that_takes_the_command_and_does_nothing_is_told_of_and_moves_nothing(cloud: Cloud) -> None:
    stepper = Stepper(cloud)
    ids, on_it = hang(cloud, stepper)
    bmc(cloud).stuck.add(VICTIM)
    fence(cloud)
    stepper.look()
    assert why(cloud) is None, "it may need some seconds"
    late = "UPDATE switching SET asked_at = asked_at - make_interval(secs => :late)"
    cloud.run(lambda conn: sql.run(conn, late, late=switching.PATIENCE_S + 1))
    stepper.look()
    stepper.settle()
    assert (why(cloud), state(cloud), there(cloud, ids)) == ("power_unchanged", "unreachable", on_it)
    assert fence(cloud)["power_wanted"] == "off", "asking again is no mistake"
    bmc(cloud).stuck.clear()
    stepper.look()
    stepper.look()
    assert (why(cloud), state(cloud)) == (None, "fenced")


def test_a_crash_anywhere_between_the_asking_and_the_proof_loses_nothing_and_starts_nothing_twice(cloud: Cloud) -> None:
    fatal = 0
    while True:
        fatal += 1
        (id_,) = _alone_on_victim(cloud)
        wire(cloud)
        cloud.world.describe(VICTIM, health=Health.SILENT)
        look_at_cluster(cloud, Stepper(cloud))
        fence(cloud)
        dying = Stepper(cloud, fatal)
        with suppress(Crash):
            dying.look()
            dying.look()
        after = Stepper(cloud)
        for _ in range(3):
            after.look()
        after.settle()
        assert state(cloud) == "fenced", dying.points.passed
        assert (row_of(cloud, id_)["host"], backend(cloud, id_).live, cloud.world.boots(id_)) == ("host-0002", True, 2)
        assert not live_twice(cloud.world.history(id_))
        sound(cloud)
        ask(cloud, "delete", id_)
        after.settle()
        switch(cloud, "on")
        cloud.world.describe(VICTIM, health=Health.READY)
        for _ in range(2):
            after.look()
        if len(dying.points.passed) < fatal:
            break
    assert fatal > 20


def _alone_on_victim(cloud: Cloud) -> list[str]:
    cloud.run(lambda conn: fleet.cordon(conn, cloud.admin, host_id(cloud, "host-0002"), True, None))
    ids = pods(cloud, 1)
    cloud.run(lambda conn: fleet.cordon(conn, cloud.admin, host_id(cloud, "host-0002"), False, None))
    assert there(cloud, ids) == ids
    return ids


@pytest.mark.parametrize("seed", range(2))
def test_whatever_becomes_of_the_machine_while_it_is_fenced_and_switched_on_nothing_runs_twice(cloud: Cloud, seed: int) -> None:
    ids, _ = spread_pods(cloud)
    machine, dice = wire(cloud), random.Random(seed)  # noqa: S311  # histories that a seed repeats
    machine.dice = dice
    asked = 0
    for _ in range(10):
        stepper = Stepper(cloud)
        stepper.points = Meddled(meddle=lambda _: machine.meddle(0.05))
        for _ in range(6):
            machine.meddle(0.4)
            with suppress(errors.InvalidState):
                fence(cloud) if dice.random() < 0.5 else switch(cloud, "on")
                asked += 1
            stepper.look()
            steps(cloud, stepper, 2)
            assert cloud.world.violations == []
        machine.heal()
        after = Stepper(cloud)
        for _ in range(3):
            after.look()
        machine.heal()
        after.look()
        after.settle()
        assert all(backend(cloud, id_).live and row_of(cloud, id_)["condition"] == "running" for id_ in ids)
        assert not any(live_twice(cloud.world.history(id_)) for id_ in ids)
        sound(cloud)
        bring_back(cloud, ids)
    assert asked > 5, "the dice never led to what is tested"
    assert commands(cloud) > 0


def test_two_controllers_that_look_at_the_same_moment_do_no_harm(cloud: Cloud) -> None:
    stepper = Stepper(cloud)
    ids, on_it = hang(cloud, stepper)
    fence(cloud)
    other = Stepper(cloud)
    looks = iter(range(3))

    def meddle(where: str) -> None:
        if where == "before switch_power" and next(looks, None) is not None:
            other.look()

    stepper.points = Meddled(meddle=meddle)
    for _ in range(2):
        stepper.look()
    stepper.points = Meddled()
    stepper.look()
    stepper.settle()
    assert (state(cloud), there(cloud, ids)) == ("fenced", [])
    assert all(cloud.world.boots(id_) == 2 for id_ in on_it)
    assert told(cloud, metal(cloud)).count("machine.switched_off") == 1
    sound(cloud)


def test_a_host_whose_endpoint_does_not_answer_at_all_is_fenced_too_and_what_stays_with_its_disk_stays(cloud: Cloud) -> None:
    """As of a hypervisor: it is all that its endpoint has."""
    cloud.run(lambda conn: fleet.cordon(conn, cloud.admin, host_id(cloud, "host-0002"), True, None))
    (machine,) = create(cloud)
    stepper = Stepper(cloud)
    stepper.settle()
    wire(cloud)
    cloud.world.silence()
    stepper.look()
    assert state(cloud) == "unreachable"
    fence(cloud)
    stepper.look()
    stepper.look()
    assert state(cloud) == "fenced"
    shown = views.instance(row_of(cloud, machine), views.Reader("en", fleet=True))
    assert (shown["host"], shown["condition"], shown["reason"]["code"]) == (VICTIM, "unknown", "host_off")
    switch(cloud, "on")
    stepper.look()
    stepper.look()
    assert state(cloud) == "unreachable", "on again it may run something"
    cloud.world.unsilence()
    cloud.world.describe(VICTIM, health=Health.READY)
    stepper.look()
    stepper.settle()
    assert (state(cloud), row_of(cloud, machine)["host"]) == ("up", VICTIM)
    sound(cloud)


# -- what is refused -------------------------------------------------------------------------------------------------------------


def test_a_host_that_answers_is_not_cut_off(cloud: Cloud) -> None:
    assert refused(lambda: fence(cloud)).text == "host_answers"
    assert cloud.rows("SELECT 1 FROM switching") == []


def test_who_can_not_be_fenced_is_told_why(cloud: Cloud) -> None:
    stepper = Stepper(cloud)
    hang(cloud, stepper)
    assert refused(lambda: fence(cloud, metal(cloud))).text == "fence_machine"
    cloud.world.describe("host-0002", health=Health.SILENT)
    stepper.look()
    assert refused(lambda: fence(cloud, host_id(cloud, "host-0002"))).text == "bmc_unknown"
    assert cloud.rows("SELECT 1 FROM switching") == []


@pytest.mark.parametrize(("trouble", "code"), [("password", "bmc_password_refused"), ("silence", "host_unreachable")])
def test_a_bmc_that_can_not_be_asked_is_told_of_before_anything_is_wanted_of_it(cloud: Cloud, trouble: str, code: str) -> None:
    stepper = Stepper(cloud)
    hang(cloud, stepper)
    if trouble == "password":
        bmc(cloud).fail_next("inventory", PasswordRefused(detail="401"), times=9)
    else:
        bmc(cloud).silence()
    stepper.look()
    refusal = refused(lambda: fence(cloud))
    assert (refusal.text, refusal.params["endpoint"], refusal.params["why"]) == ("bmc_troubled", "bmc", code)
    assert cloud.rows("SELECT 1 FROM switching") == []


def test_a_machine_that_two_bmcs_claim_is_not_switched_off(cloud: Cloud) -> None:
    enrol_bmc(cloud, "second", machine="5ca1ab1e-0000-4000-8000-00000badbeef")
    bmc(cloud, "second").describe(VICTIM, machine=f"bmc {plant.MACHINE}")
    stepper = Stepper(cloud)
    stepper.look()
    hang(cloud, stepper)
    assert refused(lambda: fence(cloud)).text == "machine_claimed_twice"


def test_of_a_host_that_is_retired_nothing_is_wanted_any_more(cloud: Cloud) -> None:
    wire(cloud)
    stepper = Stepper(cloud)
    cloud.world.describe(VICTIM, health=Health.SILENT)
    stepper.look()
    fence(cloud)
    cloud.run(lambda conn: fleet.retire(conn, cloud.admin, host_id(cloud, VICTIM), None))
    stepper.look()
    assert (commands(cloud), cloud.rows("SELECT 1 FROM switching")) == (0, [])


def test_a_retired_host_is_not_fenced(cloud: Cloud) -> None:
    cloud.run(lambda conn: fleet.retire(conn, cloud.admin, host_id(cloud, VICTIM), None))
    assert refused(lambda: fence(cloud)).text == "host_retired"


# -- machines --------------------------------------------------------------------------------------------------------------------


def test_a_machine_is_switched_off_and_on_and_the_last_word_counts(cloud: Cloud) -> None:
    stepper = Stepper(cloud)
    for wanted in ("off", "on", "on"):
        switch(cloud, wanted)
        stepper.look()
        assert cloud.rows("SELECT power_seen FROM hosts WHERE machine LIKE 'bmc %'") == [{"power_seen": wanted}]
    switch(cloud, "off")
    assert switch(cloud, "on")["power_wanted"] == "on"
    stepper.look()
    assert cloud.rows("SELECT power_seen FROM hosts WHERE machine LIKE 'bmc %'") == [{"power_seen": "on"}]
    kinds = [kind for kind in told(cloud, metal(cloud)) if kind.startswith("machine.")]
    once = ["machine.off_asked", "machine.switched_off", "machine.on_asked", "machine.switched_on"]
    assert kinds == [*once, "machine.on_asked", "machine.switched_on", "machine.off_asked", "machine.on_asked", "machine.switched_on"]


def test_a_machine_is_not_switched_off_under_a_host_that_has_something_on_it(cloud: Cloud) -> None:
    spread_pods(cloud)
    refusal = refused(lambda: switch(cloud, "off"))
    assert (refusal.text, refusal.params["host"]) == ("machine_runs_host", VICTIM)
    switch(cloud, "on")


@pytest.mark.parametrize("what", ["inspect", "wipe"])
def test_a_machine_that_is_another_endpoints_host_is_neither_inspected_nor_wiped_nor_given_out(cloud: Cloud, what: str) -> None:
    def asked() -> Any:
        return cloud.run(lambda conn: bare.ask(conn, cloud.admin, metal(cloud), None, what))

    def closed() -> Any:
        row = cloud.run(lambda conn: host_row(conn, metal(cloud)))
        assert row is not None
        return row["closed"]

    refusal = refused(asked)
    assert (refusal.text, refusal.params["host"]) == ("machine_in_use", VICTIM)
    assert closed() == {"code": "machine_in_use", "params": {"host": VICTIM}}
    cloud.run(lambda conn: fleet.retire(conn, cloud.admin, host_id(cloud, VICTIM), None))
    asked()
    Stepper(cloud).look()
    assert closed()["code"] == "machine_only_seen"


def test_a_machine_is_closed_at_the_very_moment_at_which_a_host_on_it_is_enrolled(cloud: Cloud) -> None:
    enrol_bmc(cloud, "second", machine="5ca1ab1e-0000-4000-8000-00000badbeef")
    bmc(cloud, "second").describe(VICTIM, closed=None)
    Stepper(cloud).look()
    assert cloud.rows("SELECT closed FROM hosts WHERE machine LIKE '%badbeef'") == [{"closed": None}]
    uri = f"{cloud.uri}-third"
    world(f"{uri}?hosts=1").describe(VICTIM, machine="5ca1ab1e-0000-4000-8000-00000badbeef")
    cloud.enrol("third", uri, "general")
    assert cloud.rows("SELECT closed->>'code' AS why FROM hosts WHERE machine LIKE 'bmc %badbeef'") == [{"why": "machine_in_use"}]
    forget(uri)
