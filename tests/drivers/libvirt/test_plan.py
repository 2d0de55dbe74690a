"""The plan is total and safe: every state that can be seen, against every thing that can be asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest

from drivers.base import InstanceSpec, Power
from drivers.libvirt.domain import Mark, Size
from drivers.libvirt.plan import Body, Seen, Step, steps

MakeSpec = Callable[..., InstanceSpec]
DISK = 1 << 30
SIZE = Size(1, 512)


def seen(body: Body, **mark: int) -> Seen:
    return Seen(Mark("o", "bureau-of-tests", **{"build": 1, "reboots": 0, "generation": 1, **mark}), body, SIZE, DISK)


def test_a_guest_undefined_while_it_runs_is_defined_again_as_it_runs(make_spec: MakeSpec) -> None:
    for body in (Body.ON, Body.PAUSED):
        assert Step.DEFINE in steps(make_spec(), replace(seen(body), kept=False), DISK)
        assert not {Step.CUT_OFF, Step.ASK_OFF} & set(steps(make_spec(), replace(seen(body), kept=False), DISK))


def test_what_holds_already_needs_nothing(make_spec: MakeSpec) -> None:
    assert steps(make_spec(), seen(Body.ON), DISK) == ()
    assert steps(make_spec(power=Power.STOPPED), seen(Body.OFF), DISK) == ()


def test_every_plan_either_stamps_last_or_leaves_the_stamp_to_a_later_call(make_spec: MakeSpec) -> None:
    asked = product(Body, Power, (False, True), (1, 2), (0, 1), (512, 1024))
    for body, power, force, build, reboots, memory in asked:
        spec = make_spec(power=power, force=force, build=build, reboots=reboots, memory_mib=memory, generation=2)
        plan = steps(spec, seen(body), DISK)
        case = (body, spec)
        assert (Step.STAMP in plan) == (plan[-1:] == (Step.STAMP,)), case
        assert Step.ASK_OFF not in plan or (plan[-1] is Step.ASK_OFF and not force), case
        assert (Step.CUT_OFF not in plan) or body is Body.CRASHED or force or build == 2, case
        if Step.STAMP in plan and power is Power.RUNNING:
            assert Step.START in plan or body in (Body.ON, Body.PAUSED, Body.ASLEEP, Body.BUSY), case
        if Step.STAMP in plan and power is Power.STOPPED:
            assert body is Body.OFF or Step.CUT_OFF in plan, case
            assert Step.START not in plan, case
        if Step.DEFINE in plan or Step.GROW_DISK in plan:
            assert body is Body.OFF or Step.CUT_OFF in plan, case


@pytest.mark.parametrize("body", list(Body))
def test_an_unforced_reboot_is_stamped_only_once_the_guest_was_off(make_spec: MakeSpec, body: Body) -> None:
    plan = steps(make_spec(reboots=1, generation=2), seen(body), DISK)
    assert (Step.STAMP in plan) == (Step.START in plan)


def test_a_bigger_disk_waits_for_the_guest_to_be_off(make_spec: MakeSpec) -> None:
    assert steps(make_spec(generation=2), seen(Body.ON), 2 * DISK) == (Step.ASK_OFF,)
    assert steps(make_spec(generation=2), seen(Body.OFF), 2 * DISK) == (Step.GROW_DISK, Step.START, Step.TIDY, Step.STAMP)


def test_a_guest_that_a_full_pool_paused_goes_on(make_spec: MakeSpec) -> None:
    assert steps(make_spec(), seen(Body.PAUSED), DISK) == (Step.RESUME,)


def test_a_rebuild_makes_the_new_disk_before_it_takes_the_guest_down(make_spec: MakeSpec) -> None:
    plan = steps(make_spec(build=2, generation=2), seen(Body.ON), DISK)
    assert plan == (Step.MAKE_DISK, Step.CUT_OFF, Step.DEFINE, Step.START, Step.TIDY, Step.STAMP)
