"""Faults on demand, and the strictness that catches a controller's errors."""

import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from drivers.base import Condition, Events, InstanceSpec, Observation, Power, Prepare, Reason
from drivers.errors import HostUnreachable, InvalidSpec, Timeout, Transient
from drivers.fake.audit import live_twice
from drivers.fake.driver import FakeDriver, open_fake
from drivers.fake.settings import read_address
from drivers.fake.world import World, forget, world
from drivers.registry import open_driver

Make = Callable[..., World]
Spec = Callable[..., InstanceSpec]
Connect = Callable[..., FakeDriver]


def kinds(there: World) -> list[str]:
    return [violation.kind for violation in there.violations]


def test_fail_next_raises_before_the_effect_so_often_and_no_more(make_world: Make, connect: Connect, make_spec: Spec) -> None:
    there = make_world()
    driver, spec = connect(there), make_spec()
    there.fail_next("ensure", Timeout(detail="asked for"), times=2)
    for _ in range(2):
        with pytest.raises(Timeout):
            driver.ensure(spec)
        assert driver.observe(spec.instance_id).condition is Condition.ABSENT
    driver.ensure(spec)
    assert driver.observe(spec.instance_id).condition is Condition.RUNNING


def test_fail_next_after_raises_once_the_effect_took_place(make_world: Make, connect: Connect, make_spec: Spec) -> None:
    there = make_world()
    driver, spec, other = connect(there), make_spec(), make_spec()
    there.fail_next("ensure", lambda: KeyboardInterrupt("killed here"), after=True, instance_id=spec.instance_id)
    driver.ensure(other)
    with pytest.raises(KeyboardInterrupt, match="killed here"):
        driver.ensure(spec)
    assert driver.observe(spec.instance_id).condition is Condition.RUNNING
    there.fail_next("remove", Transient(detail="lost answer"), after=True)
    with pytest.raises(Transient):
        driver.remove(spec.instance_id)
    assert driver.observe(spec.instance_id).condition is Condition.ABSENT


def test_fail_next_of_a_verb_that_is_not_there_is_a_mistake(make_world: Make) -> None:
    with pytest.raises(ValueError, match="esnure"):
        make_world().fail_next("esnure", Transient())


def test_random_failures_come_at_the_asked_rate_and_repeat_with_the_seed(make_world: Make, connect: Connect) -> None:
    def failures() -> list[bool]:
        driver = connect(make_world(fail=0.25, seed=42))
        found = []
        for _ in range(1000):
            try:
                driver.observe(str(uuid.uuid4()))
            except Transient:
                found.append(True)
            else:
                found.append(False)
        return found

    first = failures()
    assert 200 < sum(first) < 300
    assert first == failures()


def test_one_silent_host_hides_its_own_instances_and_never_calls_them_absent(make_world: Make, connect: Connect, make_spec: Spec) -> None:
    there = make_world(hosts=2)
    driver = connect(there)
    near, far = make_spec(), make_spec(host="host-0002")
    driver.ensure(near)
    driver.ensure(far)
    there.silence("host-0002")
    for ask in (lambda: driver.observe(far.instance_id), lambda: driver.ensure(far), lambda: driver.remove(far.instance_id)):
        with pytest.raises(HostUnreachable):
            ask()
    assert driver.observe(near.instance_id).condition is Condition.RUNNING
    seen = []
    with pytest.raises(HostUnreachable):
        seen.extend(driver.observe_all())
    notes = {host.name: [note.code for note in host.notes] for host in driver.inventory().hosts}
    assert notes == {"host-0001": [], "host-0002": ["host_unreachable"]}
    there.unsilence()
    assert {seen.instance_id for seen in driver.observe_all()} == {near.instance_id, far.instance_id}


def test_a_lie_is_told_until_it_is_taken_back(make_world: Make, connect: Connect, make_spec: Spec) -> None:
    there = make_world()
    driver, spec = connect(there), make_spec()
    driver.ensure(spec)
    lie = Observation(spec.instance_id, Condition.FAILED, 1, spec.host, Reason("broken_disk"))
    there.lie(spec.instance_id, lie)
    assert driver.observe(spec.instance_id) == lie
    assert list(driver.observe_all()) == [lie]
    there.lie(spec.instance_id, None)
    assert driver.observe(spec.instance_id).condition is Condition.RUNNING


def test_a_second_host_while_it_lives_on_the_first_is_refused_and_recorded(make_world: Make, connect: Connect, make_spec: Spec) -> None:
    there = make_world(hosts=2)
    driver, spec = connect(there), make_spec()
    driver.ensure(spec)
    with pytest.raises(InvalidSpec, match="lives on host-0001"):
        driver.ensure(replace(spec, host="host-0002", generation=2))
    assert kinds(there) == ["live_twice"]
    assert driver.observe(spec.instance_id).host == "host-0001"


def test_what_a_fenced_silent_host_ran_may_start_elsewhere(make_world: Make, connect: Connect, make_spec: Spec) -> None:
    there = make_world(hosts=2)
    driver, spec = connect(there), make_spec()
    driver.ensure(spec)
    there.silence("host-0001")
    there.fence("host-0001")
    driver.ensure(replace(spec, host="host-0002", generation=2))
    seen = driver.observe(spec.instance_id)
    assert (seen.condition, seen.host) == (Condition.RUNNING, "host-0002")
    assert there.violations == []
    assert not live_twice(there.history(spec.instance_id))
    assert [what for _, what, _ in there.history(spec.instance_id)] == ["define", "boot", "stop", "gone", "define", "boot"]


def test_histories_of_two_worlds_show_an_instance_that_lived_twice(make_world: Make, connect: Connect, make_spec: Spec, clock) -> None:
    one, two, spec = make_world(), make_world(), make_spec()
    connect(one).ensure(spec)
    clock.pass_s(1)
    connect(two).ensure(spec)
    assert live_twice(one.history(spec.instance_id), two.history(spec.instance_id))
    late = make_spec()
    connect(one).ensure(late)
    connect(one).remove(late.instance_id)
    connect(two).ensure(late)  # at the very same moment, but after it
    assert not live_twice(one.history(late.instance_id), two.history(late.instance_id))


def test_a_stale_generation_is_refused_even_before_the_newer_one_holds(make_world: Make, connect: Connect, make_spec: Spec) -> None:
    there = make_world(ignores_shutdown=1)
    driver, spec = connect(there), make_spec(generation=1)
    driver.ensure(spec)
    driver.ensure(replace(spec, generation=2, power=Power.STOPPED))
    with pytest.raises(InvalidSpec, match="stale generation"):
        driver.ensure(spec)
    assert there.violations == []


def test_a_change_under_the_same_generation_is_recorded(make_world: Make, connect: Connect, make_spec: Spec) -> None:
    there = make_world()
    driver, spec = connect(there), make_spec()
    driver.ensure(spec)
    driver.ensure(replace(spec, force=True))
    assert kinds(there) == []
    driver.ensure(replace(spec, memory_mib=4096))
    assert kinds(there) == ["changed_without_generation"]


def test_a_host_asked_to_hold_too_much_is_recorded_and_counted_down_again(make_world: Make, connect: Connect, make_spec: Spec) -> None:
    there = make_world(vcpus=2, overcommit_vcpus=2)
    driver = connect(there)
    first, second, third = (make_spec(power=Power.STOPPED) for _ in range(3))
    driver.ensure(first)
    driver.ensure(second)
    assert kinds(there) == []
    driver.remove(first.instance_id)
    driver.ensure(third)
    assert there.used("host-0001") == (4, 4096, 40, 0)
    assert kinds(there) == []
    driver.ensure(first)
    assert kinds(there) == ["over_capacity"]
    driver.ensure(replace(second, generation=2, memory_mib=300_000))
    assert [violation.detail.split(":")[0] for violation in there.violations] == ["vcpus", "vcpus", "memory_mib"]


def test_a_disk_does_not_shrink_but_a_rebuild_may_be_smaller(make_world: Make, connect: Connect, make_spec: Spec) -> None:
    driver, spec = connect(make_world()), make_spec(disk_gib=20)
    driver.ensure(spec)
    with pytest.raises(InvalidSpec, match="shrink"):
        driver.ensure(replace(spec, generation=2, disk_gib=10))
    driver.ensure(replace(spec, generation=3, disk_gib=10, build=2))
    assert driver.observe(spec.instance_id).generation == 3


def test_calls_and_boots_are_counted(make_world: Make, connect: Connect, make_spec: Spec) -> None:
    there = make_world()
    driver, spec = connect(there), make_spec()
    driver.ensure(spec)
    driver.observe(spec.instance_id)
    there.destroy(spec.instance_id)
    there.start(spec.instance_id)
    there.start(spec.instance_id)
    assert list(there.calls) == [("ensure", spec.instance_id), ("observe", spec.instance_id)]
    assert there.counts["ensure"] == 1
    assert there.boots(spec.instance_id) == 2


def test_wakes_reach_the_owner_until_it_closes(make_world: Make, connect: Connect, make_spec: Spec) -> None:
    there = make_world()
    ours, theirs, spec = connect(there), connect(there, "them"), make_spec()
    woken: list[str] = []
    others: list[str] = []
    ours.watch(woken.append)
    theirs.watch(others.append)
    ours.ensure(spec)
    ours.ensure(spec)
    there.undefine(spec.instance_id)
    assert woken == [spec.instance_id] * 2
    ours.close()
    connect(there).ensure(spec)
    assert len(woken) == 2
    assert others == []


def test_a_closed_connection_answers_nothing(make_world: Make, connect: Connect) -> None:
    driver = connect(make_world())
    driver.close()
    with pytest.raises(HostUnreachable):
        driver.inventory()


def test_the_registry_opens_it_and_it_has_every_power() -> None:
    uri = f"fake:{uuid.uuid4()}?hosts=3&arch=x86_64,aarch64&gpus=2"
    driver = open_driver("fake", uri, "us", {})
    assert isinstance(driver, Prepare)
    assert isinstance(driver, Events)
    assert [(host.name, host.arch, host.gpus) for host in driver.inventory().hosts] == [
        ("host-0001", "x86_64", 2),
        ("host-0002", "aarch64", 2),
        ("host-0003", "x86_64", 2),
    ]
    forget(uri)


def test_an_arch_or_kind_that_the_host_lacks_is_refused(make_world: Make, connect: Connect, make_spec: Spec) -> None:
    driver = connect(make_world())
    for wrong in ({"arch": "aarch64"}, {"kind": "container"}):
        with pytest.raises(InvalidSpec):
            driver.ensure(make_spec(**wrong))


@pytest.mark.parametrize(
    "uri", ["", "fake:", "libvirt:x", "fake:x?hots=3", "fake:x?hosts=many", "fake:x?hosts=-1", "fake:x?arch=", "fake://a/b"]
)
def test_an_address_that_says_nothing_clear_is_refused(uri: str) -> None:
    with pytest.raises(InvalidSpec):
        open_fake(uri, "us", {})


def test_options_win_over_the_query_and_a_second_open_must_agree() -> None:
    name = f"fake:{uuid.uuid4()}"
    there = world(f"{name}?hosts=3&build_s=1", {"hosts": "2"})
    assert len(there.hosts) == 2
    assert world(name) is there
    assert world(f"{name}?build_s=1&hosts=2") is there
    with pytest.raises(InvalidSpec, match="other options"):
        world(f"{name}?hosts=4")
    forget(name)
    assert read_address("fake:///some/where?hosts=1", {}).directory == "/some/where"


def test_verify_0_never_reads_the_image(make_world: Make, connect: Connect, make_spec: Spec) -> None:
    spec = make_spec()
    Path(spec.image.path).unlink()
    connect(make_world(verify=0)).ensure(spec)


def test_latency_slows_every_call(connect: Connect, make_world: Make) -> None:
    driver = connect(make_world(latency_s=0.02))
    begun = time.monotonic()
    driver.observe("x")
    assert time.monotonic() - begun >= 0.02
