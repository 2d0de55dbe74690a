"""The solver behind plans, held against trying everything, and against problems that no rule of thumb gets right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.plans.consolidating import consolidate
from scheduler.plans.draining import drain
from scheduler.plans.scene import Scene
from scheduler.plans.solving import Answer, Task, carry_out, solve
from scheduler.plans.types import DONE, UNSOLVABLE
from scheduler.types import Resources, Spread
from tests.scheduler.plans.settled import World, can_be_emptied, world, worlds
from tests.scheduler.plans.settled import carry_out as carried_out
from tests.scheduler.worlds import allowed, host, item

MANY = settings(max_examples=60, deadline=None)


def emptied_at_best(small: World) -> int:
    """How many hosts can be emptied at once into others in use of the same pool, by trying everything."""
    used = sorted({one.host_id for one in small.residents})
    most = 0
    for size in range(1, len(used)):
        if any(can_all_go(small, chosen, [name for name in used if name not in chosen]) for chosen in combinations(used, size)):
            most = size
    return most


def can_all_go(small: World, chosen: Sequence[str], into: Sequence[str]) -> bool:
    """Whether the residents of some hosts have places on others, each in the pool that he is in."""
    by_id = {one.id: one for one in small.hosts}
    going = [one for one in small.residents if one.host_id in chosen]
    ways = [[name for name in into if by_id[name].pool == by_id[one.host_id].pool] for one in going]
    stay = [one for one in small.residents if one.host_id not in chosen]
    items = [replace(one.item, key=one.key, members={}) for one in [*stay, *going]]
    return any(
        allowed(small.hosts, items, [*(by_id[one.host_id] for one in stay), *(by_id[name] for name in targets)])
        for targets in product(*ways)
    )


@given(worlds(plain=True, roomy=True, instances=6))
@MANY
def test_as_many_hosts_are_emptied_as_can_be(small: World) -> None:
    plan = consolidate(small.fleet(), small.residents)
    carried_out(small, plan.moves)
    assert plan.benefit >= emptied_at_best(small)


@given(st.data(), worlds(plain=True, roomy=True, instances=6))
@MANY
def test_an_answer_is_right_and_no_answer_too(data: st.DataObject, small: World) -> None:
    scene = Scene(small.fleet(), small.residents)
    hosts, ids = sorted({one.host_id for one in small.residents}), sorted(one.id for one in small.hosts)
    one = data.draw(st.sampled_from(hosts)) if hosts else None
    if one is None or any(each.item.spread and each.item.spread.domain != "host" for each in small.residents):
        return
    answer = solve(scene, Task([one], ids, least=1, moves=9))
    if answer is not None:
        assert answer.proved
        assert bool(answer.targets) == can_be_emptied(small, one)
        assert carry_out(scene, answer)


def tight(copies: int, movable: bool = False) -> World:
    """Six instances that fill two hosts of ten to the brim in one way alone, and largest first is not that way; so many times over."""
    sizes = [5, 4, 4, 3, 2, 2] * copies
    bins = [host(f"bin{number}", capacity=Resources(10, 1 << 20, 1000)) for number in range(2 * copies)]
    full = host("full", capacity=Resources(sum(sizes), 1 << 20, 1000))
    rows = [(f"i{number}", "full", item(resources=Resources(size, 1, 1))) for number, size in enumerate(sizes)]
    return world([full, *bins], *rows)


@pytest.mark.parametrize("copies", [1, 3, 5])
def test_a_host_is_drained_where_one_arrangement_alone_fits(copies: int) -> None:
    small = tight(copies)
    plan = drain(small.fleet(), small.residents, "full")
    assert (plan.reason, len(plan.moves)) == (DONE, 6 * copies)
    carried_out(small, plan.moves)


def test_what_is_one_too_large_is_proved_not_to_fit() -> None:
    small = tight(2)
    more = World(small.hosts, [*small.residents[1:], replace(small.residents[0], item=item(resources=Resources(6, 1, 1)))])
    scene = Scene(more.fleet(), more.residents)
    assert solve(scene, Task(["full"], ["bin0", "bin1", "bin2", "bin3"], least=1, moves=99)) == Answer({}, proved=True)
    assert drain(more.fleet(), more.residents, "full").reason == UNSOLVABLE


def test_bounds_on_moves_and_on_what_stays_free_hold() -> None:
    small = tight(1)
    scene, task = Scene(small.fleet(), small.residents), Task(["full"], ["bin0", "bin1"], least=1, moves=6)
    assert solve(scene, task) != Answer({}, proved=True)
    assert solve(scene, replace(task, moves=5)) == Answer({}, proved=True)
    spare = scene.needs[0] * 0
    spare[0] = 1
    assert solve(scene, replace(task, spare=spare)) == Answer({}, proved=True)


def test_members_that_lie_apart_are_told_to_the_solver_and_rules_that_it_does_not_know_are_not_put_to_it() -> None:
    apart, together = Spread("g", "anti_affinity"), Spread("h", "affinity")
    rows = [(f"i{number}", "a", item(spread=apart)) for number in range(2)]
    small = world([host(name, capacity=Resources(4, 8192, 100)) for name in "abc"], *rows)
    scene = Scene(small.fleet(), small.residents)
    answer = solve(scene, Task(["a"], ["b", "c"], least=1, moves=9))
    assert answer is not None
    assert sorted(answer.targets["a"].values()) == ["b", "c"]
    assert solve(scene, Task(["a"], ["b"], least=1, moves=9)) == Answer({}, proved=True)
    glued = World(small.hosts, [replace(one, item=item(spread=together)) for one in small.residents])
    assert solve(Scene(glued.fleet(), glued.residents), Task(["a"], ["b", "c"], least=1, moves=9)) is None
