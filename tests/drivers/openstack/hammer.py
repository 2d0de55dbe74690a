"""A process that ensures and removes instances until it is killed: `python -m tests.drivers.openstack.hammer FILE`.

In: a file with the endpoint, the image, and lists of instances to be there and to be gone. Out: a line each time when it was through with
all of them. It remembers nothing.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from drivers.base import Image, InstanceSpec, Power
from drivers.errors import Transient
from drivers.openstack.driver import open_openstack


def spec_from(given: dict[str, Any]) -> InstanceSpec:
    """A spec from its plain fields."""
    return InstanceSpec(**{**given, "power": Power(given["power"]), "image": Image(**given["image"])})


def main(path: Path) -> None:
    """Until killed."""
    task = json.loads(path.read_text())
    driver = open_openstack(task["uri"], task["owner"], task["options"])
    while True:
        for given in task["there"]:
            with suppress(Transient):
                driver.ensure(spec_from(given))
        for instance_id in task["gone"]:
            with suppress(Transient):
                driver.remove(instance_id)
        print("through", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
