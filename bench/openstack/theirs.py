"""openstacksdk's own way, at its best: one connection, image, flavor and network looked up once before, then `create_server(wait=True)` for
each server in a thread of its own.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openstack
from openstack.connection import Connection


def main() -> None:
    """Answer until there is nothing more to answer."""
    given = json.loads(sys.stdin.readline())
    sdk = openstack.connect(load_yaml_config=False, load_envvars=False, **given["cloud"])
    found = {
        "image": sdk.image.find_image(given["image"], ignore_missing=False),
        "flavor": sdk.compute.find_flavor(given["flavor"], ignore_missing=False),
        "network": sdk.network.find_network(given["network"], ignore_missing=False),
    }
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(_create(sdk, found, **json.loads(line))), flush=True)


def _create(sdk: Connection, found: dict[str, Any], names: list[str]) -> dict[str, Any]:
    def one(name: str) -> float:
        began = time.monotonic()
        server = sdk.create_server(name, **found, config_drive=True, auto_ip=False, wait=True, timeout=600)
        if server.status != "ACTIVE":
            raise RuntimeError(f"{name} is {server.status}")
        return time.monotonic() - began

    began = time.process_time()
    with ThreadPoolExecutor(len(names)) as pool:
        wall = list(pool.map(one, names))
    return {"wall_s": wall, "cpu_s": time.process_time() - began}


if __name__ == "__main__":
    main()
