"""The region that all sides are measured on: the lab's, with simulated hypervisors, and an ordinary project's credentials.

Counted is what comes in at the region's gate, whoever sends it, tokens and discovery included. A side is a process of its own
(`Side`), so that its CPU is its own: `python -m bench.openstack.WHICH`. In: lines of JSON on standard input, the first one who and where it
is, then one for each task. Out: one line for each.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.openstack.rig import Region
from tests.lab.openstack.settings import DEMO, FLAVORS, IMAGE, NETWORK
from tests.lab.openstack.shared import shared_region

FLAVOR = "m1.nano"
SIZE = FLAVORS[FLAVOR]  # vCPUs, MiB, GiB
CONTENT = bytes(1 << 20)  # of the image that ours boot from: what the lab's own has, which theirs boot from
_VCPUS = 512  # of each hypervisor
_SOON_S, _GONE_S = 60.0, 300.0
_CLONE = Path(__file__).resolve().parents[2]


def region() -> Region:
    """It ends with this process."""
    found = shared_region()
    for compute in found.computes:
        compute.configure(vcpus=_VCPUS)
    for provider in found.admin.ask("placement", "GET /resource_providers")["resource_providers"]:
        where = f"GET /resource_providers/{provider['uuid']}/inventories/VCPU"
        found.admin.until("placement", where, lambda said: said["total"] == _VCPUS, _SOON_S)
    return found


def task(found: Region) -> dict[str, Any]:
    """Who and where a side is."""
    cloud = found.cloud(DEMO)
    inline = {name: value for name, value in cloud.items() if name != "cacert"}
    return {
        "cloud": cloud,
        "uri": f"openstack+{found.settings.public_url('keystone')}",
        "options": {"sees": "opaque", "network": NETWORK, "ca_file": str(found.settings.ca), "timeout_s": "60", "call_s": "120"},
        "credentials": json.dumps({"clouds": {"bench": inline}}),
        "flavor": FLAVOR,
        "image": IMAGE,
        "network": NETWORK,
    }


@contextmanager
def side(which: str, given: Mapping[str, Any]) -> Iterator[Callable[..., Any]]:
    """A process of a side; what is yielded gives it a task and returns what it says."""
    line = [sys.executable, "-m", f"bench.openstack.{which}"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_CLONE) as process:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
        told, says = process.stdin, process.stdout

        def ask(**asked: Any) -> Any:
            told.write(json.dumps(asked) + "\n")
            told.flush()
            said = says.readline()
            if not said:
                raise RuntimeError(f"bench.openstack.{which} has ended")
            return json.loads(said)

        try:
            ask(**given)
            yield ask
        finally:
            told.close()


def requests(found: Region) -> int:
    """How many came in so far."""
    return len(found.gate.requests())


def clear(found: Region) -> None:
    """Take all of the project's servers away."""
    api = found.user(DEMO)
    for one in api.ask("nova-api", "GET /servers")["servers"]:
        api.ask("nova-api", f"DELETE /servers/{one['id']}")
    api.until("nova-api", "GET /servers", lambda said: not said["servers"], _GONE_S)
