"""What `ensure` does next, enumerated: every state of a pod against every kind of spec."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from drivers.base import Health, InstanceSpec, Power
from drivers.container import Container
from drivers.errors import InvalidSpec
from drivers.kubernetes import names, records
from drivers.kubernetes import pod as making
from drivers.kubernetes.deciding import Act, acts
from drivers.kubernetes.options import Options
from drivers.kubernetes.returning import TAKEN
from tests.drivers.kubernetes.objects import OWNER, served, spec_of

FAILED = {"ended": True, "phase": "Failed", "failed": records.Failure(0.0, 1.0, "")}


def content(spec: InstanceSpec) -> str:
    raw = making.pod(spec, making.Setting(OWNER, Options()))
    return str(raw["metadata"]["annotations"][names.CONTENT])


def decide(made_from: InstanceSpec, asked: InstanceSpec, health: Health = Health.READY, **state: Any) -> tuple[Act, ...]:
    seen = replace(records.pod(served(made_from), OWNER), phase="Running")
    return acts(asked, content(asked), replace(seen, **state), health)


def test_where_there_is_none_one_is_made() -> None:
    assert acts(spec_of(), content(spec_of()), None, Health.READY) == (Act.CREATE,)


def test_the_same_spec_does_nothing() -> None:
    for force in (False, True):
        assert decide(spec_of(), spec_of(force=force)) == ()


def test_a_new_generation_of_the_same_is_only_stamped() -> None:
    assert decide(spec_of(), spec_of(generation=2)) == (Act.STAMP,)


def test_who_was_led_away_from_its_service_is_stamped_and_runs_on() -> None:
    assert decide(spec_of(), spec_of(), led_astray=True) == (Act.STAMP,)


def test_an_older_generation_is_refused() -> None:
    with pytest.raises(InvalidSpec):
        decide(spec_of(generation=5), spec_of(generation=4))


CHANGES: dict[str, dict[str, Any]] = {
    "size": {"vcpus": 2},
    "build": {"build": 2},
    "reboot": {"reboots": 1},
    "stop": {"power": Power.STOPPED},
    "image": {"container": Container("registry.lan/web:2")},
    "service": {"container": Container("registry.lan/web:1", service="web")},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_takes_the_pod_away_with_its_time_to_end(change: dict[str, Any]) -> None:
    asked = spec_of(generation=2, **change)
    assert decide(spec_of(), asked) == (Act.DELETE,)
    assert decide(spec_of(), replace(asked, force=True)) == (Act.HURRY,)
    assert decide(spec_of(), asked, deleting=True, grace_s=30) == ()
    assert decide(spec_of(), replace(asked, force=True), deleting=True, grace_s=30) == (Act.HURRY,)
    assert decide(spec_of(), replace(asked, force=True), deleting=True, grace_s=1) == ()
    assert decide(spec_of(), asked, Health.FENCED, deleting=True) == (Act.ERASE, Act.CREATE)
    assert decide(spec_of(), asked, **FAILED) == (Act.ERASE, Act.CREATE)


def test_what_moves_off_a_node_that_works_is_evicted_however_long_that_takes() -> None:
    asked = spec_of(generation=2, host="node-2")
    assert decide(spec_of(), asked) == (Act.EVICT,)
    assert decide(spec_of(), replace(asked, force=True)) == (Act.EVICT,)
    assert decide(spec_of(), asked, Health.SILENT) == (Act.DELETE,)
    assert decide(spec_of(), asked, Health.FENCED) == (Act.ERASE, Act.CREATE)


def test_a_stopped_instance_runs_nowhere_so_its_pod_may_be_made_anew_at_once() -> None:
    stopped = spec_of(power=Power.STOPPED)
    assert decide(stopped, spec_of(generation=2), node="", gated=True) == (Act.ERASE, Act.CREATE)
    assert decide(stopped, replace(stopped, generation=2, host="node-2"), node="", gated=True) == (Act.ERASE, Act.CREATE)


def test_what_came_to_its_end_is_started_again_only_when_asked_anew() -> None:
    once = spec_of(container=Container("registry.lan/job:1", restart="never"))
    assert decide(once, once, ended=True, phase="Succeeded") == ()
    assert decide(once, replace(once, generation=2), ended=True, phase="Succeeded") == (Act.ERASE, Act.CREATE)


@pytest.mark.parametrize("restart", ["always", "on_failure", "never"])
@pytest.mark.parametrize("reason", ["", "DeadlineExceeded", *TAKEN, "OutOfcpu", "NodeAffinity", "UnexpectedAdmissionError"])
def test_what_failed_by_itself_stays_and_what_its_node_took_comes_back_whatever_its_policy(restart: str, reason: str) -> None:
    once = spec_of(container=Container("registry.lan/job:1", restart=restart))
    by_itself = reason in ("", "DeadlineExceeded")
    again = (Act.ERASE, Act.CREATE)
    assert decide(once, once, **FAILED, reason=reason) == (() if by_itself else again)
    assert decide(once, replace(once, generation=2), **FAILED, reason=reason) == again


def test_secrets_count_by_their_generation() -> None:
    first = spec_of(container=Container("web", secrets=(("KEY", "one"),)))
    other = spec_of(container=Container("web", secrets=(("KEY", "two"),)), generation=2)
    assert content(first) == content(replace(other, generation=1))
    assert decide(first, other) == (Act.DELETE,)


def test_what_was_changed_behind_our_back_is_made_anew() -> None:
    assert decide(spec_of(), spec_of(), altered=True) == (Act.DELETE,)


def test_nothing_is_created_beside_what_may_still_run() -> None:
    changes: list[dict[str, Any]] = [{}, {"host": "node-2"}, {"vcpus": 2}, {"power": Power.STOPPED}, {"reboots": 1}]
    phases = ("Pending", "Running", "Succeeded", "Failed")
    for change, force, health, deleting, phase, node in product(changes, (False, True), Health, (False, True), phases, ("", "node-1")):
        asked = spec_of(generation=2, force=force, **change)
        ended = phase in records.ENDED
        done = decide(spec_of(), asked, health, deleting=deleting, grace_s=30, phase=phase, ended=ended, node=node)
        runs = bool(node) and health is not Health.FENCED and not ended
        assert Act.CREATE not in done or done == (Act.ERASE, Act.CREATE)
        assert not (runs and {Act.CREATE, Act.ERASE} & set(done)), (change, force, health, deleting, phase)
