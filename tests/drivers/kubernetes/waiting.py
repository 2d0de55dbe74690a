"""Doing what the controller does, for tests on a cluster: again and again, until it is so."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from drivers.base import Condition, InstanceSpec, Observation
from drivers.container import Container
from drivers.errors import TenantUnsettled, Transient
from drivers.kubernetes.driver import KubernetesDriver
from tests.drivers.kubernetes.backend import IMAGE


def until(what: str, true: Callable[[], Any], within_s: float = 40) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := true()):
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s"
        time.sleep(0.1)
    return found


def converge(driver: KubernetesDriver, spec: InstanceSpec, condition: Condition = Condition.RUNNING, within_s: float = 40) -> Observation:
    """Until the whole spec holds."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            driver.ensure(spec)
            seen: object = driver.observe(spec.instance_id)
        except Transient as error:
            seen = error
        if isinstance(seen, Observation) and seen.condition is condition and seen.generation == spec.generation:
            return seen
        assert time.monotonic() < deadline, f"not {condition} at {spec.generation} within {within_s} s: {seen!r}"
        time.sleep(0.1)


def create(driver: KubernetesDriver, spec: InstanceSpec) -> None:
    """One that gets past the quota, of which the server reckons a moment after it is written."""
    until("room in the quota", lambda: created(driver, spec))


def created(driver: KubernetesDriver, spec: InstanceSpec) -> bool:
    try:
        driver.ensure(spec)
    except TenantUnsettled:
        return False
    return True


def becomes(
    driver: KubernetesDriver, spec: InstanceSpec, code: str, condition: Condition | None = None, within_s: float = 60
) -> Observation:
    """Until that is the reason seen, in that condition where one is named: a kubelet says why a container ended before it ends the pod."""

    def named() -> Observation | None:
        seen = driver.observe(spec.instance_id)
        so = seen.reason is not None and seen.reason.code == code and condition in (None, seen.condition)
        return seen if so else None

    found: Observation = until(code, named, within_s)
    return found


def gone(driver: KubernetesDriver, *specs: InstanceSpec) -> None:
    """Removed, and seen to be."""
    for spec in specs:
        driver.remove(spec.instance_id)
    for spec in specs:
        until("absent", lambda spec=spec: driver.observe(spec.instance_id).condition is Condition.ABSENT)


def shell(script: str, **fields: Any) -> Container:
    """A container that runs a script."""
    return Container(**{"image": IMAGE, "command": ("/bin/sh", "-c", script), **fields})
