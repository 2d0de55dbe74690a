"""The columns follow what is applied to them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.fleet import Fleet
from scheduler.place import capacity, place
from scheduler.types import Cell, Host, Placement, Resources
from tests.scheduler.worlds import gangs, host, hosts, item, lessons, state

ONE = Resources(1, 1024, 10, 1)


def test_a_claim_and_its_release_change_only_what_is_used() -> None:
    fleet = Fleet([host("a", generation=7), host("b")])
    before = state(fleet)
    fleet.claim("a", ONE)
    assert fleet.host("a").used == ONE
    assert fleet.generation("a") == 7
    assert fleet.host("b") == before["b"]
    fleet.release("a", ONE)
    assert state(fleet) == before


def test_a_new_version_of_a_host_replaces_all_of_the_old_one_its_claims_included() -> None:
    fleet = Fleet([host("a")])
    fleet.claim("a", ONE)
    new = host(
        "a", pool="other", zone="z", arch="aarch64", traits=frozenset({"new"}), kinds=frozenset({"container"}), generation=2, used=ONE
    )
    fleet.upsert([new])
    assert (len(fleet), fleet.host("a")) == (1, new)
    assert capacity(fleet, item()) == 0
    assert capacity(fleet, item(kind="container", traits=frozenset({"ssd"}))) == 0, "a trait that went stayed behind"
    assert capacity(fleet, item(kind="container", traits=frozenset({"new"}))) == 3


def test_a_dropped_host_is_gone_and_the_others_keep_their_claims() -> None:
    fleet = Fleet([host("a"), host("b"), host("c")])
    fleet.claim("c", ONE)
    fleet.drop("a")
    assert len(fleet) == 2
    assert fleet.host("c").used == ONE
    with pytest.raises(KeyError):
        fleet.host("a")
    fleet.drop("c")
    fleet.drop("b")
    assert len(fleet) == 0


def test_a_copy_is_independent() -> None:
    fleet = Fleet([host("a")])
    fleet.claim("a", ONE)
    copy = fleet.copy()
    assert state(copy) == state(fleet)
    copy.claim("a", ONE)
    assert fleet.host("a").used == ONE


def test_a_fleet_grows_past_its_first_allocation() -> None:
    fleet = Fleet([host("first")])
    place(fleet, [[item()]])  # so that something is kept per row
    fleet.upsert(host(str(number)) for number in range(100))
    assert capacity(fleet, item()) == 101 * 4


Step = tuple[str, Host]


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Upserts, drops, claims and looks, over few ids."""
    verbs = st.sampled_from(["upsert", "upsert", "claim", "look", "drop", "teach"])
    return [(draw(verbs), draw(hosts(draw(st.sampled_from("uvwxyz"))))) for _ in range(draw(st.integers(1, 15)))]


@given(data=st.data(), history=histories())
@settings(max_examples=80, deadline=None)
def test_what_is_kept_between_looks_never_changes_an_answer(data: st.DataObject, history: list[Step]) -> None:
    fleet = Fleet()
    asked = [data.draw(gangs([], most=2, name=f"g{number}-")) for number in range(2)]
    for verb, one in history:
        if verb == "upsert":
            fleet.upsert([one])
        elif verb == "look":
            place(fleet, asked)
        elif verb == "teach":
            fleet.teach(data.draw(lessons()))
        elif one.id in fleet.rows:
            fleet.drop(one.id) if verb == "drop" else fleet.claim(one.id, Resources(1, 1, 0, 0))
    fresh = Fleet(state(fleet).values())
    fresh.teach(fleet.learnt)
    assert place(fleet, asked) == place(fresh, asked)


def test_a_claim_takes_the_very_devices_and_cells_that_were_found_whatever_became_free_since() -> None:
    there = host("a", capacity=Resources(8, 8192, 100, 3), cells=(Cell(4, 4096), Cell(4, 4096)))
    fleet = Fleet([there])
    first, second = (item(key, resources=Resources(1, 1024, 1, 1), gpu_milli=400, cells=1) for key in "ab")
    fleet.claim_at([(first, Placement("a", "a", 1, (2,), (1,))), (second, Placement("b", "a", 1, (0,), (1,)))])
    assert fleet.host("a").gpu_shares == (400, 0, 400)
    assert [cell.used_vcpus for cell in fleet.host("a").cells] == [0, 2]
    assert fleet.have_room([(first, Placement("c", "a", 1, (2,), (0,)))])
    assert not fleet.have_room([(first, Placement(key, "a", 1, (2,), (0,))) for key in "cd"]), "two more would share one device"
    assert not fleet.have_room([(first, Placement(str(n), "a", 1, (1,), (1,))) for n in range(3)]), "one cell would be too full"
    assert state(fleet) == state(fleet.copy())
    for one, device in ((first, 2), (second, 0)):
        fleet.release_item(one, Placement("", "a", 1, (device,), (1,)))
    assert fleet.host("a") == there


def test_which_whole_devices_are_taken_is_not_forgotten_by_a_copy() -> None:
    fleet = Fleet([host("a", capacity=Resources(8, 8192, 100, 3))])
    one = item(resources=Resources(1, 1024, 1, 1))
    fleet.claim_at([(one, Placement("i", "a", 1, (2,)))])
    copy = fleet.copy()
    assert copy.host("a").gpu_shares == (0, 0, 1000)
    copy.release_item(one, Placement("i", "a", 1, (2,)))
    assert copy.host("a").gpu_shares == ()
