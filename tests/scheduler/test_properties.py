"""What holds for every fleet and every gang."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.explain import changed, explain
from scheduler.fleet import Fleet
from scheduler.place import apply, capacity, place
from scheduler.types import SIZES
from tests.scheduler.worlds import allowed, fleets, gangs, hosts, lessons, possible, refused, state

MANY = settings(max_examples=80, deadline=None)


def taught(data: st.DataObject, hosts: list) -> Fleet:
    """A fleet of these hosts that history may have taught something."""
    fleet = Fleet(hosts)
    fleet.teach(data.draw(lessons()))
    return fleet


@given(st.data(), fleets())
@settings(max_examples=400, deadline=None)
def test_a_gang_is_placed_exactly_when_trying_everything_finds_a_place(data: st.DataObject, fleet: list) -> None:
    """As `test_oracle` has it, of cases that shrink."""
    wanted = data.draw(gangs(fleet))
    (result,) = place(taught(data, fleet), [wanted])
    assert refused(result) == (not possible(fleet, wanted)), result


@given(st.data(), fleets(most=6))
@MANY
def test_what_is_placed_satisfies_every_rule(data: st.DataObject, fleet: list) -> None:
    wanted = data.draw(gangs(fleet, most=6))
    (result,) = place(taught(data, fleet), [wanted])
    if not refused(result):
        by_id = {one.id: one for one in fleet}
        assert allowed(fleet, wanted, [by_id[one.host_id] for one in result])
        assert [(one.key, one.generation) for one in result] == [
            (each.key, by_id[one.host_id].generation) for each, one in zip(wanted, result, strict=True)
        ]


@given(st.data(), fleets(most=6))
@MANY
def test_no_batch_ever_takes_a_host_over_its_capacity(data: st.DataObject, fleet: list) -> None:
    batch = [data.draw(gangs(fleet, name=f"g{number}-")) for number in range(3)]
    columns = taught(data, fleet)
    for wanted, result in zip(batch, place(columns, batch), strict=True):
        if not refused(result):
            apply(columns, wanted, result)
    for one in state(columns).values():
        assert all(getattr(one.used, name) <= getattr(one.capacity, name) for name in SIZES), one


@given(st.data(), fleets())
@MANY
def test_one_more_host_never_makes_a_placeable_gang_unplaceable(data: st.DataObject, fleet: list) -> None:
    wanted = data.draw(gangs(fleet))
    if not refused(place(Fleet(fleet), [wanted])[0]):
        (result,) = place(Fleet([*fleet, data.draw(hosts("more"))]), [wanted])
        assert not refused(result), result


@given(st.data(), fleets(most=6))
@MANY
def test_the_order_of_hosts_changes_no_answer_and_no_explanation(data: st.DataObject, fleet: list) -> None:
    batch = [data.draw(gangs(fleet, most=3, name=f"g{number}-")) for number in range(2)]
    one, other = Fleet(fleet), Fleet(data.draw(st.permutations(fleet)))
    assert place(one, batch) == place(other, batch)
    assert explain(one, batch[0]) == explain(other, batch[0])


@given(st.data(), fleets())
@MANY
def test_placing_and_explaining_leave_the_fleet_as_it_was(data: st.DataObject, fleet: list) -> None:
    columns = taught(data, fleet)
    before = state(columns)
    wanted = data.draw(gangs(fleet))
    place(columns, [wanted, wanted])
    explain(columns, wanted)
    capacity(columns, wanted[0])
    assert state(columns) == before


@given(st.data(), fleets(most=6))
@MANY
def test_the_counts_of_a_refusal_add_up_to_the_hosts(data: st.DataObject, fleet: list) -> None:
    wanted = data.draw(gangs(fleet))
    (result,) = place(taught(data, fleet), [wanted])
    if refused(result):
        assert result.key in {each.key for each in wanted}
        assert sum(one.excluded for one in result.rules) == result.hosts == len(fleet)
        alone = {one.rule: one.excluded for one in result.alone}
        assert all(one.excluded <= alone[one.rule] for one in result.rules)


@given(st.data(), fleets())
@MANY
def test_every_change_offered_places_when_it_is_submitted(data: st.DataObject, fleet: list) -> None:
    wanted = data.draw(gangs(fleet))
    columns = taught(data, fleet)
    refusal = explain(columns, wanted)
    assert (refusal is None) == possible(fleet, wanted)
    for change in refusal.changes if refusal else ():
        offer = changed(wanted, refusal.key, change)
        assert offer != wanted, change
        assert possible(fleet, offer), change
        assert not refused(place(columns, [offer])[0]), change


@given(st.data(), fleets())
@MANY
def test_capacity_is_how_many_of_an_item_place_together(data: st.DataObject, fleet: list) -> None:
    from dataclasses import replace

    wish = data.draw(gangs(fleet, most=1))[0]
    columns = taught(data, fleet)
    most = capacity(columns, wish)
    for count in {most, most + 1} - {0}:
        (result,) = place(columns, [[replace(wish, key=str(number)) for number in range(count)]])
        assert refused(result) == (count > most), f"{count} of {most}"
