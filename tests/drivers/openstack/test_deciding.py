"""What `ensure` does next, enumerated: every state of a server against every kind of spec, cut short anywhere."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import InstanceSpec, Power
from drivers.errors import DiskMissing, HostUnreachable, InvalidSpec
from drivers.openstack.conditions import ASIDE, AT_WORK
from drivers.openstack.deciding import Act, acts
from drivers.openstack.records import CRASHED, PAUSED, RUNNING, SHUTDOWN, Server, Size
from tests.drivers.openstack.nova import Nova, holds
from tests.drivers.openstack.servers import ID, IMAGE, STATES, made, spec_of

CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "newer": {"generation": 2},
    "stop": {"generation": 2, "power": Power.STOPPED},
    "reboot": {"generation": 2, "reboots": 1},
    "size": {"generation": 2, "vcpus": 4, "disk_gib": 30},
    "build": {"generation": 2, "build": 2},
    "name": {"generation": 2, "name": "other"},
    "all": {"generation": 2, "build": 2, "reboots": 1, "vcpus": 4, "name": "other"},
    "all, stopped": {"generation": 2, "build": 2, "reboots": 3, "vcpus": 1, "power": Power.STOPPED},
}
FINAL = [status for status in STATES if status not in AT_WORK and status != "DELETED"]
FEW = 12  # calls of `ensure` that any change needs at most


def decide(asked: InstanceSpec, *servers: Server, sees_hosts: bool = True) -> tuple[Act, ...]:
    return acts(asked, servers, sees_hosts)


def lead(spec: InstanceSpec, nova: Nova, cut: int = 99, sees_hosts: bool = True) -> None:
    """Ensure until it holds; in the call of number `cut` we die after the first act."""
    for number in range(FEW):
        if holds(spec, nova.servers):
            return
        plan = acts(spec, nova.servers, sees_hosts)
        assert plan, f"nothing is done, and it isn't so: {nova.servers}"
        for act in plan[:1] if number == cut else plan:
            nova.take(act, spec)
    raise AssertionError(f"not so after {FEW} calls: {nova.servers}")


# -- where it leads ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "change", "cut", "sees_hosts"), list(product(FINAL, CHANGES, (99, 0, 1, 2, 3), (True, False))))
def test_from_every_state_every_spec_is_reached_whenever_we_die(status: str, change: str, cut: int, sees_hosts: bool) -> None:
    asked = spec_of(**{"generation": 2, **CHANGES[change]})
    nova = Nova([made(spec_of(), status)])
    lead(asked, nova, cut, sees_hosts)
    assert acts(asked, nova.servers, sees_hosts) == ()
    assert nova.most <= 1


@pytest.mark.parametrize(("power", "cut"), list(product(Power, (99, 0, 1, 2))))
def test_from_nothing_it_is_made_once(power: Power, cut: int) -> None:
    nova = Nova([])
    lead(spec_of(power=power), nova, cut)
    assert (nova.made, nova.boots) == (1, 1)


def test_what_was_built_and_is_gone_is_never_made_up_for_by_an_empty_one() -> None:
    for servers in ((), (made(spec_of(), "DELETED"),)):
        with pytest.raises(DiskMissing):
            decide(spec_of(built=True, generation=2), *servers)
    assert decide(spec_of(built=True), made(spec_of())) == ()
    assert decide(spec_of(built=True, generation=2, build=2), made(spec_of())) == (Act.REBUILD,)


@pytest.mark.parametrize(("status", "cut"), list(product(("ACTIVE", "SHUTOFF"), (99, 0, 1, 2, 3))))
def test_a_reboot_asked_once_happens_once_whenever_we_die(status: str, cut: int) -> None:
    nova = Nova([made(spec_of(), status)])
    lead(spec_of(generation=2, reboots=1), nova, cut)
    assert nova.boots == 1
    lead(spec_of(generation=3, reboots=1), nova)
    assert nova.boots == 1


@pytest.mark.parametrize("cut", [99, 0, 1, 2])
def test_a_reboot_asked_of_what_is_to_be_off_switches_nothing_on(cut: int) -> None:
    nova = Nova([made(spec_of(), "SHUTOFF")])
    lead(spec_of(generation=2, reboots=1, power=Power.STOPPED), nova, cut)
    assert nova.boots == 0


@pytest.mark.parametrize("count", [2, 3])
def test_of_several_the_oldest_stays_and_nothing_else_is_done_before(count: int) -> None:
    several = [made(spec_of(), id=f"s{n}", created=f"2026-01-01T00:00:0{9 - n}Z") for n in range(count)]
    nova = Nova(several)
    assert decide(spec_of(generation=2, power=Power.STOPPED), *several) == (Act.THIN_OUT,)
    lead(spec_of(generation=2, build=2), nova)
    assert [one.id for one in nova.servers] == [several[-1].id]


def test_of_two_of_one_moment_the_same_stays_for_everybody() -> None:
    one, other = made(spec_of(), id="a"), made(spec_of(), id="b")
    for order in ([one, other], [other, one]):
        nova = Nova(list(order))
        nova.take(Act.THIN_OUT, spec_of())
        assert nova.servers == [one]


# -- what is not done --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("force", [False, True])
def test_the_same_spec_does_nothing(force: bool) -> None:
    assert decide(spec_of(force=force), made(spec_of())) == ()


@pytest.mark.parametrize(("status", "change"), list(product(STATES, CHANGES)))
def test_nothing_is_done_while_nova_is_at_work(status: str, change: str) -> None:
    asked = spec_of(**CHANGES[change])
    if status != "DELETED":
        assert decide(asked, made(spec_of(), status, task="spawning")) == ()
    if status in AT_WORK:
        assert decide(asked, made(spec_of(), status)) == ()


@pytest.mark.parametrize(("status", "change", "host"), list(product(FINAL, CHANGES, ("DOWN", "UNKNOWN"))))
def test_nothing_is_done_where_the_hypervisor_is_out_of_sight(status: str, change: str, host: str) -> None:
    with pytest.raises(HostUnreachable):
        decide(spec_of(**CHANGES[change]), made(spec_of(), status, host_status=host))


def test_an_older_generation_is_refused_before_anything_else() -> None:
    newer = made(spec_of(generation=5))
    for servers in ([newer], [newer, replace(newer, id="s2", created="2027")]):
        with pytest.raises(InvalidSpec):
            decide(spec_of(generation=4), *servers)


def test_a_server_on_another_hypervisor_is_left_alone() -> None:
    with pytest.raises(InvalidSpec):
        decide(spec_of(generation=2, host="c2"), made(spec_of()))
    assert decide(spec_of(host="region", generation=2), made(spec_of(host="region"), node="c7"), sees_hosts=False) == (Act.STAMP,)


def test_a_smaller_disk_is_refused() -> None:
    with pytest.raises(InvalidSpec):
        decide(spec_of(generation=2, disk_gib=10), made(spec_of()))


@pytest.mark.parametrize(("asked", "launched"), list(product((1, 2), (False, True))))
def test_what_failed_is_begun_anew_for_a_newer_spec_alone(asked: int, launched: bool) -> None:
    broken = made(spec_of(), "ERROR", launched=launched)
    expected = () if asked == 1 else ((Act.RESET,) if launched else (Act.DELETE,))
    assert decide(spec_of(generation=asked), broken) == expected


def test_what_failed_before_it_held_is_begun_anew_for_a_newer_spec_alone() -> None:
    stopped = spec_of(power=Power.STOPPED)
    broken = made(stopped, "ERROR")
    assert broken.mark is not None and broken.mark.generation is None  # noqa: PT018
    assert decide(stopped, broken) == ()
    assert decide(replace(stopped, generation=2), broken) == (Act.DELETE,)


@pytest.mark.parametrize("status", sorted(ASIDE))
def test_what_somebody_set_aside_is_brought_back_first(status: str) -> None:
    (act,) = decide(spec_of(generation=2, build=2, vcpus=8), made(spec_of(), status))
    assert act not in (Act.REBUILD, Act.RESIZE, Act.STAMP)


@pytest.mark.parametrize("sees_hosts", [True, False])
def test_what_was_lost_before_it_was_built_is_made_again_but_never_what_was_adopted_or_has_run(sees_hosts: bool) -> None:
    lost = made(spec_of(), "BUILD", task="scheduling", node="", service="", host_status="")
    assert acts(spec_of(), [lost], sees_hosts) == ()
    assert acts(spec_of(), [lost], sees_hosts, lost=True) == (Act.DELETE,)
    assert acts(spec_of(adopted=lost.id), [lost], sees_hosts, lost=True) == ()
    with pytest.raises(HostUnreachable):
        acts(spec_of(), [replace(lost, host_status="UNKNOWN")], sees_hosts, lost=True)


# -- resizing ----------------------------------------------------------------------------------------------------------------------------


def test_a_resize_that_went_elsewhere_is_taken_back() -> None:
    asked = spec_of(generation=2, vcpus=4)
    nova = Nova([made(spec_of())], astray=True)
    for expected in ((Act.RESIZE,), (Act.REVERT,)):
        assert acts(asked, nova.servers, True) == expected
        nova.take(expected[0], asked)
    assert (nova.servers[0].node, nova.servers[0].size.vcpus) == ("c1", 2)


def test_where_hypervisors_are_not_seen_nova_may_choose_another() -> None:
    nova = Nova([made(spec_of(host="region"), node="c1")], astray=True)
    lead(spec_of(generation=2, vcpus=4, host="region"), nova, sees_hosts=False)
    assert nova.servers[0].node == "c9"


@pytest.mark.parametrize("power", [RUNNING, SHUTDOWN])
def test_a_resize_by_somebody_else_is_taken_back(power: int) -> None:
    assert decide(spec_of(), made(spec_of(), "VERIFY_RESIZE", size=Size(9, 9, 99), power=power)) == (Act.REVERT,)


# -- power -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("power", "generation"), list(product((0, PAUSED, CRASHED, 7), (1, 2))))
def test_a_power_state_that_contradicts_is_mended_only_where_something_is_asked(power: int, generation: int) -> None:
    plan = decide(spec_of(generation=generation), made(spec_of(), power=power))
    assert plan in ((Act.RESET,), ()) and bool(plan) == (generation == 2 or power == PAUSED)  # noqa: PT018


def test_nova_is_left_to_see_that_a_guest_is_off() -> None:
    for generation in (1, 2):
        assert decide(spec_of(generation=generation), made(spec_of(), power=SHUTDOWN)) == ()


@given(
    st.sampled_from(sorted(STATES)),
    st.sampled_from(["", "deleting", "powering-off", "never-heard-of"]),
    st.integers(0, 8),
    st.booleans(),
    st.sampled_from(sorted(CHANGES)),
    st.booleans(),
)
def test_there_is_always_an_answer(status: str, task: str, power: int, launched: bool, change: str, sees_hosts: bool) -> None:
    server = made(spec_of(), status, task=task, power=power, launched=launched)
    plan = acts(spec_of(**CHANGES[change]), [server], sees_hosts)
    assert Act.STAMP not in plan[:-1], "what is stamped holds already"
    assert len(set(plan)) == len(plan) <= 3


# -- adopted -----------------------------------------------------------------------------------------------------------------------------


def adopted(spec: InstanceSpec, status: str = "ACTIVE", **fields: Any) -> Server:
    """The server that a spec adopted, called as its people called it."""
    server = made(replace(spec, image=IMAGE), status, **fields)
    assert server.mark is not None
    return replace(server, name="Web Server", mark=replace(server.mark, name="Web Server"))


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("sees_hosts", [False, True])
def test_what_is_adopted_is_marked_and_never_made(built: bool, sees_hosts: bool) -> None:
    assert decide(spec_of(adopted=ID, built=built), sees_hosts=sees_hosts) == (Act.ADOPT,)


@pytest.mark.parametrize(("status", "change"), list(product(FINAL, CHANGES)))
def test_what_was_adopted_is_never_deleted_to_be_made_anew_nor_renamed(status: str, change: str) -> None:
    first = spec_of(adopted=ID, image=None)
    asked = replace(first, **{"generation": 2, "image": IMAGE, **CHANGES[change]})
    for launched in (True, False):
        planned = decide(asked, adopted(first, status, launched=launched))
        assert not set(planned) & {Act.CREATE, Act.DELETE, Act.RENAME, Act.ADOPT}


@pytest.mark.parametrize("status", ["ACTIVE", "SHUTOFF"])
def test_what_was_adopted_and_is_as_it_was_is_left_alone(status: str) -> None:
    power = Power.RUNNING if status == "ACTIVE" else Power.STOPPED
    spec = spec_of(adopted=ID, image=None, power=power, name="web-server", user_data="#!/bin/sh", ssh_keys=("ssh-ed25519 AAAA",))
    server = adopted(spec, status)
    assert server.mark is not None
    assert decide(spec, replace(server, mark=replace(server.mark, generation=1))) == ()
    assert decide(replace(spec, generation=2), server) == (Act.STAMP,)


def test_a_name_that_somebody_gave_it_is_taken_back() -> None:
    spec = spec_of(adopted=ID, image=None)
    assert decide(spec, replace(adopted(spec), name="other"))[0] is Act.RENAME
