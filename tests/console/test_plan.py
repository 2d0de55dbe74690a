"""`chutian plan`: what is asked of the API, and what a person is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from console.exits import CONFLICT, OK

Run = Callable[..., Any]
SUMMARY = {
    "hosts": 3, "in_use": 2, "largest_vcpus": 4, "largest_memory_mib": 8192, "fill_mean": {}, "fill_max": {}, "peak": 0.75, "spread": 0.125,
    "fits": None, "resilient": True,
}  # fmt: skip
MOVE = {"step": 0, "id": "i", "name": "web-1", "project": "hubei/health", "source": "kvm-1", "target": "kvm-2"}
PLAN = {
    "kind": "drain", "reason": "done", "text": "1 moves empty kvm-1.", "benefit": 1.0, "moves": [MOVE], "before": SUMMARY,
    "after": {**SUMMARY, "in_use": 1}, "unsolvable": [], "lacks": [], "victims": [], "places": [],
    "switch_off": [], "saves_watts": None,
}  # fmt: skip
VICTIM = {
    "id": "v", "name": "batch-7", "project": "hubei/his", "host": "kvm-1", "priority": "batch", "frees": {"vcpus": 4, "memory_mib": 8192},
}  # fmt: skip
NOWHERE = {
    "id": "i",
    "name": "web-1",
    "project": "hubei/health",
    "host": "kvm-1",
    "rules": [{"rule": "vcpus", "excluded": 2, "text": "are full"}],
}


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("plan drain kvm-1", {"kind": "drain", "host": "kvm-1"}),
        ("plan consolidate general --spare-hosts 1", {"kind": "consolidate", "pool": "general", "spare_hosts": 1}),
        ("plan rebalance general", {"kind": "rebalance", "pool": "general"}),
        (
            "plan defragment general large --copies 3",
            {"kind": "defragment", "pool": "general", "flavor": "large", "copies": 3},
        ),
        (
            "plan preempt general large --copies 2 --priority normal",
            {"kind": "preempt", "pool": "general", "flavor": "large", "copies": 2, "priority": "normal"},
        ),
        (
            "plan preempt general large",
            {"kind": "preempt", "pool": "general", "flavor": "large", "copies": 1},
        ),
    ],
)
def test_what_is_asked(chutian: Run, server: Any, line: str, body: dict[str, Any]) -> None:
    server.on("POST /v1/plans", PLAN)
    assert chutian(*line.split()).code == OK
    (seen,) = server.seen
    assert json.loads(seen.raw) == body


def test_a_plan_is_shown_move_by_move_with_what_it_is_good_for(chutian: Run, server: Any) -> None:
    server.on("POST /v1/plans", PLAN)
    shown = chutian("plan", "drain", "kvm-1").out
    assert shown.splitlines()[0] == PLAN["text"]
    assert "web-1  hubei/health  kvm-1  kvm-2" in shown
    assert "hosts in use" in shown
    assert "75.0%" in shown
    assert json.loads(chutian("plan", "drain", "kvm-1", "-o", "json").out) == PLAN


def test_what_could_be_off_is_named_and_what_it_saves_only_as_far_as_it_is_known(chutian: Run, server: Any) -> None:
    idle = [{"host": "kvm-1", "watts": 180}, {"host": "kvm-3", "watts": None}]
    server.on("POST /v1/plans", {**PLAN, "kind": "consolidate", "switch_off": idle, "saves_watts": 180})
    shown = chutian("plan", "consolidate", "general").out
    assert "2 hosts could be switched off: kvm-1, kvm-3\nThat saves 180 W, by the 1 of 2 whose idle draw is known." in shown
    server.on("POST /v1/plans", {**PLAN, "kind": "consolidate", "switch_off": idle[1:]})
    assert "saves" not in chutian("plan", "consolidate", "general").out


def test_who_would_make_way_is_shown_with_what_it_frees(chutian: Run, server: Any) -> None:
    server.on("POST /v1/plans", {**PLAN, "kind": "preempt", "moves": [], "victims": [VICTIM], "places": ["kvm-1", "kvm-1"]})
    shown = chutian("plan", "preempt", "general", "large").out
    assert "batch-7  hubei/his  batch     kvm-1  vcpus=4 memory_mib=8GiB" in shown
    assert "They go to: kvm-1\n" in shown
    assert "75.0%" in shown


def test_what_stands_in_the_way_is_named_and_told_by_the_exit_code(chutian: Run, server: Any) -> None:
    lack = {"pool": "general", "hosts": ["kvm-2"], "certain": True, "short": {"vcpus": 3}}
    server.on("POST /v1/plans", {**PLAN, "reason": "unsolvable", "moves": [], "unsolvable": [NOWHERE], "lacks": [lack]})
    ran = chutian("plan", "drain", "kvm-1")
    assert ran.code == CONFLICT
    assert "web-1 (hubei/health) finds no place:" in ran.out
    assert "are full" in ran.out
    assert "could not lose kvm-2" in ran.out


def test_what_if_takes_everything_together(chutian: Run, server: Any) -> None:
    found = {"restarted": 3, "stranded": [NOWHERE], "stranded_count": 1, "placed": 2, "refused": [], "before": SUMMARY, "after": SUMMARY}
    server.on("POST /v1/what-if", found)
    line = "plan what-if --lose kvm-1 --add kvm-2=4 --retire-arch aarch64 --place large=2 --spare-hosts 1"
    ran = chutian(*line.split())
    assert ran.code == CONFLICT
    assert "3 restarted, 1 without a place, 2 placed anew" in ran.out
    (seen,) = server.seen
    assert json.loads(seen.raw) == {
        "lose": ["kvm-1"],
        "add": [{"like": "kvm-2", "count": 4}],
        "retire": ["aarch64"],
        "place": [{"flavor": "large", "count": 2}],
        "spare_hosts": 1,
    }
    assert chutian("plan", "what-if", "--add", "kvm-2=many").code == 2


def test_an_operator_may_ask_why_not_on_a_host(chutian: Run, server: Any) -> None:
    id_ = "019abf3c-1d20-7c3a-9f51-0c6b5f2f8a11"
    miss = {"host": "kvm-2", "rules": [{"rule": "vcpus", "text": "have too few free vCPUs"}], "short": {"vcpus": 2}}
    server.on(f"GET /v1/instances/{id_}/explain", {"instance": {}, "text": "It runs.", "placement": None, "not_there": miss, "events": []})
    shown = chutian("explain", "instance", id_, "--host", "kvm-2").out
    assert server.seen[0].query == {"host": "kvm-2"}
    assert "Now it can't be on kvm-2: hosts like it have too few free vCPUs (2 lacking)" in shown
