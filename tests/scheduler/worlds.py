"""Small fleets and gangs: builders for tables, strategies for properties, and an oracle that tries everything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any

from hypothesis import strategies as st

from scheduler.fleet import Fleet
from scheduler.history import Learnt, Work
from scheduler.types import SIZES, Cell, Host, Item, NoValidHost, Resources, Spread

HOST = Host(
    id="h1",
    name="h1",
    pool="gold",
    zone="a",
    site="wuhan",
    arch="x86_64",
    traits=frozenset({"ssd"}),
    kinds=frozenset({"vm"}),
    capacity=Resources(8, 8192, 100, 0),
    used=Resources(),
    cordoned=False,
    up=True,
    generation=1,
)


def host(id_: str, **changes: Any) -> Host:
    """A roomy, healthy host, but for the changes."""
    from dataclasses import replace

    return replace(HOST, **{"id": id_, "name": id_, **changes})


def item(key: str = "i", **changes: Any) -> Item:
    """A small machine that fits `host`, but for the changes."""
    return Item(**{"key": key, "kind": "vm", "resources": Resources(2, 2048, 10, 0), **changes})


def gang(count: int, **changes: Any) -> list[Item]:
    """Equal items."""
    return [item(f"i{number}", **changes) for number in range(count)]


def counts(counted: Iterable[Any]) -> dict[str, int]:
    """Rule counts as a dict."""
    return {one.rule: one.excluded for one in counted}


def state(fleet: Fleet) -> dict[str, Host]:
    """Everything that a fleet says of its hosts."""
    return {id_: fleet.host(id_) for id_ in fleet.rows}


# -- strategies ------------------------------------------------------------------------------------------------------------------


def resources(vcpus: int, memory_mib: int, disk_gib: int, gpus: int, least: int = 0) -> st.SearchStrategy[Resources]:
    """Amounts up to the ones given."""
    return st.builds(
        Resources,
        vcpus=st.integers(least, vcpus),
        memory_mib=st.integers(least, memory_mib),
        disk_gib=st.integers(0, disk_gib),
        gpus=st.integers(0, gpus),
    )


@st.composite
def hosts(draw: st.DrawFn, id_: str) -> Host:
    """A host of few, small values, mostly healthy, so that rules bite now and then and gangs nearly fit."""
    capacity = draw(resources(6, 6, 6, 2))
    used = Resources(*(draw(st.integers(0, getattr(capacity, name))) if draw(st.booleans()) else 0 for name in SIZES))
    return Host(
        id=id_,
        name=id_,
        pool=draw(st.sampled_from("pq")),
        zone=draw(st.sampled_from("ab")),
        site=draw(st.sampled_from("sst")),
        arch=draw(st.sampled_from(["x86_64", "x86_64", "aarch64"])),
        traits=frozenset(draw(st.sets(st.sampled_from(["ssd", "avx"])))),
        kinds=draw(st.sampled_from([frozenset({"vm"}), frozenset({"vm", "container"})])),
        capacity=capacity,
        used=used,
        cordoned=draw(st.integers(0, 9)) == 0,
        up=draw(st.integers(0, 9)) != 0,
        generation=draw(st.integers(1, 5)),
        rack=draw(st.sampled_from(["r1", "r2"])),
        baselines=frozenset({"v2", "v3"} if draw(st.integers(0, 3)) else {"v2"}),
        level=draw(st.sampled_from([0, 3, 4])),
        tenants=frozenset({"t"}) if draw(st.integers(0, 4)) == 0 else frozenset(),
        cells=draw(cells(capacity)) if draw(st.booleans()) else (),
        gpu_model=draw(st.sampled_from(["", "G1"])),
        gpu_shares=()
        if used.gpus
        else tuple(draw(st.lists(st.sampled_from([0, 400, 1000]), min_size=capacity.gpus, max_size=capacity.gpus))),
        gpu_sharing=draw(st.integers(0, 3)) != 0,
        on=draw(st.booleans()),
        order=draw(st.integers(0, 1)),
        wakes=draw(st.booleans()),
        licences=draw(st.sampled_from([frozenset(), frozenset({"ssd"})])),
        emptying=draw(st.sampled_from([(), (-0.5,) * 12, (-8.0,) * 6 + (-0.25,) * 6])),
    )


@st.composite
def cells(draw: st.DrawFn, whole: Resources) -> tuple[Cell, ...]:
    """Two NUMA cells that share a host's vCPUs and memory, with something used."""
    vcpus, memory_mib = draw(st.integers(0, whole.vcpus)), draw(st.integers(0, whole.memory_mib))
    parts = (vcpus, memory_mib), (whole.vcpus - vcpus, whole.memory_mib - memory_mib)
    return tuple(Cell(one, other, draw(st.integers(0, one)), draw(st.integers(0, other))) for one, other in parts)


@st.composite
def fleets(draw: st.DrawFn, most: int = 4) -> list[Host]:
    """Hosts h0, h1, …"""
    return [draw(hosts(f"h{number}")) for number in range(draw(st.integers(0, most)))]


@st.composite
def rarely_asked(draw: st.DrawFn) -> dict[str, Any]:
    """What few items ask for, one thing at a time."""
    return draw(
        st.sampled_from(
            [{}] * 8
            + [{"sites": ("s",)}, {"tenants": ("u", "t")}, {"level": 3}, {"level": 4, "tenants": ("t",)}, {"baseline": "v3"}]
            + [{"cells": 1}, {"cells": 2}, {"gpu_milli": 400}, {"gpu_milli": 600}, {"gpu_models": ("G1",)}]
            + [{"alive": (1.0,) * 12}, {"alive": (0.5,) * 4 + (0.0,) * 8}]
        )
    )


@st.composite
def lessons(draw: st.DrawFn) -> Learnt:
    """What history may have taught: nothing, or a few shapes of GPU work and pairs of cells."""
    works = st.builds(Work, st.integers(0, 4), st.integers(1, 2), st.sampled_from([400, 1000]), st.sampled_from([(), ("G1",)]))
    work = draw(st.dictionaries(works, st.floats(0.1, 1.0), max_size=3))
    return Learnt(work, draw(st.sampled_from([(0.0, 0.0), (1.0, 2.0)])))


@st.composite
def gangs(draw: st.DrawFn, fleet: Sequence[Host], most: int = 4, name: str = "g") -> list[Item]:
    """Up to two groups, each with one rule, and items without."""
    ids = [one.id for one in fleet]
    groups: list[tuple[Spread | None, dict[str, int]]] = [(None, {})]
    for number in range(2):
        mode = draw(st.sampled_from(["affinity", "anti_affinity", "anti_affinity", "spread", "pack"]))
        rule = Spread(f"{name}{number}", mode, draw(st.sampled_from(["host", "zone", "rack", "site"])), draw(st.integers(1, 2)))
        members = draw(st.dictionaries(st.sampled_from(ids), st.integers(1, 2), max_size=2)) if ids and draw(st.booleans()) else {}
        groups.append((rule, members))
    sizes = draw(st.lists(resources(4, 4, 3, 1, least=1), min_size=1, max_size=2))
    wanted = []
    for number in range(draw(st.integers(1, most))):
        spread, members = draw(st.sampled_from(groups))
        wanted.append(
            Item(
                key=f"{name}-{number}",
                kind=draw(st.sampled_from(["vm", "vm", "vm", "container"])),
                resources=draw(st.sampled_from(sizes)),
                arch=draw(st.sampled_from([None, None, "x86_64", "aarch64"])),
                traits=frozenset(draw(st.sets(st.sampled_from(["ssd", "avx"]), max_size=1))) if draw(st.booleans()) else frozenset(),
                pools=draw(st.sampled_from([(), (), ("p",), ("p", "q")])),
                zones=draw(st.sampled_from([(), (), (), ("b",)])),
                hosts=tuple(draw(st.sets(st.sampled_from(ids), max_size=2))) if ids and draw(st.integers(0, 7)) == 0 else (),
                spread=spread,
                members=members,
                **draw(rarely_asked()),
            )
        )
    return wanted


# -- oracle ----------------------------------------------------------------------------------------------------------------------


def possible(fleet: Sequence[Host], wanted: Sequence[Item]) -> bool:
    """Whether any assignment at all satisfies every rule: written from the rules' words, sharing nothing with the scheduler.

    Tries every host for the first, then for the next: no rule that some of the items break is kept by more of them.
    """

    def goes_on(chosen: list[Host]) -> bool:
        number = len(chosen)
        return number == len(wanted) or any(
            allowed(fleet, wanted[: number + 1], [*chosen, one]) and goes_on([*chosen, one]) for one in fleet if _may(one, wanted[number])
        )

    return goes_on([])


def _may(one: Host, wish: Item) -> bool:
    return (
        one.up
        and not one.cordoned
        and (one.on or one.wakes)
        and wish.kind in one.kinds
        and (not wish.pools or one.pool in wish.pools)
        and (not wish.zones or one.zone in wish.zones)
        and (wish.arch is None or wish.arch == one.arch)
        and wish.traits <= one.traits
        and (not wish.hosts or one.id in wish.hosts)
        and (not wish.sites or one.site in wish.sites)
        and (wish.baseline is None or wish.baseline in one.baselines)
        and one.level >= wish.level
        and (any(each in one.tenants for each in wish.tenants) if one.tenants or wish.level >= 4 else True)
        and (not wish.gpu_models or not wish.resources.gpus or one.gpu_model in wish.gpu_models)
        and (one.gpu_sharing or not wish.resources.gpus or wish.gpu_milli == 1000)
    )


def allowed(fleet: Sequence[Host], wanted: Sequence[Item], chosen: Sequence[Host]) -> bool:
    """Whether this assignment satisfies the rules, capacity and groups included."""
    for one in set(chosen):
        if not _holds(one, [each for each, to in zip(wanted, chosen, strict=True) if to is one]):
            return False
    if not all(_may(to, each) for each, to in zip(wanted, chosen, strict=True)):
        return False
    groups = {each.spread: each.members for each in wanted if each.spread}
    return all(group_holds(fleet, rule, members, wanted, chosen) for rule, members in groups.items())


def _holds(one: Host, mine: Sequence[Item]) -> bool:
    """Whether a host has room for all of these, in some division of its devices and cells among them."""
    for name in SIZES[:3]:
        more = sum(getattr(each.resources, name) for each in mine)
        if more and getattr(one.used, name) + more > getattr(one.capacity, name):
            return False
    shares = one.gpu_shares or [1000 if number < one.used.gpus else 0 for number in range(one.capacity.gpus)]
    devices = [1000 - share for share in shares]
    rooms = [(cell.vcpus - cell.used_vcpus, cell.memory_mib - cell.used_memory_mib) for cell in one.cells]
    return _divides(devices, [each for each in mine if each.resources.gpus]) and _fits_cells(rooms, [each for each in mine if each.cells])


def _divides(devices: Sequence[int], mine: Sequence[Item]) -> bool:
    """Whether every item gets its GPUs: tries every choice for the first, then the rest."""
    if not mine:
        return True
    first, rest = mine[0], mine[1:]
    return any(
        all(devices[number] >= first.gpu_milli for number in chosen)
        and _divides([left - first.gpu_milli * (number in chosen) for number, left in enumerate(devices)], rest)
        for chosen in combinations(range(len(devices)), first.resources.gpus)
    )


def _fits_cells(rooms: Sequence[tuple[int, int]], mine: Sequence[Item]) -> bool:
    """Whether every item gets its cells, likewise."""
    if not mine:
        return True
    first, rest = mine[0], mine[1:]
    vcpus, memory_mib = -(-first.resources.vcpus // first.cells), -(-first.resources.memory_mib // first.cells)
    return any(
        all(rooms[number][0] >= vcpus and rooms[number][1] >= memory_mib for number in chosen)
        and _fits_cells([(a - vcpus, b - memory_mib) if number in chosen else (a, b) for number, (a, b) in enumerate(rooms)], rest)
        for chosen in combinations(range(len(rooms)), first.cells)
    )


def group_holds(fleet: Sequence[Host], rule: Spread, members: Any, wanted: Sequence[Item], chosen: Sequence[Host]) -> bool:
    def domain(one: Host) -> str:
        return {"host": one.id, "rack": one.rack, "zone": one.zone, "site": one.site}[rule.domain]

    before = [domain(one) for one in fleet for _ in range(members.get(one.id, 0))]
    fresh = [domain(to) for each, to in zip(wanted, chosen, strict=True) if each.spread == rule]
    if rule.mode == "affinity":
        return set(fresh) <= set(before) if before else len(set(fresh)) == 1
    if rule.mode == "anti_affinity":
        return all((before + fresh).count(one) <= rule.max_per_domain for one in set(fresh))
    return True


def refused(result: Any) -> bool:
    """Whether a gang's result is a refusal."""
    return isinstance(result, NoValidHost)
