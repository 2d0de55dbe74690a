"""What is offered instead of a refusal."""

from __future__ import annotations

import pytest

from scheduler.explain import changed, explain
from scheduler.fleet import Fleet
from scheduler.types import Cell, Change, Item, Resources, Spread
from tests.scheduler.worlds import counts, gang, host, item

SMALL = Resources(2, 2048, 10)
LARGE = Resources(8, 8192, 100)


def offers(fleet: Fleet, wanted: list[Item]) -> list[tuple[str, dict[str, str | int]]]:
    refusal = explain(fleet, wanted)
    assert refusal is not None, "it fits"
    return [(change.what, dict(change.params)) for change in refusal.changes]


def test_what_fits_has_nothing_to_explain() -> None:
    assert explain(Fleet([host("a")]), [item()]) is None


@pytest.mark.parametrize(
    ("asked", "offer"),
    [
        (Resources(12, 2048, 10), ("fewer_vcpus", {"vcpus": 6})),
        (Resources(2, 9000, 10), ("less_memory_mib", {"memory_mib": 7000})),
        (Resources(2, 2048, 101), ("less_disk_gib", {"disk_gib": 90})),
        (Resources(2, 2048, 10, 3), ("fewer_gpus", {"gpus": 1})),
        (Resources(12, 9000, 10), ("smaller", {"vcpus": 6, "memory_mib": 7000, "disk_gib": 10})),
    ],
)
def test_too_large_an_item_is_offered_the_largest_that_fits(asked: Resources, offer: tuple[str, dict[str, int]]) -> None:
    fleet = Fleet(
        [
            host("a", capacity=Resources(8, 8192, 100, 1), used=Resources(2, 1192, 10)),
            host("down", up=False, capacity=Resources(99, 99999, 999, 9)),
            host("full", used=LARGE),
        ]
    )
    assert offers(fleet, [item(resources=asked)]) == [offer]


def test_another_place_is_offered_where_one_was_named() -> None:
    full = host("full", zone="a", pool="gold", used=LARGE)
    fleet = Fleet([full, host("b", zone="b", pool="gold"), host("c", zone="a", pool="silver"), host("d", arch="aarch64")])
    assert offers(fleet, [item(zones=("a",), pools=("gold",), arch="x86_64")]) == [
        ("other_zone", {"zone": "b"}),
        ("other_pool", {"pool": "silver"}),
        ("other_arch", {"arch": "aarch64"}),
    ]


def test_the_zone_with_most_room_is_offered_first() -> None:
    fleet = Fleet(
        [host("a", used=LARGE), host("b", zone="b", used=Resources(4, 0, 0)), host("c", zone="c"), host("d", zone="d", used=LARGE)]
    )
    assert offers(fleet, [item(zones=("a",))]) == [("other_zone", {"zone": "c"})]


def test_a_trait_is_offered_to_be_dropped_only_where_that_alone_helps() -> None:
    fleet = Fleet([host("a", traits=frozenset({"ssd"}))])
    assert offers(fleet, [item(traits=frozenset({"ssd", "avx"}))]) == [("drop_trait", {"trait": "avx"})]
    assert offers(fleet, [item(traits=frozenset({"sev", "avx"}))]) == []


def test_a_gang_apart_is_offered_fewer_or_a_soft_rule() -> None:
    fleet = Fleet([host("a"), host("b")])
    assert offers(fleet, gang(3, spread=Spread("g", "anti_affinity"))) == [
        ("relax_spread", {"mode": "spread", "domain": "host"}),
        ("fewer_instances", {"count": 2}),
    ]


def test_a_gang_together_is_offered_a_soft_rule_or_fewer_or_smaller_ones() -> None:
    fleet = Fleet([host("a"), host("b")])
    assert offers(fleet, gang(5, spread=Spread("g", "affinity"), resources=SMALL)) == [
        ("relax_spread", {"mode": "pack", "domain": "host"}),
        ("fewer_instances", {"count": 4}),
        ("smaller", {"vcpus": 1, "memory_mib": 1632, "disk_gib": 10}),
    ]


def test_sizes_offered_to_a_gang_fit_all_of_it() -> None:
    assert offers(Fleet([host("a"), host("b")]), gang(4, resources=Resources(5, 10, 10))) == [
        ("fewer_instances", {"count": 2}),
        ("fewer_vcpus", {"vcpus": 4}),
    ]


def test_what_one_zone_or_pool_can_not_hold_is_offered_in_two_parts() -> None:
    fleet = Fleet([host("a"), host("b", zone="b", pool="silver", used=Resources(4, 0, 0))])
    for asked, label, other in (({"zones": ("a",)}, "zone", "b"), ({"pools": ("gold",)}, "pool", "silver")):
        wanted = gang(6, resources=SMALL, **asked)
        found = offers(fleet, wanted)
        assert found[0] == (f"split_{label}", {"count": 4, label: other})
        split = changed(wanted, wanted[-1].key, Change(*found[0]))
        assert [one.zones or one.pools for one in split] == [next(iter(asked.values()))] * 4 + [(other,)] * 2
    together = gang(6, resources=SMALL, zones=("a",), spread=Spread("g", "affinity", "zone"))
    assert "split_zone" not in dict(offers(fleet, together))


def test_a_change_applies_to_the_refused_sort_alone() -> None:
    wanted = [item("db", resources=Resources(6, 6000, 10)), *gang(3)]
    refusal = explain(Fleet([host("a")]), wanted)
    assert refusal is not None
    assert refusal.key == "i1"
    assert Change("fewer_instances", {"count": 1}) in refusal.changes
    assert [one.key for one in changed(wanted, refusal.key, Change("fewer_instances", {"count": 1}))] == ["db", "i0"]


def test_nothing_is_offered_where_nothing_the_applicant_can_change_would_help() -> None:
    fleet = Fleet([host("a", up=False), host("b", cordoned=True), host("c", used=LARGE)])
    refusal = explain(fleet, [item()])
    assert refusal is not None
    assert (counts(refusal.rules), refusal.changes) == ({"up": 1, "cordon": 1, "vcpus": 1}, ())


def test_an_item_bound_to_its_host_is_offered_what_that_host_has() -> None:
    fleet = Fleet([host("a", used=Resources(4, 0, 0)), host("b")])
    assert offers(fleet, [item(hosts=("a",), resources=Resources(6, 2048, 10))]) == [("fewer_vcpus", {"vcpus": 4})]


def test_what_a_hosts_insides_lack_is_offered_without_or_as_another() -> None:
    gpu, cells = {"capacity": Resources(8, 8192, 100, 1), "gpu_model": "a100"}, (Cell(4, 4096), Cell(4, 4096))
    fleet = Fleet([host("a", **gpu, baselines=frozenset({"v2"}), cells=cells)])
    assert offers(fleet, [item(resources=Resources(1, 1024, 1, 1), gpu_models=("h100",))])[0] == ("other_gpu_model", {"gpu_model": "a100"})
    assert offers(fleet, [item(baseline="v3")]) == [("drop_baseline", {"baseline": "v3"})]
    assert offers(fleet, [item(resources=Resources(6, 6144, 1), cells=1)])[0] == ("drop_cells", {"cells": 1})


def test_too_large_a_share_of_a_gpu_is_offered_what_a_gpu_has_left() -> None:
    fleet = Fleet([host("a", capacity=Resources(8, 8192, 100, 2), gpu_shares=(700, 600))])
    found = offers(fleet, [item(resources=Resources(1, 1024, 1, 1), gpu_milli=500)])
    assert found == [("smaller_gpu_share", {"gpu_milli": 400}), ("fewer_gpus", {"gpus": 0})]


def test_another_site_is_offered_where_one_was_named() -> None:
    fleet = Fleet([host("a", site="wuhan", used=LARGE), host("b", site="yichang")])
    assert offers(fleet, [item(sites=("wuhan",))]) == [("other_site", {"site": "yichang"})]


def test_what_is_too_large_for_a_cell_is_offered_what_a_cell_holds() -> None:
    fleet = Fleet([host("a", capacity=LARGE, cells=(Cell(4, 4096), Cell(4, 4096)))])
    wide, deep = item(resources=Resources(6, 1024, 10), cells=1), item(resources=Resources(1, 6000, 10), cells=1)
    assert ("fewer_vcpus", {"vcpus": 4}) in offers(fleet, [wide])
    assert ("less_memory_mib", {"memory_mib": 4096}) in offers(fleet, [deep])


def test_nothing_is_offered_fewer_vcpus_than_the_cells_that_it_is_in() -> None:
    fleet = Fleet([host("a", capacity=Resources(8, 8192, 100), used=Resources(7, 0, 0), cells=(Cell(4, 4096, 4), Cell(4, 4096, 3)))])
    found = offers(fleet, [item(resources=Resources(4, 1024, 10), cells=2)])
    assert [one for one in found if one[1].get("vcpus") == 1] == []
