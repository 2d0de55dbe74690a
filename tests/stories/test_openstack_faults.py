"""Servers by the hundred while the controller is killed again and again, and nova dies, hangs and has its replies lost.

Real controller processes and a real region; its hypervisors are simulated, since it is scale and faults that are asked about.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from drivers.openstack.names import owner_tag, read_mark
from tests.api.outside import PLENTY, Cloud
from tests.drivers.openstack.backend import image, options_for, uri
from tests.lab.openstack.compute import SIZE
from tests.lab.openstack.gate import Fault
from tests.lab.openstack.rig import Region
from tests.lab.openstack.settings import ADMIN
from tests.lab.openstack.shared import shared_region
from tests.stories.serving import Serving, patient, states_of

pytestmark = [pytest.mark.real, pytest.mark.slow]
MANY = 200
WITHIN_S = 900  # a few minutes on a machine that has nothing else to do
LOST_S = "180"  # a nova-api that is killed in between has said yes, and told nobody


@pytest.fixture
def region() -> Iterator[Region]:
    """The shared one, with room."""
    made = shared_region()
    for compute in made.computes:
        compute.configure(vcpus=MANY)
    yield made
    made.gate.expect()
    for left in made.admin.ask("nova-api", "GET /servers?all_tenants=1&name=^server-")["servers"]:
        made.delete(left["id"])
    for compute in made.computes:
        compute.configure(**SIZE)


def furnish(serving: Serving, region: Region) -> None:
    ask = serving.admin.ask
    options = options_for(ADMIN, sees="hosts", call_s="20", stuck_s=LOST_S)
    credentials = options.pop("credentials")
    ask("POST /v1/pools", {"name": "region", "zone": "z", "overcommit": {"vcpus": 1.0}, "reserved": {"memory_mib": 0, "disk_gib": 0}})
    ask("POST /v1/flavors", {"name": "small", "vcpus": 1, "memory_mib": 128, "disk_gib": 1})
    ask("POST /v1/images", {"name": "blank", "arch": "x86_64", "format": "raw"})
    ask("PUT /v1/images/blank/content", Path(image().path).read_bytes())
    body = {"name": "region", "driver": "openstack", "uri": uri(region), "pool": "region", "options": options, "credentials": credentials}
    hosts = ask("POST /v1/endpoints", body)["hosts"]
    for name in hosts:  # nova tells of the room a few seconds later
        serving.admin.until(f"GET /v1/hosts/{name}", lambda host: host["capacity"]["vcpus"] >= MANY, 60)


def ours(serving: Serving, region: Region) -> list[dict[str, Any]]:
    """What this controller has in the region."""
    with psycopg.connect(serving.database_url) as conn:
        (owner,) = conn.execute("SELECT owner::text FROM cloud").fetchone() or ("",)
    found: list[dict[str, Any]] = []
    while True:
        after = f"&marker={found[-1]['id']}" if found else ""
        page = region.admin.ask("nova-api", f"GET /servers/detail?all_tenants=1&tags={owner_tag(owner)}{after}")["servers"]
        if not page:
            return found
        found += page


def test_two_hundred_servers_survive_killed_controllers_and_a_nova_that_dies_hangs_and_is_not_heard(
    region: Region, serving: Serving
) -> None:
    furnish(serving, region)
    admin = serving.admin
    department = Cloud("", "hubei", admin, admin, "", serving.folder, serving.log).department(PLENTY | {"instances": MANY, "vcpus": MANY})

    def wish(number: int) -> dict[str, Any]:
        both = {"mode": "spread", "domain": "host"}  # a nova-compute takes one claim after another
        item = {"name": f"server-{number}", "flavor": "small", "image": "blank", "count": MANY // 4, "spread": both}
        return {"project": department.path, "reason": "test", "items": [item]}

    def again_and(deed: Any) -> None:
        time.sleep(4)
        serving.again()
        time.sleep(4)
        deed()

    region.gate.expect(*(Fault("nova-api", "POST", r"/servers$", act, times=8) for act in ("cut", "drop")))
    with ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(patient, department.member, "POST /v1/requests", wish(number)) for number in range(4)]
        again_and(lambda: region.kill("nova-api"))
        again_and(lambda: region.start("nova-api"))
        again_and(lambda: region.freeze("nova-api"))
        again_and(lambda: region.thaw("nova-api"))
        serving.again()
        answers = [one.result() for one in asked]
    assert Counter(answer.status_code for answer in answers) == Counter({201: 4})
    ids = {id_ for answer in answers for id_ in answer.json()["instances"]}
    assert len(ids) == MANY

    end = time.monotonic() + WITHIN_S
    while (states := states_of(serving))["active", "running", None] < MANY:
        assert time.monotonic() < end, f"not all run: {states}\n{serving.log.read_text()[-2000:]}"
        time.sleep(1)
    marks = [read_mark(server["metadata"]) for server in ours(serving, region)]
    assert Counter(mark.instance for mark in marks if mark) == Counter(dict.fromkeys(ids, 1)), "a server for each row"
    serving.again()
    for one in ids:
        assert patient(department.member, f"DELETE /v1/instances/{one}").status_code == 202
    end = time.monotonic() + WITHIN_S
    while left := ours(serving, region):
        assert time.monotonic() < end, f"{len(left)} servers are left"
        time.sleep(1)
    department.admin.until(
        f"GET /v1/projects/{department.path}/quota",
        lambda quota: sum(row["used"] for row in quota["rows"] if row["project"] == department.path) == 0,
    )
