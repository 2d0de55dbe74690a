"""A process that ensures and removes instances until it is killed: `python -m tests.drivers.kubernetes.hammer FILE`.

In: a file with the endpoint, and lists of instances to be there and to be gone. It says nothing and remembers nothing.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import suppress
from pathlib import Path

from drivers.base import InstanceSpec, Power
from drivers.container import Container, Tenant
from drivers.errors import Transient
from drivers.kubernetes.driver import KubernetesDriver, open_kubernetes


def spec_from(given: dict[str, object]) -> InstanceSpec:
    """A spec from its plain fields."""
    fields = {**given, "power": Power(str(given["power"])), "container": Container(str(given["container"]), secrets=(("KEY", "value"),))}
    return InstanceSpec(**fields)  # type: ignore[arg-type]


def main(path: Path) -> None:
    """Until killed."""
    task = json.loads(path.read_text())
    driver = open_kubernetes(task["uri"], task["owner"], task["options"])
    assert isinstance(driver, KubernetesDriver)
    tenant = Tenant(**task["tenant"])
    while True:
        for given in task["there"]:
            with suppress(Transient):
                driver.settle([tenant], whole=True)
                driver.ensure(spec_from(given))
        for instance_id in task["gone"]:
            with suppress(Transient):
                driver.remove(instance_id)
        time.sleep(0.01)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
