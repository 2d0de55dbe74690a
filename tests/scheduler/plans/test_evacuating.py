"""Emptying a host that is lost: as many as find a place, those of higher classes first."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.fleet import Fleet
from scheduler.plans.evacuating import evacuate
from scheduler.plans.types import Resident
from scheduler.types import Resources
from tests.scheduler.plans.settled import World, carry_out, worlds
from tests.scheduler.worlds import host, item, state


@given(st.data(), worlds())
@settings(max_examples=120, deadline=None)
def test_everybody_has_a_place_that_holds_or_a_reason(data: st.DataObject, small: World) -> None:
    if not small.hosts:
        return
    target = data.draw(st.sampled_from(small.hosts)).id
    fleet = small.fleet()
    before = state(fleet)
    found = evacuate(fleet, small.residents, target)
    assert state(fleet) == before, "decided on a copy"
    leaving = {one.key for one in small.residents if one.host_id == target and one.movable}
    placed = {move.key for move in found.moves}
    assert placed | found.refused.keys() == leaving
    assert not placed & found.refused.keys()
    at = carry_out(small, found.moves)
    assert target not in {at[key] for key in placed}


@given(st.data(), worlds(plain=True, roomy=True))
@settings(max_examples=50, deadline=None)
def test_whoever_is_refused_finds_no_place_afterwards_either(data: st.DataObject, small: World) -> None:
    target = data.draw(st.sampled_from(small.hosts)).id
    found = evacuate(small.fleet(), small.residents, target)
    at = carry_out(small, found.moves)
    after = World(small.hosts, [replace(one, host_id=at[one.key]) for one in small.residents])
    assert evacuate(after.fleet(), after.residents, target).moves == ()


def test_higher_classes_come_first_where_room_is_short() -> None:
    size = item(resources=Resources(4, 1024, 1))
    fleet = Fleet(
        [host("lost", capacity=Resources(8, 8192, 100), used=Resources(8, 2048, 2)), host("left", capacity=Resources(4, 8192, 100))]
    )
    low = Resident("a-low", "lost", replace(size, key="a-low"), rank=0)
    high = Resident("b-high", "lost", replace(size, key="b-high"), rank=2)
    found = evacuate(fleet, [low, high], "lost")
    assert [(move.key, move.target) for move in found.moves] == [("b-high", "left")]
    assert found.refused.keys() == {"a-low"}
