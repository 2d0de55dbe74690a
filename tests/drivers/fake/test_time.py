"""What takes a while in the fake, on a clock that the test turns."""

from collections.abc import Callable
from dataclasses import replace

from drivers.base import Condition, InstanceSpec, Observation, Power
from drivers.fake.driver import FakeDriver
from drivers.fake.world import World

Make = Callable[..., World]
Spec = Callable[..., InstanceSpec]
Connect = Callable[..., FakeDriver]


def saw(seen: Observation) -> tuple[Condition, int | None]:
    return seen.condition, seen.generation


def test_a_build_is_busy_for_build_s_and_then_stamps_by_itself(make_world: Make, connect: Connect, make_spec: Spec, clock) -> None:
    there = make_world(build_s=10)
    driver, spec = connect(there), make_spec(generation=3)
    driver.ensure(spec)
    assert saw(driver.observe(spec.instance_id)) == (Condition.BUSY, None)
    clock.pass_s(9.9)
    driver.ensure(spec)
    assert saw(driver.observe(spec.instance_id)) == (Condition.BUSY, None)
    assert driver.console_log(spec.instance_id, 1000) == b""
    clock.pass_s(0.1)
    assert saw(driver.observe(spec.instance_id)) == (Condition.RUNNING, 3)
    assert driver.observe(spec.instance_id).addresses == driver.observe(spec.instance_id).addresses != ()
    assert there.boots(spec.instance_id) == 1


def test_a_polite_stop_is_busy_for_stop_s_and_stamped_by_the_next_ensure(
    make_world: Make, connect: Connect, make_spec: Spec, clock
) -> None:
    driver, spec = connect(make_world(stop_s=5)), make_spec()
    driver.ensure(spec)
    stop = replace(spec, generation=2, power=Power.STOPPED)
    driver.ensure(stop)
    assert saw(driver.observe(spec.instance_id)) == (Condition.BUSY, 1)
    clock.pass_s(5)
    assert saw(driver.observe(spec.instance_id)) == (Condition.STOPPED, 1)
    driver.ensure(stop)
    assert saw(driver.observe(spec.instance_id)) == (Condition.STOPPED, 2)


def test_a_forced_stop_cuts_a_polite_one_short(make_world: Make, connect: Connect, make_spec: Spec) -> None:
    driver, spec = connect(make_world(stop_s=5)), make_spec()
    driver.ensure(spec)
    stop = replace(spec, generation=2, power=Power.STOPPED)
    driver.ensure(stop)
    driver.ensure(replace(stop, force=True))
    assert saw(driver.observe(spec.instance_id)) == (Condition.STOPPED, 2)


def test_a_guest_that_ignores_shutdown_runs_at_its_old_generation_until_forced(make_world: Make, connect: Connect, make_spec: Spec) -> None:
    there = make_world(ignores_shutdown=1)
    driver, spec = connect(there), make_spec()
    driver.ensure(spec)
    for changed in ({"power": Power.STOPPED}, {"reboots": 1}, {"vcpus": 4}, {"build": 2}):
        asked = replace(spec, **changed, generation=spec.generation + 1)
        driver.ensure(asked)
        assert saw(driver.observe(spec.instance_id)) == (Condition.RUNNING, spec.generation)
        spec = replace(asked, force=True)
        driver.ensure(spec)
        assert saw(driver.observe(spec.instance_id)) == (Condition(spec.power.value), spec.generation)
        spec = replace(spec, power=Power.RUNNING, generation=spec.generation + 1, force=False)
        driver.ensure(spec)
    assert there.violations == []


def test_a_polite_reboot_interrupted_at_every_moment_boots_once(make_world: Make, connect: Connect, make_spec: Spec, clock) -> None:
    there = make_world(stop_s=5)
    spec = make_spec()
    connect(there).ensure(spec)
    reboot = replace(spec, generation=2, reboots=1)
    for _ in range(12):
        connect(there).ensure(reboot)  # each from a controller that has just started
        clock.pass_s(1)
    assert saw(connect(there).observe(spec.instance_id)) == (Condition.RUNNING, 2)
    assert there.boots(spec.instance_id) == 2


def test_a_newer_spec_waits_for_a_build_under_way(make_world: Make, connect: Connect, make_spec: Spec, clock) -> None:
    driver, spec = connect(make_world(build_s=10)), make_spec()
    driver.ensure(spec)
    newer = replace(spec, generation=2, vcpus=8)
    driver.ensure(newer)
    clock.pass_s(10)
    assert saw(driver.observe(spec.instance_id)) == (Condition.RUNNING, 1)
    driver.ensure(newer)
    assert saw(driver.observe(spec.instance_id)) == (Condition.RUNNING, 2)


def test_power_cut_during_a_build_leaves_it_off_and_unstamped(make_world: Make, connect: Connect, make_spec: Spec) -> None:
    there = make_world(build_s=10)
    driver, spec = connect(there), make_spec()
    driver.ensure(spec)
    there.destroy(spec.instance_id)
    assert saw(driver.observe(spec.instance_id)) == (Condition.STOPPED, None)
    driver.ensure(spec)
    assert saw(driver.observe(spec.instance_id)) == (Condition.RUNNING, 1)
