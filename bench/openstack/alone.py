"""Our driver without a controller: for each server what passes of the controller ask of it (`controller.reconcile.instance_pass`), with the
pauses that these make, in a thread of its own; and looks at all (`look`), as its other loop takes them.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench.openstack.site import CONTENT, SIZE
from controller.reconcile.instance_pass import BUSY_MAX_S, BUSY_S
from drivers.base import Condition, Image, InstanceSpec, Observation, Power
from drivers.errors import Transient
from drivers.openstack.driver import OpenStackDriver, open_openstack

_AT_ONCE = 32


def main() -> None:
    """Answer until there is nothing more to answer."""
    given = json.loads(sys.stdin.readline())
    with tempfile.TemporaryDirectory() as folder:
        driver = open_openstack(given["uri"], "bench", {**given["options"], "credentials": given["credentials"]})
        assert isinstance(driver, OpenStackDriver)  # noqa: S101
        image = _image(Path(folder))
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            asked = json.loads(line)
            answer = _look(driver, asked["looks"]) if "looks" in asked else _create(driver, image, asked["names"])
            print(json.dumps(answer), flush=True)
        driver.close()


def _create(driver: OpenStackDriver, image: Image, names: list[str]) -> dict[str, Any]:
    (host,) = driver.inventory().hosts

    def one(name: str) -> float:
        spec = InstanceSpec(
            instance_id=str(uuid.uuid4()),
            project_id="bench",
            name=name,
            kind="vm",
            host=host.name,
            gpus=0,
            arch="x86_64",
            image=image,
            power=Power.RUNNING,
            generation=1,
            vcpus=SIZE[0],
            memory_mib=SIZE[1],
            disk_gib=SIZE[2],
        )
        began = time.monotonic()
        driver.observe(spec.instance_id)
        _ensure(driver, spec)
        _wait(driver, spec)
        return time.monotonic() - began

    began = time.process_time()
    with ThreadPoolExecutor(min(len(names), _AT_ONCE)) as pool:
        wall = list(pool.map(one, names))
    return {"wall_s": wall, "cpu_s": time.process_time() - began}


def _ensure(driver: OpenStackDriver, spec: InstanceSpec) -> None:
    """Again where nova was too busy to answer, as the next pass would."""
    while True:
        try:
            return driver.ensure(spec)
        except Transient:
            time.sleep(BUSY_MAX_S)


def _wait(driver: OpenStackDriver, spec: InstanceSpec) -> Observation:
    seen, pause_s = driver.observe(spec.instance_id), BUSY_S
    while seen.condition is Condition.BUSY:
        time.sleep(pause_s)
        seen, pause_s = driver.observe(spec.instance_id), min(pause_s * 2, BUSY_MAX_S)
    if (seen.condition, seen.generation) != (Condition.RUNNING, spec.generation):
        raise RuntimeError(f"{spec.name}: {seen}")
    return seen


def _look(driver: OpenStackDriver, looks: int) -> dict[str, Any]:
    """CPU of each of so many looks at all, in milliseconds, and what was seen."""
    took, requests, seen = [], driver.asked, Counter[str]()
    for _ in range(looks):
        began = time.process_time()
        _, observations = driver.look()
        took.append((time.process_time() - began) * 1000)
        seen = Counter(one.condition.value for one in observations)
    return {"cpu_ms": took, "seen": seen, "requests": (driver.asked - requests) / looks}


def _image(folder: Path) -> Image:
    path = folder / "image.raw"
    path.write_bytes(CONTENT)
    digests = hashlib.sha256(CONTENT).hexdigest(), hashlib.new("sm3", CONTENT).hexdigest()
    return Image("bench", str(path), "raw", len(CONTENT), len(CONTENT), *digests)


if __name__ == "__main__":
    main()
