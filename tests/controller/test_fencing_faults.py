"""Whatever becomes of a machine, its BMC or the controller while it is found out that it is off, nothing runs twice and nothing is lost."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from controller.actions import fleet as actions
from controller.actions import relocating
from drivers.base import Health, HostPower
from drivers.fake.audit import live_twice
from tests.controller import off as plant
from tests.controller.asking import ask, backend, nothing_left, row_of, sound
from tests.controller.fixtures import Cloud
from tests.controller.off import VICTIM, Machine, Meddled, host_id, look_at_cluster, lose, power, spread_pods, state, steps, there
from tests.controller.stepping import Crash, Stepper

cloud = plant.cloud  # the fixture


@pytest.mark.parametrize("when", ["after inventory", "before release", "after release", "before ensure"])
def test_switched_on_at_the_worst_moment_it_starts_nothing_that_is_made_elsewhere(cloud: Cloud, when: str) -> None:
    ids, on_it = spread_pods(cloud)
    lose(cloud)
    stepper, machine = Stepper(cloud), Machine(cloud, random.Random(0), on=False)  # noqa: S311  # no dice here
    stepper.look()
    moments: list[str] = []

    def meddle(where: str) -> None:
        if where == when and not machine.on:
            moments.append(where)
            machine.boot()

    stepper.points = Meddled(meddle=meddle)
    steps(cloud, stepper)
    assert moments == [when]
    machine.be_seen()
    stepper.look()
    stepper.settle()
    assert all(cloud.world.records()[id_].host == "host-0002" and backend(cloud, id_).live for id_ in on_it)
    assert not any(live_twice(cloud.world.history(id_)) for id_ in ids)
    sound(cloud)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_becomes_of_the_machine_between_any_two_steps_nothing_runs_twice(cloud: Cloud, seed: int) -> None:
    ids, _ = spread_pods(cloud)
    machine = Machine(cloud, random.Random(seed))  # noqa: S311  # histories that a seed repeats
    for _ in range(12):
        stepper = Stepper(cloud)
        stepper.points = Meddled(meddle=lambda _: machine.meddle(0.08))
        for _ in range(8):
            machine.meddle(0.5)
            look_at_cluster(cloud, stepper)
            steps(cloud, stepper, 2)
            assert cloud.world.violations == []
        machine.heal()
        after = Stepper(cloud)
        after.look()
        after.look()
        after.settle()
        assert all(backend(cloud, id_).live and row_of(cloud, id_)["condition"] == "running" for id_ in ids)
        assert not any(live_twice(cloud.world.history(id_)) for id_ in ids)
        sound(cloud)
        assert (state(cloud), state(cloud, "host-0002")) == ("up", "up")
        bring_back(cloud, ids)
    assert cloud.world.counts["release"] > 0, "the dice never led to what is tested"


def bring_back(cloud: Cloud, ids: list[str]) -> None:
    """Half of them on the victim again, so that there is something to lose."""
    if not there(cloud, ids):
        row = cloud.run(lambda conn: relocating.drain(conn, cloud.env, cloud.admin, host_id(cloud, "host-0002"), None))
        Stepper(cloud).settle()
        cloud.run(lambda conn: actions.cordon(conn, cloud.admin, row["id"], False, None))


def test_a_crash_anywhere_while_a_machine_is_proven_off_starts_nothing_twice_and_loses_nothing(cloud: Cloud) -> None:
    fatal = 0
    while True:
        fatal += 1
        ids, on_it = spread_pods(cloud)
        lose(cloud)
        dying = Stepper(cloud, fatal)
        with suppress(Crash):
            dying.look()
            dying.settle()
        after = Stepper(cloud)
        after.look()
        after.look()
        after.settle()
        assert all(row_of(cloud, id_)["condition"] == "running" and backend(cloud, id_).live for id_ in ids), dying.points.passed
        assert there(cloud, ids) == []
        assert all(cloud.world.boots(id_) == 2 for id_ in on_it)
        sound(cloud)
        for id_ in ids:
            ask(cloud, "delete", id_)
        cloud.world.describe(VICTIM, health=Health.READY)
        power(cloud, HostPower.ON)
        after.look()
        after.settle()
        nothing_left(cloud)
        if len(dying.points.passed) < fatal:
            break
    assert fatal > 10
