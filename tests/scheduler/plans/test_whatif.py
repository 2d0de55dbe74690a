"""What if."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.fleet import Fleet
from scheduler.plans.types import Resident
from scheduler.plans.whatif import Change, whatif
from scheduler.types import Resources, Spread
from tests.scheduler.plans.settled import World, can_be_emptied, world, worlds
from tests.scheduler.worlds import gangs, host, item, state

MANY = settings(max_examples=40, deadline=None)
FOUR = item(resources=Resources(4, 1024, 1))


@given(st.data(), worlds())
@MANY
def test_what_is_lost_is_restarted_or_stranded_and_the_fleet_stays(data: st.DataObject, small: World) -> None:
    if not small.hosts:
        return
    lost = data.draw(st.sampled_from(small.hosts)).id
    asked = tuple(data.draw(gangs(small.hosts, most=2, name="new"))) if data.draw(st.booleans()) else ()
    fleet = small.fleet()
    before = state(fleet)
    outcome = whatif(fleet, small.residents, Change(lose=(lost,), approve=(asked,) if asked else ()))
    assert state(fleet) == before
    there = {one.key for one in small.residents if one.host_id == lost}
    assert {key for key, _ in outcome.restarted} | {key for key, _ in outcome.stranded} == there
    assert lost not in {where for _, where in outcome.restarted + outcome.approved}
    assert len(outcome.approved) + len(asked) * len(outcome.refused) == len(asked)
    if outcome.stranded and len(there) == 1:
        assert not can_be_emptied(small, lost)


@given(st.data(), worlds())
@MANY
def test_the_order_of_hosts_and_residents_changes_nothing(data: st.DataObject, small: World) -> None:
    if small.hosts:
        change = Change(lose=(data.draw(st.sampled_from(small.hosts)).id,), retire=("aarch64",))
        other = World(data.draw(st.permutations(small.hosts)), data.draw(st.permutations(small.residents)))
        assert whatif(small.fleet(), small.residents, change, k=1) == whatif(other.fleet(), other.residents, change, k=1)


def test_ranks_say_who_is_restarted_first() -> None:
    fleet = Fleet([host("a", used=Resources(8, 2048, 2)), host("b", used=Resources(4, 1024, 1))])
    residents = [Resident("low", "a", FOUR), Resident("high", "a", FOUR, rank=1), Resident("there", "b", FOUR)]
    outcome = whatif(fleet, residents, Change(lose=("a",)))
    assert outcome.restarted == (("high", "b"),)
    assert [(key, why.hosts) for key, why in outcome.stranded] == [("low", 1)]
    assert (outcome.before.in_use, outcome.after.in_use) == (2, 1)


def test_new_hosts_take_what_is_lost_and_what_is_approved() -> None:
    model = host("b", used=Resources(8, 1, 1), cordoned=True)
    small = world([host("a"), model], ("x", "a", FOUR))
    outcome = whatif(small.fleet(), small.residents, Change(lose=("a",), add=((model, 1),), approve=((FOUR,), (FOUR,))), flavor=FOUR)
    assert outcome.restarted == (("x", "new 0 like b"),)
    assert outcome.approved == (("i", "new 0 like b"),)
    assert [number for number, _ in outcome.refused] == [1]
    assert (outcome.before.fits, outcome.after.fits) == (1, 0)


def test_a_retired_architecture_strands_who_asks_for_it() -> None:
    small = world([host("a", arch="loongarch64"), host("b")], ("any", "a", item()), ("bound", "a", item(arch="loongarch64")))
    outcome = whatif(small.fleet(), small.residents, Change(retire=("loongarch64",)))
    assert outcome.restarted == (("any", "b"),)
    assert [key for key, _ in outcome.stranded] == ["bound"]


def test_groups_are_kept_apart_from_where_they_are_by_then() -> None:
    apart = Spread("g", "anti_affinity")
    small = world([host("a"), host("b"), host("c")], ("x", "a", item(spread=apart)), ("y", "b", item(spread=apart)))
    outcome = whatif(small.fleet(), small.residents, Change(lose=("a",), approve=((item("new", spread=apart),),)))
    assert outcome.restarted == (("x", "c"),)
    assert [number for number, _ in outcome.refused] == [0]


def test_resilience_is_said_before_and_after() -> None:
    small = world([host("a"), host("b")], ("x", "a", FOUR))
    outcome = whatif(small.fleet(), small.residents, Change(approve=((item(),),)), k=1)
    assert (outcome.before.resilient, outcome.after.resilient) == (True, True)
    outcome = whatif(small.fleet(), small.residents, Change(approve=((FOUR,), (item(),))), k=1)
    assert (outcome.before.resilient, outcome.after.resilient) == (True, False)


def test_a_host_that_nobody_knows_can_not_be_lost() -> None:
    with pytest.raises(KeyError):
        whatif(Fleet([host("a")]), [], Change(lose=("z",)))
