"""Limits over a tree of projects."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quotas.check import ANY, KINDS, RESOURCES, Amounts, Node, Over, add, check, rows


def node(path: str, limits: Mapping[tuple[str, str], int] | None = None, used: Amounts | None = None, held: Amounts | None = None) -> Node:
    return Node(f"id-of-{path}", path, limits or {}, used or {}, held or {})


VM, BOX = ("vm", "vcpus"), ("container", "vcpus")
ALL = (ANY, "vcpus")

# limits, used, held, asked → the kinds of the limits passed
TABLE: list[tuple[dict[tuple[str, str], int], Amounts, Amounts, Amounts, list[str]]] = [
    ({}, {VM: 1000}, {}, {VM: 1000}, []),
    ({VM: 4}, {}, {}, {VM: 4}, []),
    ({VM: 4}, {}, {}, {VM: 5}, ["vm"]),
    ({VM: 4}, {VM: 2}, {VM: 2}, {VM: 1}, ["vm"]),
    ({VM: 4}, {VM: 2}, {VM: 1}, {VM: 1}, []),
    ({VM: 4}, {BOX: 100}, {}, {VM: 4}, []),
    ({VM: 4}, {}, {}, {BOX: 5}, []),
    ({ALL: 4}, {BOX: 2}, {VM: 1}, {VM: 2}, [ANY]),
    ({ALL: 4}, {BOX: 2}, {VM: 1}, {VM: 1}, []),
    ({ALL: 4}, {}, {}, {VM: 2, BOX: 3}, [ANY]),
    ({ALL: 4, VM: 1}, {}, {}, {VM: 5}, [ANY, "vm"]),
    ({VM: 0}, {}, {}, {VM: 1}, ["vm"]),
    ({VM: 4}, {VM: 9}, {}, {BOX: 1}, []),  # passed already, but the ask adds nothing to it
    ({VM: 4}, {VM: 9}, {}, {VM: 0, BOX: 1}, []),
    ({VM: 4}, {VM: 9}, {}, {VM: -2}, []),  # growing smaller is never refused
    ({VM: 4}, {VM: 5}, {}, {}, ["vm"]),  # an empty ask: what is passed as it stands
    ({VM: 4}, {VM: 4}, {}, {}, []),
]


@pytest.mark.parametrize(("limits", "used", "held", "asked", "over"), TABLE)
def test_a_limit_is_passed_when_used_and_held_and_asked_exceed_it(
    limits: dict[tuple[str, str], int], used: Amounts, held: Amounts, asked: Amounts, over: list[str]
) -> None:
    assert [one.kind for one in check([node("p", limits, used, held)], asked)] == over


def test_every_limit_on_the_path_that_would_be_passed_is_named_root_first() -> None:
    root = node("root", {ALL: 10, ("vm", "instances"): 3}, {VM: 4, BOX: 3, ("vm", "instances"): 3}, {VM: 2})
    middle = node("root/a", {VM: 100})
    leaf = node("root/a/b", {VM: 3}, {VM: 2})
    assert check([root, middle, leaf], {VM: 2, ("vm", "instances"): 1}) == (
        Over("id-of-root", "root", ANY, "vcpus", 10, 7, 2, 2),
        Over("id-of-root", "root", "vm", "instances", 3, 3, 0, 1),
        Over("id-of-root/a/b", "root/a/b", "vm", "vcpus", 3, 2, 0, 2),
    )


def test_adding_leaves_the_sums_it_was_given_as_they_were() -> None:
    used = {VM: 1}
    assert add(used, {VM: 2, BOX: 3}) == {VM: 3, BOX: 3}
    assert used == {VM: 1}


def test_a_project_shows_all_resources_and_its_ancestors_only_what_they_limit() -> None:
    root = node("root", {("vm", "gpus"): 2, (ANY, "gpus"): 1}, {("vm", "gpus"): 3})
    leaf = node("root/a", {VM: 8, ALL: 9}, {VM: 3, BOX: 1}, {VM: 2})
    shown = [(row.path, row.kind, row.resource, row.limit, row.used, row.held, row.free) for row in rows([root, node("root/-"), leaf])]
    assert shown == [
        ("root/a", ANY, "instances", None, 0, 0, None),
        ("root/a", ANY, "vcpus", 9, 4, 2, 3),
        ("root/a", ANY, "memory_mib", None, 0, 0, None),
        ("root/a", ANY, "disk_gib", None, 0, 0, None),
        ("root/a", ANY, "gpus", None, 0, 0, None),
        ("root/a", "vm", "vcpus", 8, 3, 2, 3),
        ("root", ANY, "gpus", 1, 3, 0, 0),
        ("root", "vm", "gpus", 2, 3, 0, 0),
    ]


_RESOURCES = st.sampled_from(RESOURCES[:3])
_LIMITS = st.dictionaries(st.tuples(st.sampled_from((*KINDS, ANY)), _RESOURCES), st.integers(0, 9), max_size=4)
_ASKED = st.dictionaries(st.tuples(st.sampled_from(KINDS), _RESOURCES), st.integers(0, 5), min_size=1, max_size=4)


@given(st.lists(_LIMITS, min_size=4, max_size=4), st.lists(st.tuples(st.integers(0, 1), _ASKED, st.booleans()), max_size=8))
@settings(max_examples=150, deadline=None)
def test_no_project_is_over_any_limit_after_accepting_what_fits(
    limits: list[dict[tuple[str, str], int]], asks: list[tuple[int, Amounts, bool]]
) -> None:
    tree = {name: node(name, bounds) for name, bounds in zip(("root", "half", "left", "right"), limits, strict=True)}
    for leaf, asked, hold in asks:
        path = [tree["root"], tree["half"], tree[("left", "right")[leaf]]]
        if check(path, asked):
            continue
        for one in path:
            used, held = (one.used, add(one.held, asked)) if hold else (add(one.used, asked), one.held)
            tree[one.path] = Node(one.project_id, one.path, one.limits, used, held)
    for one in tree.values():
        assert check([one], {}) == ()
        for (kind, resource), limit in one.limits.items():
            kinds = KINDS if kind == ANY else (kind,)
            assert sum(sums.get((each, resource), 0) for sums in (one.used, one.held) for each in kinds) <= limit


@given(_LIMITS, _ASKED, _ASKED)
@settings(max_examples=150, deadline=None)
def test_what_fits_on_top_of_more_fits_on_top_of_less(limits: dict[tuple[str, str], int], used: Amounts, asked: Amounts) -> None:
    if not check([node("p", limits, used)], asked):
        assert not check([node("p", limits)], asked)
