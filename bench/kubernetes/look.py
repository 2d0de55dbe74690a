"""The driver alone, in a process of its own, so that CPU and memory are its own: `python -m bench.kubernetes.look URI OWNER`.

In: lines of JSON on standard input, the first one a kubeconfig, then one for each question. Out: one line of JSON for each: what a first
look found, what an idle time of looks every fifteen seconds (as the controller's loop does) cost, of whom a wake-up told.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drivers.base import Condition
from drivers.kubernetes.driver import KubernetesDriver, open_kubernetes

_EVERY_S = 15.0


def main() -> None:
    """Answer until there is nothing more to answer."""
    uri, owner = sys.argv[1:]
    driver = open_kubernetes(
        uri, owner, {"credentials": json.loads(sys.stdin.readline()), "timeout_s": "60"}
    )  # a busy machine tells slowly
    assert isinstance(driver, KubernetesDriver)  # noqa: S101
    woken: set[str] = set()
    driver.watch(woken.add)
    try:
        for line in sys.stdin:
            print(json.dumps(_answer(driver, woken, **json.loads(line))), flush=True)
    finally:
        driver.close()


def _answer(driver: KubernetesDriver, woken: set[str], look_s: float | None = None) -> Mapping[str, Any]:
    """`look_s`: look once and then go on for so long; without it, who was woken since it was asked last."""
    if look_s is None:
        told = sorted(woken)
        woken.clear()
        return {"woken": told}
    began, deadline = time.process_time(), time.monotonic() + look_s
    while True:
        hosts, seen = driver.inventory().hosts, Counter(one.condition for one in driver.observe_all())
        rest = min(_EVERY_S, deadline - time.monotonic())
        if rest <= 0:
            break
        time.sleep(rest)
    spent = time.process_time() - began
    return {
        "hosts": len(hosts),
        "instances": seen.total(),
        "running": seen[Condition.RUNNING],
        "cpu_s": spent,
        "all_cpu_s": time.process_time(),
        "mib": _mib(),
    }


def _mib() -> float:
    """The most memory that this process has had."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1024


if __name__ == "__main__":
    main()
