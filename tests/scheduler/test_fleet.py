"""The columns follow what is applied to them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.fleet import Fleet
from scheduler.place import capacity, place
from scheduler.types import Host, Resources
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
