"""The driver's other pure parts: addresses, options, credentials, refusals, hosts, rights, and what is known of all servers."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.messages import CATALOGUE, render
from drivers.base import Health, HostPower, Image, Reason
from drivers.errors import DriverError, HostUnreachable, ImageCorrupt, InvalidSpec, PolicyRefused, Timeout, Transient, Unauthorized
from drivers.openstack import address, credentials, hosts, images, options, rights
from drivers.openstack.failures import Collided, FlavorMissing, Gone, QuotaUsedUp, RegionLacks, ResizeRefused, failure, said
from drivers.openstack.hosts import Provider
from drivers.openstack.records import Size
from drivers.openstack.view import latest, since, updated
from tests.drivers.openstack.servers import IMAGE, OWNER, made, spec_of

KEYSTONE = "https://keystone.lan:5000/v3"
SECRET = "s3cr3t-p4ssw0rd"  # noqa: S105
USER = {"username": "u", "password": SECRET, "project_name": "p"}
KEY = {"application_credential_id": "k", "application_credential_secret": SECRET}


# -- addresses ---------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ("openstack+https://keystone.lan:5000/v3", "https://keystone.lan:5000/v3"),
        ("openstack+https://keystone.lan:5000/v3/", "https://keystone.lan:5000/v3"),
        ("openstack+https://keystone.lan", "https://keystone.lan/v3"),
        ("openstack+https://cloud.lan/identity", "https://cloud.lan/identity/v3"),
        ("openstack+https://[fd00::1]:5000", "https://[fd00::1]:5000/v3"),
        ("openstack+http://127.0.0.1:5000/v3", "http://127.0.0.1:5000/v3"),
        ("openstack+http://[::1]:5000/v3", "http://[::1]:5000/v3"),
        ("openstack+http://localhost:5000", "http://localhost:5000/v3"),
    ],
)
def test_an_address_names_keystones_third_version(given_: str, expected: str) -> None:
    assert address.parse(given_) == expected


@pytest.mark.parametrize(
    "uri",
    [
        "openstack+http://keystone.lan:5000/v3",
        "openstack+http://10.0.0.1/v3",
        "openstack+http://localhost.evil.lan/v3",
        "https://keystone.lan/v3",
        "openstack://keystone.lan",
        "openstack+https://",
        "openstack+https://host:port/v3",
        "openstack+https://host:99999/v3",
        "openstack+https://keystone.lan/v3?x=1",
        "openstack+https://keystone.lan/v3#x",
        "openstack+https://key stone/v3",
        "openstack+https://[::1/v3",
        "",
    ],
)
def test_what_is_no_address_or_goes_in_clear_is_refused(uri: str) -> None:
    with pytest.raises(InvalidSpec):
        address.parse(uri)


def test_an_address_with_a_password_is_refused_without_being_quoted() -> None:
    with pytest.raises(InvalidSpec) as caught:
        address.parse(f"openstack+https://u:{SECRET}@keystone.lan/v3")
    assert SECRET not in str(caught.value)


def test_a_service_whose_address_is_in_clear_is_refused() -> None:
    address.refuse_clear("https://nova.lan/v2.1", "compute")
    address.refuse_clear("http://127.0.0.1:8774/v2.1", "compute")
    for url in ("http://nova.lan/v2.1", "ftp://nova.lan", "nova.lan"):
        with pytest.raises(InvalidSpec):
            address.refuse_clear(url, "compute")


# -- options -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given_",
    [
        {"seas": "hosts"},
        {"sees": "both"},
        {"interface": "private"},
        {"sees": "hosts", "zone": "az1"},
        {"ca_file": "ca.pem"},
        {"timeout_s": "0"},
        {"timeout_s": "301"},
        {"timeout_s": "1.5"},
        {"timeout_s": "１"},
        {"call_s": "-1"},
        {"look_s": ""},
        {"stuck_s": "x"},
        {"disk_gib": "0"},
    ],
)
def test_options_that_can_not_be_are_refused(given_: dict[str, str]) -> None:
    with pytest.raises(InvalidSpec) as caught:
        options.parse({"credentials": SECRET, **given_})
    assert SECRET not in str(caught.value)


def test_options_say_what_they_mean_and_never_the_credentials() -> None:
    found = options.parse({"credentials": SECRET, "sees": "opaque", "zone": "az1"})
    assert (found.hosts, found.zone, found.credentials) == (False, "az1", SECRET)
    assert SECRET not in repr(found)
    assert options.parse({}).hosts


# -- credentials -------------------------------------------------------------------------------------------------------------------------


def clouds(auth: Any, **cloud: Any) -> str:
    return json.dumps({"clouds": {"ours": {"auth": auth, **cloud}}})


@pytest.mark.parametrize("line", ["u:s3cr3t-p4ssw0rd@p", "u:s3cr3t-p4ssw0rd@p\n", "u:s3cr3t-p4ssw0rd@p\r\n"])
def test_one_line_is_a_user_of_a_project(line: str) -> None:
    login = credentials.read(line, KEYSTONE)
    assert not login.by_application
    assert login.given == {**USER, "user_domain_name": "Default", "project_domain_name": "Default"}


def test_a_password_may_hold_what_separates() -> None:
    assert credentials.read("u:a@b:c@p", KEYSTONE).given["password"] == "a@b:c"  # noqa: S105


def test_a_cloud_by_password() -> None:
    login = credentials.read(clouds(USER, region_name="r1", interface="internal", auth_type="password", identity_api_version=3), KEYSTONE)
    assert (login.by_application, login.region, login.interface) == (False, "r1", "internal")
    assert login.given == {**USER, "user_domain_name": "Default", "project_domain_name": "Default"}


def test_yaml_is_read_as_people_write_it() -> None:
    auth = f"auth_url: {KEYSTONE}/, username: u, password: '{SECRET}', project_id: p, user_domain_id: d"
    text = f"clouds:\n  ours:\n    auth: {{{auth}}}\n"
    assert credentials.read(text, KEYSTONE).given == {"username": "u", "password": SECRET, "project_id": "p", "user_domain_id": "d"}


def test_one_domain_is_that_of_both() -> None:
    given_ = credentials.read(clouds({**USER, "domain_name": "d"}), KEYSTONE).given
    assert given_ == {**USER, "user_domain_name": "d", "project_domain_name": "d"}


@pytest.mark.parametrize("kind", ["", "v3applicationcredential"])
def test_a_cloud_by_application_credential(kind: str) -> None:
    login = credentials.read(clouds(KEY, **({"auth_type": kind} if kind else {})), KEYSTONE)
    assert login.by_application
    assert login.given == KEY


@pytest.mark.parametrize(
    "text",
    [
        "",
        SECRET,
        f"u:{SECRET}",
        f"u:{SECRET}@",
        f":{SECRET}@p",
        f"u\t:{SECRET}@p",
        f"clouds: [\n  {SECRET}",
        f"- {SECRET}\n- b",
        f"clouds:\n  {SECRET}\n",
        json.dumps({"clouds": {}}),
        json.dumps({"clouds": {"a": {"auth": USER}, "b": {"auth": USER}}}),
        clouds(None),
        clouds({"username": "u", "password": SECRET}),
        clouds({"password": SECRET, "project_name": "p"}),
        clouds({"username": "u", "project_name": "p"}),
        clouds({**USER, "token": "t"}),
        clouds({**USER, **KEY}),
        clouds({"application_credential_secret": SECRET}),
        clouds({"application_credential_secret": SECRET, "application_credential_name": "n"}),
        clouds(USER, auth_type="v3token"),
        clouds(USER, auth_type="v3applicationcredential"),
        clouds(USER, identity_api_version="2.0"),
        clouds(USER, interface="private"),
        clouds(USER, verify=False),
        clouds(USER, cacert="/etc/ca.pem"),
        clouds(USER, profile="vendor"),
        clouds({**USER, "auth_url": "https://elsewhere.lan:5000/v3"}),
        clouds({**USER, "auth_url": "https://keystone.lan:5001/v3"}),
        clouds({**USER, "auth_url": "https://[::1"}),
    ],
)
def test_credentials_that_can_not_be_are_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        credentials.read(text, KEYSTONE)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None, "the parser's own words quote lines"


def test_who_we_are_is_never_shown_with_its_secret() -> None:
    for text in (clouds(USER), clouds(KEY), f"u:{SECRET}@p"):
        assert SECRET not in repr(credentials.read(text, KEYSTONE))


# -- refusals ----------------------------------------------------------------------------------------------------------------------------

POLICY = "Policy doesn't allow os_compute_api:os-hypervisors:list to be performed."
PLACEMENT = "Access was denied to this resource. Policy does not allow placement:resource_providers:list to be performed."
QUOTA = "Quota exceeded for cores, instances: Requested 1, 1, but already used 1, 1 of 1, 1"


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "Compute host nope could not be found.", InvalidSpec),
        (401, "The request you have made requires authentication.", Unauthorized),
        (403, POLICY, RegionLacks),
        (403, PLACEMENT, RegionLacks),
        (403, QUOTA, QuotaUsedUp),
        (403, "Maximum number of ports exceeded", QuotaUsedUp),
        (403, "The server is locked", PolicyRefused),
        (404, "Instance x could not be found.", Gone),
        (409, "Cannot 'stop' instance x while it is in vm_state stopped", Collided),
        (409, "Quota exceeded for resources: ['port'].", QuotaUsedUp),
        (413, "Quota exceeded", QuotaUsedUp),
        (418, "", InvalidSpec),
        (429, "This request was rate-limited.", Transient),
        (500, "Unexpected API Error.", Transient),
        (502, "", HostUnreachable),
        (503, "no server is available to handle this request", Transient),
        (504, "", Timeout),
        (599, "", Transient),
    ],
)
def test_a_refusal_becomes_the_error_that_says_what_to_do(status: int, message: str, kind: type[DriverError]) -> None:
    error = failure(status, json.dumps({"anything": {"code": status, "message": message}}).encode(), "GET /x")
    assert type(error) is kind
    if kind is not RegionLacks:
        assert error.reason.params["detail"] == (message or f"GET /x: HTTP {status}")


@given(st.integers(300, 599), st.binary(max_size=3000))
def test_every_answer_is_an_error_with_a_sentence_and_only_404_means_gone(status: int, body: bytes) -> None:
    error = failure(status, body, "GET /x")
    assert isinstance(error, Gone) == (status == 404)
    for lang in ("en", "zh"):
        assert render(error.reason.code, error.reason.params, lang)
    assert all(len(str(value)) < 600 for value in error.reason.params.values())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"badRequest": {"code": 400, "message": "nova"}}', "nova"),
        (b'{"NeutronError": {"type": "X", "message": "neutron", "detail": ""}}', "neutron"),
        (b'{"error": {"code": 401, "message": "keystone", "title": "Unauthorized"}}', "keystone"),
        (b'{"errors": [{"status": 403, "title": "Forbidden", "detail": "placement", "request_id": "r"}]}', "placement"),
        (b"<html><head><title>403</title></head><body>glance &amp; others<br /></body></html>", "403 glance others"),
        (b'{"message": "two\\n  lines"}', "two lines"),
        (b"", ""),
        (b"[]", ""),
        (b"{}", ""),
        (b"7", ""),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_the_sentence_is_found_in_whatever_form_a_service_gives_it(body: bytes, message: str) -> None:
    assert said(body) == message


def test_every_error_of_ours_has_a_sentence() -> None:
    for kind in (QuotaUsedUp, RegionLacks, ResizeRefused, FlavorMissing, Collided, Gone):
        assert kind.code in CATALOGUE


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
    found = hosts.region("r1", limits, ours, "x86_64", 500)
    assert (found.vcpus, found.memory_mib, found.instances) == expected
    assert (found.name, found.disk_gib, found.power) == ("r1", 500, HostPower.UNKNOWN)


def test_no_limit_is_a_large_one() -> None:
    found = hosts.region("r1", {"maxTotalCores": -1}, [], "x86_64", 1)
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
        ({"refused": frozenset(rights.ADMINISTRATION)}, 5, 0),
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
