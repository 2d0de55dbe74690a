"""What there is in a region, as far as it is decided without asking: hosts, rights, all servers, images and their bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Health, HostPower, Image, Reason
from drivers.errors import ImageCorrupt
from drivers.openstack import hosts, images, options, rights
from drivers.openstack.hosts import Provider
from drivers.openstack.records import Size
from drivers.openstack.view import at_home, latest, since, updated
from tests.drivers.openstack.servers import IMAGE, OWNER, made, spec_of

# -- hosts -------------------------------------------------------------------------------------------------------------------------------


def inventory(total: int, reserved: int = 0, ratio: float = 1.0) -> dict[str, Any]:
    return {"total": total, "reserved": reserved, "allocation_ratio": ratio}


WHOLE = {"VCPU": inventory(16, 0, 4.0), "MEMORY_MB": inventory(65536, 512), "DISK_GB": inventory(1000)}
HYPERVISOR = {"id": "u1", "hypervisor_hostname": "c1", "service": {"host": "c1"}, "cpu_info": {"arch": "x86_64"}}
COMPUTE = {"host": "c1", "state": "up", "status": "enabled", "zone": "nova", "forced_down": False, "disabled_reason": None}


def host(provider: Provider, service: dict[str, Any] | None = None, ours: frozenset[str] = frozenset(), **raw: Any) -> Any:
    return hosts.hypervisor({**HYPERVISOR, **raw}, {**COMPUTE, **(service or {})}, provider, ours, frozenset(), "x86_64")


def test_a_hypervisor_has_what_placement_says_less_what_is_reserved() -> None:
    found = host(Provider(WHOLE))
    assert (found.name, found.arch, found.vcpus, found.memory_mib, found.disk_gib) == ("c1", "x86_64", 16, 65024, 1000)
    assert (found.health, found.power, found.closed, found.zone, found.notes) == (Health.READY, HostPower.ON, None, "", ())


@pytest.mark.parametrize(("theirs", "vcpus"), [(0, 16), (1, 15), (4, 15), (5, 14), (64, 0), (999, 0)])
def test_what_others_hold_counts_as_novas_ratio_says(theirs: int, vcpus: int) -> None:
    allocations = {"theirs": {"VCPU": theirs, "MEMORY_MB": 1024}, "ours": {"VCPU": 8, "MEMORY_MB": 2048}}
    found = host(Provider(WHOLE, allocations), ours=frozenset({"ours"}))
    assert (found.vcpus, found.memory_mib, found.disk_gib) == (vcpus, 64000, 1000)


@given(st.integers(1, 512), st.integers(0, 2048), st.sampled_from([1.0, 1.5, 2.0, 4.0, 16.0]))
def test_what_we_promise_up_to_novas_ratio_nova_will_take(total: int, theirs: int, ratio: float) -> None:
    left = hosts.left(Provider({"VCPU": inventory(total, 0, ratio)}, {"x": {"VCPU": theirs}}), "VCPU", frozenset())
    assert 0 <= left <= total
    assert left == 0 or theirs + left * ratio <= total * ratio + 1e-9


def test_a_hypervisor_that_placement_does_not_know_has_nothing() -> None:
    assert host(Provider()).vcpus == 0


@pytest.mark.parametrize(
    ("service", "health", "closed"),
    [
        ({}, Health.READY, None),
        ({"state": "down"}, Health.SILENT, None),
        ({"state": "down", "forced_down": True}, Health.FENCED, None),
        ({"status": "disabled", "disabled_reason": "new disks"}, Health.READY, Reason("service_disabled", {"detail": "new disks"})),
        ({"status": "disabled", "state": "down"}, Health.SILENT, Reason("service_disabled", {"detail": ""})),
    ],
)
def test_a_nova_compute_says_whether_its_host_can_be_used(service: dict[str, Any], health: Health, closed: Reason | None) -> None:
    found = host(Provider(WHOLE), service)
    assert (found.health, found.closed) == (health, closed)
    assert bool(found.notes) == (health is not Health.READY)


def test_a_hypervisor_without_a_nova_compute_is_silent() -> None:
    assert hosts.hypervisor(HYPERVISOR, None, Provider(WHOLE), frozenset(), frozenset(), "x86_64").health is Health.SILENT
    assert hosts.host_status(None) == "UNKNOWN"


@pytest.mark.parametrize(
    ("raw", "traits", "arch"),
    [
        ({"cpu_info": {"arch": "aarch64"}}, (), "aarch64"),
        ({"cpu_info": {"arch": "arm64"}}, (), "aarch64"),
        ({"cpu_info": None}, ("HW_ARCH_AARCH64",), "aarch64"),
        ({"cpu_info": ""}, ("COMPUTE_ARCH_AARCH64", "COMPUTE_ARCH_X86_64"), "x86_64"),
        ({"cpu_info": {}}, (), "x86_64"),
    ],
)
def test_the_architecture_is_the_hypervisors_or_the_options(raw: dict[str, Any], traits: tuple[str, ...], arch: str) -> None:
    assert host(Provider(WHOLE, traits=frozenset(traits)), **raw).arch == arch


def test_zones_and_aggregates_become_zone_and_traits() -> None:
    assert host(Provider(WHOLE), {"zone": "az1"}).zone == "az1"
    aggregates = [
        {"name": "GPU Nodes!", "hosts": ["c1"]},
        {"name": "other", "hosts": ["c2"]},
        {"name": "", "hosts": ["c1"]},
        {"hosts": None},
    ]
    assert hosts.aggregates_of(aggregates, "c1") == {"aggregate-gpu-nodes"}


LIMITS = {"maxTotalCores": 20, "maxTotalRAMSize": 40960, "maxTotalInstances": 10}


@pytest.mark.parametrize(
    ("used", "ours", "expected"),
    [
        ((0, 0, 0), [], (20, 40960, 10)),
        ((4, 8192, 2), [], (16, 32768, 8)),
        ((4, 8192, 2), [Size(2, 4096, 20)], (18, 36864, 9)),
        ((0, 0, 0), [Size(2, 4096, 20)], (20, 40960, 10)),  # nova counts a moment late
        ((30, 50000, 20), [], (0, 0, 0)),  # lowered behind our back
    ],
)
def test_an_opaque_region_is_the_projects_limits_less_what_is_not_ours(
    used: tuple[int, int, int], ours: list[Size], expected: tuple[int, int, int]
) -> None:
    limits = {**LIMITS, **dict(zip(("totalCoresUsed", "totalRAMUsed", "totalInstancesUsed"), used, strict=True))}
    found = hosts.region("r1", limits, ours, options.parse({"sees": "opaque", "disk_gib": "500"}), "")
    assert (found.vcpus, found.memory_mib, found.instances) == expected
    assert (found.name, found.disk_gib, found.power) == ("r1", 500, HostPower.UNKNOWN)


def test_what_would_count_twice_is_the_same_and_nothing_else_is() -> None:
    """A hypervisor has a UUID; limits are those of a project in one region of a keystone's."""
    id_ = "6f1c2a34-9b7e-4d58-8a01-33c4de95b7f2"
    assert host(Provider(WHOLE), id=id_).machine == host(Provider(WHOLE), id=id_.upper()).machine == id_
    assert host(Provider(WHOLE), id="7").machine == "", "older than what is asked for"
    mine = hosts.limits_of("p1", "r1")
    assert hosts.region("az2", LIMITS, [], options.parse({"sees": "opaque"}), mine).machine == mine == hosts.limits_of("p1", "r1")
    assert len({mine, hosts.limits_of("p2", "r1"), hosts.limits_of("p1", "r2"), hosts.limits_of("p1 r1", "")}) == 4


def test_no_limit_is_a_large_one() -> None:
    found = hosts.region("r1", {"maxTotalCores": -1}, [], options.parse({"sees": "opaque"}), "")
    assert found.vcpus == found.memory_mib == hosts.UNLIMITED


# -- rights ------------------------------------------------------------------------------------------------------------------------------

SERVICES = dict.fromkeys(("compute", "image", "network", "placement"), "https://x")
GOOD = rights.Probe(SERVICES, (2, 96), {**LIMITS, "maxServerMeta": 128})
HOSTS, OPAQUE = options.parse({}), options.parse({"sees": "opaque", "zone": "az1", "network": "n"})


def test_a_region_that_has_all_lacks_nothing() -> None:
    assert rights.missing(GOOD, HOSTS) == rights.missing(GOOD, OPAQUE) == []


@pytest.mark.parametrize(
    ("changes", "sees_hosts", "opaque"),
    [
        ({"services": {**SERVICES, "placement": ""}}, 1, 0),
        ({"services": {**SERVICES, "image": "", "network": ""}}, 2, 2),
        ({"newest": (2, 73)}, 1, 0),
        ({"newest": (2, 60)}, 1, 1),
        ({"newest": (3, 1)}, 0, 0),
        ({"refused": frozenset({"hypervisors"})}, 2, 0),
        ({"refused": frozenset(rights.ADMINISTRATION)}, 6, 0),
        ({"limits": {**LIMITS, "maxTotalCores": 0}}, 1, 1),
        ({"limits": {**LIMITS, "maxTotalCores": 0, "maxTotalInstances": 0, "maxTotalRAMSize": 0}}, 3, 3),
        ({"limits": {**LIMITS, "maxServerMeta": 5}}, 1, 1),
        ({"limits": {**LIMITS, "maxServerMeta": -1}}, 0, 0),
        ({"network": False}, 1, 1),
        ({"zone": False}, 1, 1),
        ({"services": {}}, 4, 3),
    ],
)
def test_what_is_missing_is_named_each_by_itself(changes: dict[str, Any], sees_hosts: int, opaque: int) -> None:
    probe = replace(GOOD, **changes)
    for lacking, count in ((rights.missing(probe, HOSTS), sees_hosts), (rights.missing(probe, OPAQUE), opaque)):
        assert len(lacking) == len(set(lacking)) == count, lacking


@pytest.mark.parametrize(("text", "expected"), [("2.96", (2, 96)), ("2.104", (2, 104)), ("", (0, 0)), ("2", (0, 0)), ("x.y", (0, 0))])
def test_microversions(text: str, expected: tuple[int, int]) -> None:
    assert rights.version(text) == expected


# -- all servers -------------------------------------------------------------------------------------------------------------------------


def test_what_is_told_of_is_known_and_what_is_deleted_or_no_longer_ours_is_not() -> None:
    one, two = made(spec_of(), id="1"), made(spec_of(), id="2")
    known = updated({}, [one, two], OWNER)
    assert known == {"1": one, "2": two}
    off = replace(one, status="SHUTOFF")
    assert updated(known, [off], OWNER) == {"1": off, "2": two}
    assert updated(known, [replace(one, status="DELETED", mark=None)], OWNER) == {"2": two}
    assert updated(known, [replace(one, mark=None)], OWNER) == {"2": two}
    assert updated(known, [made(spec_of(), id="3", marked={"owner": "another"})], OWNER) == known
    assert updated(known, [], OWNER) == known


def test_a_copy_of_our_marks_in_another_project_hides_nothing_and_what_was_adopted_there_is_seen() -> None:
    first, second = spec_of(), spec_of(instance_id="99999999-2222-4333-8444-555555555555")
    older = made(first, id="theirs", created="2020-01-01T00:00:00Z", project="theirs")
    ours, adopted = made(first, id="ours", project="ours"), made(second, id="adopted", project="theirs")
    assert at_home([older, ours, adopted], "ours") == [ours, adopted]
    assert at_home([older, adopted], "ours") == [older, adopted]
    assert at_home([], "ours") == []


def test_changes_are_asked_for_from_novas_own_latest_moment_a_margin_back_until_all_before_it_was_seen() -> None:
    told = [made(spec_of(), updated=text) for text in ("2026-01-01T00:10:00Z", "2026-01-01T00:20:00Z", "nonsense")]
    assert latest(told) == "2026-01-01T00:20:00Z"
    assert latest(told, "2026-01-01T09:00:00Z") == "2026-01-01T09:00:00Z", "never backwards"
    assert latest([], "2026-01-01T00:19:00Z") == "2026-01-01T00:19:00Z"
    assert latest([]) == since("", False) == since("", True) == ""
    assert since("2026-01-01T00:20:00Z", False) == "2026-01-01T00:19:00Z"
    assert since("2026-01-01T00:20:00Z", True) == "2026-01-01T00:20:00Z"


# -- images ------------------------------------------------------------------------------------------------------------------------------

NOW = datetime(2026, 1, 3, tzinfo=UTC)
GLANCE = {
    "id": "g1",
    "status": "active",
    "disk_format": "qcow2",
    "size": 1000,
    "chutian_sm3": IMAGE.sm3,
    "created_at": "2026-01-01T00:00:00Z",
}


@pytest.mark.parametrize(
    "fields", [{"status": "queued"}, {"status": "deactivated"}, {"disk_format": "raw"}, {"size": 999}, {"chutian_sm3": "ef" * 32}]
)
def test_an_image_is_ours_only_if_all_of_it_is(fields: dict[str, Any]) -> None:
    assert images.whole([{**GLANCE, **fields}], IMAGE) == images.whole([], IMAGE) == ""
    assert images.whole([{**GLANCE, **fields}, {**GLANCE, "id": "g2"}, {**GLANCE, "id": "g3"}], IMAGE) == "g2"


@pytest.mark.parametrize(
    ("fields", "left"),
    [
        ({"status": "active"}, False),
        ({"status": "queued"}, True),
        ({"status": "saving"}, True),
        ({"status": "saving", "created_at": "2026-01-02T00:00:00Z"}, False),
        ({"status": "saving", "created_at": None}, False),
    ],
)
def test_a_copy_that_was_cut_short_goes_once_nobody_can_be_sending_it(fields: dict[str, Any], left: bool) -> None:
    assert images.left_over([{**GLANCE, **fields}], NOW) == (["g1"] if left else [])


@pytest.mark.parametrize("size", [0, 1, 4096, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_an_images_bytes_are_handed_over_whole_and_once(tmp_path: Path, size: int) -> None:
    image, path = raw_image(tmp_path, os.urandom(size))
    with path.open("rb") as file:
        content = images.Content(image, file)
        assert len(content) == size
        assert b"".join(content) == path.read_bytes()
        assert content.sha512() == hashlib.sha512(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x", lambda data: b"x" + data[1:], lambda _: b""])
def test_the_last_byte_of_a_wrong_file_is_never_handed_over(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    image, path = raw_image(tmp_path, b"\0" * (2 << 20))
    path.write_bytes(change(path.read_bytes()))
    sent: list[bytes] = []
    with path.open("rb") as file, pytest.raises(ImageCorrupt):
        sent.extend(images.Content(image, file))
    assert sum(map(len, sent)) < image.size_bytes


def raw_image(folder: Path, data: bytes) -> tuple[Image, Path]:
    path = folder / "image.raw"
    path.write_bytes(data)
    digests = hashlib.sha256(data).hexdigest(), hashlib.new("sm3", data).hexdigest()
    return Image("i", str(path), "raw", len(data), len(data), *digests), path
