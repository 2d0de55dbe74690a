"""Each hard rule, one row each: a fleet of two hosts of which the rule excludes one, or both."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.constraints import RULES
from scheduler.fleet import Fleet
from scheduler.place import place
from scheduler.types import SIZES, Cell, Host, Item, Resources, Spread
from tests.scheduler.worlds import counts, host, item, refused

ONE_GPU = Resources(2, 2048, 10, 1)
WHOLE = {"capacity": Resources(8, 8192, 100, 1), "gpu_model": "a100", "baselines": frozenset({"x86-64-v2", "x86-64-v3"})}
GOOD = host("good", zone="b", cells=(Cell(8, 8192),), **WHOLE)
TOGETHER = Spread("g", "affinity")
APART = Spread("g", "anti_affinity")
FULL = Resources(8, 8192, 100, 0)

# rule, the host that fails it, the item (GOOD passes)
TABLE: list[tuple[str, Host, Item]] = [
    ("kind", host("bad", kinds=frozenset({"container"})), item()),
    ("kind", host("bad", kinds=frozenset()), item()),
    ("up", host("bad", up=False), item()),
    ("cordon", host("bad", cordoned=True), item()),
    ("off", host("bad", on=False, wakes=False), item()),
    ("pool", host("bad", pool="silver"), item(pools=("gold",))),
    ("pool", host("bad", pool="silver"), item(pools=("lead", "gold"))),
    ("zone", host("bad", zone="a"), item(zones=("b",))),
    ("zone", host("bad", zone="a"), item(zones=("b", "c"))),
    ("arch", host("bad", arch="aarch64"), item(arch="x86_64")),
    ("traits", host("bad", traits=frozenset()), item(traits=frozenset({"ssd"}))),
    ("baseline", host("bad", baselines=frozenset({"x86-64-v2"})), item(baseline="x86-64-v3")),
    ("gpu_model", host("bad", **WHOLE | {"gpu_model": "t4"}), item(resources=ONE_GPU, gpu_models=("a100",))),
    ("gpu_share", host("bad", gpu_sharing=False, **WHOLE), item(resources=ONE_GPU, gpu_milli=250)),
    ("cells", host("bad", cells=(Cell(1, 8192), Cell(7, 1024))), item(cells=1)),
    ("host", host("bad"), item(hosts=("good",))),
    ("host", host("bad"), item(hosts=("good", "gone"))),
    ("vcpus", host("bad", used=Resources(vcpus=7)), item()),
    ("memory_mib", host("bad", used=Resources(memory_mib=6145)), item()),
    ("disk_gib", host("bad", used=Resources(disk_gib=91)), item()),
    ("affinity", host("bad"), item(spread=TOGETHER, members={"good": 1})),
    ("affinity", host("bad"), item(spread=replace(TOGETHER, domain="zone"), members={"good": 1})),
    ("anti_affinity", host("bad"), item(spread=APART, members={"bad": 1})),
    ("anti_affinity", host("bad"), item(spread=replace(APART, max_per_domain=2), members={"bad": 2, "good": 1})),
    ("anti_affinity", host("bad"), item(spread=replace(APART, domain="zone"), members={"bad": 1})),
]


@pytest.mark.parametrize(("rule", "bad", "wish"), TABLE, ids=[f"{n}-{row[0]}" for n, row in enumerate(TABLE)])
def test_a_rule_excludes_the_host_that_fails_it_and_no_other(rule: str, bad: Host, wish: Item) -> None:
    (result,) = place(Fleet([bad, GOOD]), [[wish]])
    assert not refused(result), f"{rule} excluded the good host: {result}"
    assert [one.host_id for one in result] == ["good"]


@pytest.mark.parametrize(("rule", "bad", "wish"), TABLE, ids=[f"{n}-{row[0]}" for n, row in enumerate(TABLE)])
def test_a_refusal_names_the_rule_that_excluded_the_last_host(rule: str, bad: Host, wish: Item) -> None:
    members = {"elsewhere": 1} if rule == "affinity" else wish.members
    (result,) = place(Fleet([bad]), [[replace(wish, members=members)]])
    assert refused(result)
    assert (result.key, result.hosts, counts(result.rules), counts(result.alone)) == ("i", 1, {rule: 1}, {rule: 1})


def test_gpus_are_a_resource_like_the_others() -> None:
    small, large = host("small", capacity=Resources(8, 8192, 100, 1)), host("large", capacity=Resources(8, 8192, 100, 2))
    wish = item(resources=Resources(2, 2048, 10, 2))
    assert place(Fleet([small, large]), [[wish]])[0][0].host_id == "large"
    assert counts(place(Fleet([small]), [[wish]])[0].rules) == {"gpus": 1}


def test_the_rules_are_all_there_in_their_stable_order() -> None:
    assert [*RULES] == [
        "kind", "pool", "level", "dedicated", "site", "zone", "arch", "baseline", "traits", "gpu_model", "gpu_share",
        "up", "cordon", "off", *SIZES, "cells", "host", "affinity", "anti_affinity",
    ]  # fmt: skip


def test_a_refusal_counts_each_host_at_the_first_rule_it_fails() -> None:
    fleet = Fleet(
        [
            host("1", kinds=frozenset(), up=False),
            host("2", up=False, used=FULL),
            host("3", cordoned=True),
            host("4", used=FULL),
            host("5", used=Resources(memory_mib=8192)),
        ]
    )
    (result,) = place(fleet, [[item()]])
    assert counts(result.rules) == {"kind": 1, "up": 1, "cordon": 1, "vcpus": 1, "memory_mib": 1}
    assert counts(result.alone) == {"kind": 1, "up": 2, "cordon": 1, "vcpus": 2, "memory_mib": 3, "disk_gib": 2}


@pytest.mark.parametrize("name", SIZES)
def test_an_item_that_asks_for_none_of_a_resource_fits_a_host_with_too_much_of_it_given_out(name: str) -> None:
    sizes = {"vcpus": 1, "memory_mib": 1, "disk_gib": 1, "gpus": 0} | {name: 0}
    over = host("over", used=Resources(**{name: 1_000_000}))
    assert not refused(place(Fleet([over]), [[item(resources=Resources(**sizes))]])[0])


def test_values_that_no_host_ever_had_exclude_every_host() -> None:
    fleet = Fleet([host("1"), host("2")])
    unheard = {
        "kind": item(kind="bare_metal"),
        "pool": item(pools=("none",)),
        "zone": item(zones=("none",)),
        "arch": item(arch="riscv64"),
        "traits": item(traits=frozenset({"none"})),
        "host": item(hosts=("none",)),
    }
    assert {rule: counts(place(fleet, [[wish]])[0].rules) for rule, wish in unheard.items()} == {rule: {rule: 2} for rule in unheard}


def test_an_empty_fleet_refuses_with_nothing_to_count() -> None:
    (result,) = place(Fleet(), [[item()]])
    assert refused(result)
    assert (result.hosts, result.rules) == (0, ())
