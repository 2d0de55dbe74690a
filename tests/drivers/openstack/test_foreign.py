"""What is told of a server that isn't ours, and what stands in the way of its adoption, from what nova says of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from drivers.base import Power, Reason
from drivers.openstack.foreign import Copy, Sight, copy, is_foreign, told
from drivers.openstack.names import Mark
from drivers.openstack.records import RUNNING, SHUTDOWN
from tests.drivers.openstack.servers import ID, OWNER, STATES

SIGHT = Sight(OWNER, "", "", datetime(2026, 11, 1, tzinfo=UTC), 600.0)
SETTLED = {"ACTIVE": Power.RUNNING, "SHUTOFF": Power.STOPPED}
FLAVOR = {"vcpus": 2, "ram": 4096, "disk": 20, "ephemeral": 0, "swap": 0, "original_name": "m1.medium", "extra_specs": {}}


def raw(status: str = "ACTIVE", flavor: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A server as nova lists it."""
    vm_state, power = STATES[status]
    return {
        "id": ID,
        "name": "Web Server",
        "status": status,
        "OS-EXT-STS:vm_state": vm_state,
        "OS-EXT-STS:task_state": None,
        "OS-EXT-STS:power_state": power,
        "OS-EXT-SRV-ATTR:hypervisor_hostname": "c1",
        "OS-SRV-USG:launched_at": "2026-10-01T00:00:00.000000",
        "created": "2026-10-01T00:00:00Z",
        "updated": "2026-10-01T00:00:00Z",
        "image": {"id": "image-1"},
        "flavor": {**FLAVOR, **(flavor or {})},
        "metadata": {},
        "tags": [],
        "tenant_id": "p1",
        "host_status": "UP",
        "locked": False,
        "os-extended-volumes:volumes_attached": [],
        **fields,
    }


def marked(owner: str) -> dict[str, str]:
    return Mark(owner, ID).written()


@pytest.mark.parametrize("status", STATES)
@pytest.mark.parametrize("task", [None, "migrating", "deleting"])
def test_only_what_is_on_or_off_with_nothing_under_way_can_be_adopted(status: str, task: str | None) -> None:
    found = told(raw(status, **{"OS-EXT-STS:task_state": task}), SIGHT, Copy())
    free = status in SETTLED and task is None
    assert (found.obstacle is None) == free
    assert found.power == (SETTLED[status] if free else None)


@pytest.mark.parametrize("power", [0, RUNNING, 3, SHUTDOWN, 6, 7])
def test_what_contradicts_its_power_is_not_adopted(power: int) -> None:
    found = told(raw(**{"OS-EXT-STS:power_state": power}), SIGHT, Copy())
    assert (found.obstacle is None) == (power == RUNNING)


@pytest.mark.parametrize(
    ("given", "obstacle"),
    [
        (raw(image=""), Reason("boots_from_volume")),
        (raw(image=None), Reason("boots_from_volume")),
        (raw(**{"os-extended-volumes:volumes_attached": [{"id": "v1"}, {"id": "v2"}]}), Reason("volumes_attached", {"count": 2})),
        (raw(flavor={"disk": 0}), Reason("size_unsaid", {"flavor": "m1.medium"})),
        (raw(flavor={"ephemeral": 5, "swap": 64}), Reason("more_disks", {"ephemeral_gib": 5, "swap_mib": 64})),
        (raw(flavor={"swap": ""}), None),
        (raw(flavor={"extra_specs": {"pci_passthrough:alias": "gpu:1"}}), Reason("special_hardware", {"what": "pci_passthrough:alias"})),
        (
            raw(flavor={"extra_specs": {"resources:VGPU": "1", "hw:numa_nodes": "2"}}),
            Reason("special_hardware", {"what": "hw:numa_nodes, resources:VGPU"}),
        ),
        (raw(flavor={"extra_specs": {"hw_rng:allowed": "true", "quota:vif_inbound_average": "1"}}), None),
        (raw(host_status="UNKNOWN"), Reason("host_silent", {"node": "c1"})),
        (raw(host_status="DOWN"), Reason("host_fenced", {"node": "c1"})),
        (raw(locked=True), Reason("server_locked")),
        (raw(metadata=marked("another")), Reason("other_owner")),
        (raw(metadata={"chutian_owner": "another"}), Reason("other_owner")),
        (raw(metadata={"chutian_owner": OWNER}), None),
    ],
)  # fmt: skip
def test_what_stands_in_its_way_is_named(given: dict[str, Any], obstacle: Reason | None) -> None:
    assert told(given, SIGHT, Copy()).obstacle == obstacle


def test_it_is_told_of_as_its_people_know_it() -> None:
    found = told(raw(), SIGHT, Copy("ubuntu", ""))
    assert (found.name, found.status, found.host, found.group, found.flavor, found.image) == (
        "Web Server", "active", "c1", "p1", "m1.medium", "ubuntu",
    )  # fmt: skip
    assert (found.vcpus, found.memory_mib, found.disk_gib, found.created_at) == (2, 4096, 20, "2026-10-01T00:00:00Z")
    assert told(raw(), replace(SIGHT, host="region"), Copy()).host == "region", "where hypervisors aren't seen"
    assert told(raw(), SIGHT, Copy()).image == "image-1", "an image that is gone has no name"


def test_where_one_zone_is_the_host_only_what_is_in_it_is_adopted() -> None:
    sight = replace(SIGHT, host="az-1", zone="az-1")
    assert told(raw(**{"OS-EXT-AZ:availability_zone": "az-1"}), sight, Copy()).obstacle is None
    assert told(raw(**{"OS-EXT-AZ:availability_zone": "az-2"}), sight, Copy()).obstacle == Reason("other_zone", {"zone": "az-2"})
    assert told(raw(**{"OS-EXT-AZ:availability_zone": "az-2"}), SIGHT, Copy()).obstacle is None


def test_whose_it_is_says_its_mark_alone() -> None:
    assert is_foreign(raw(), OWNER)
    assert is_foreign(raw(metadata=marked("another")), OWNER)
    assert is_foreign(raw(tags=[f"chutian-{OWNER}"]), OWNER)
    assert not is_foreign(raw(metadata=marked(OWNER)), OWNER)


def test_an_image_is_known_by_its_digest_only_where_we_sent_it() -> None:
    sent = {"name": f"chutian-{'ab' * 32}", "owner": "p1", "status": "active", "chutian_sm3": "cd" * 32}
    assert copy(sent, "p1") == Copy(sent["name"], "ab" * 32)
    for lie in ({"owner": "p2"}, {"status": "queued"}, {"chutian_sm3": ""}, {"name": "ubuntu"}):
        assert copy({**sent, **lie}, "p1").sha256 == ""
