"""The driver's pure parts: seed, states, errors, options, addresses, and what of an image's header is refused."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable
from typing import Any

import libvirt
import pycdlib
import pytest

from drivers.base import Condition, InstanceSpec
from drivers.errors import HostUnreachable, InvalidSpec, NotSupported, Transient
from drivers.image import refuse_outside
from drivers.libvirt import facts, seed
from drivers.libvirt.driver import open_libvirt
from drivers.libvirt.failures import detail, translate
from drivers.libvirt.host import network_xml
from drivers.libvirt.options import Options, parse
from tests.drivers.libvirt.folder_pool import refusal

MakeSpec = Callable[..., InstanceSpec]


def unpack(iso: bytes) -> dict[str, bytes]:
    """The files of an ISO image, by their Joliet names."""
    disc = pycdlib.PyCdlib()
    disc.open_fp(io.BytesIO(iso))
    found = {}
    for child in disc.list_children(joliet_path="/"):
        if child.is_file():
            name = child.file_identifier().decode("utf-16-be")
            content = io.BytesIO()
            disc.get_file_from_iso_fp(content, joliet_path=f"/{name}")
            found[name] = content.getvalue()
    disc.close()
    return found


@pytest.mark.parametrize("user_data", ["#cloud-config\nhostname: x\n", "]]></domain>", "楚天\r\n\t", "x" * 60_000])
def test_the_seed_is_labelled_cidata_and_carries_user_data_verbatim(make_spec: MakeSpec, user_data: str) -> None:
    iso = seed.image(make_spec(user_data=user_data, ssh_keys=("ssh-ed25519 AAAA '<张三>&\"",)))
    assert iso[32808:32814] == b"cidata"
    files = unpack(iso)
    assert set(files) == {"meta-data", "user-data"}
    assert files["user-data"] == user_data.encode()
    meta = json.loads(files["meta-data"])
    assert meta == {"instance-id": make_spec().instance_id, "local-hostname": "web-1", "public-keys": ["ssh-ed25519 AAAA '<张三>&\""]}


def test_a_rebuilt_guest_sees_a_new_instance_id(make_spec: MakeSpec) -> None:
    ids = [json.loads(seed.files(make_spec(build=build))["meta-data"])["instance-id"] for build in (1, 2, 3)]
    assert len(set(ids)) == 3


def test_every_state_that_libvirt_knows_has_a_verdict() -> None:
    states = [getattr(libvirt, name) for name in STATES]
    assert set(states) == set(facts.BY_STATE)
    for state in states:
        for reason in range(20):
            condition, code = facts.verdict(state, reason)
            assert condition is not Condition.ABSENT
            assert (condition is Condition.FAILED) <= (code is not None)


STATES = [f"VIR_DOMAIN_{state}" for state in ("NOSTATE", "RUNNING", "BLOCKED", "PAUSED", "SHUTDOWN", "SHUTOFF", "CRASHED", "PMSUSPENDED")]


@pytest.mark.parametrize(
    ("state", "reason", "expected"),
    [
        (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_BOOTED, (Condition.RUNNING, None)),
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR, (Condition.FAILED, "disk_error")),
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION, (Condition.BUSY, None)),
        (libvirt.VIR_DOMAIN_SHUTDOWN, 0, (Condition.BUSY, None)),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, (Condition.STOPPED, "guest_crashed")),
        (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN, (Condition.STOPPED, None)),
        (999, 0, (Condition.BUSY, None)),
    ],
)
def test_a_state_and_its_reason_mean(state: int, reason: int, expected: tuple[Condition, str | None]) -> None:
    assert facts.verdict(state, reason) == expected


@pytest.mark.parametrize(
    ("code", "alive", "kind"),
    [
        (libvirt.VIR_ERR_RPC, True, HostUnreachable),
        (libvirt.VIR_ERR_INTERNAL_ERROR, False, HostUnreachable),
        (libvirt.VIR_ERR_NO_DOMAIN, False, HostUnreachable),
        (libvirt.VIR_ERR_XML_ERROR, True, InvalidSpec),
        (libvirt.VIR_ERR_NO_SUPPORT, True, NotSupported),
        (libvirt.VIR_ERR_OPERATION_FAILED, True, Transient),
    ],
)
def test_an_error_of_libvirts_becomes(code: int, alive: bool, kind: type[Exception]) -> None:
    assert type(translate(refusal(code, "what it says"), alive)) is kind


def test_the_same_failure_of_qemu_reads_the_same_at_any_time() -> None:
    said = [f"qemu closed the monitor: 2026-11-26T20:11:0{second}.496445Z qemu-system-x86_64: error:\n no MSR" for second in (0, 5)]
    assert {detail(refusal(libvirt.VIR_ERR_INTERNAL_ERROR, text)) for text in said} == {
        "qemu closed the monitor: qemu-system-x86_64: error: no MSR"
    }


@pytest.mark.parametrize(
    "given",
    [
        {"pool_paht": "/x"},
        {"virt_type": "xen"},
        {"pool_path": "relative"},
        {"network_cidr": "10.0.0.1/24"},
        {"network_cidr": "10.0.0.0/30"},
        {"certificates": "own"},  # in whose place the controller puts a folder
    ],
)
def test_an_option_that_makes_no_sense_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(InvalidSpec):
        parse(given)


@pytest.mark.parametrize("uri", ["", "xen:///", "http://host/", "qemu", "esx://host"])
def test_a_uri_of_something_else_is_refused(uri: str) -> None:
    with pytest.raises(InvalidSpec):
        open_libvirt(uri, "owner", {})


@pytest.mark.parametrize("uri", ["qemu+tcp://host/system", "qemu:///system", "qemu+tls://host/system?pkipath=/elsewhere"])
def test_certificates_are_for_tls_alone_and_named_once(uri: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        open_libvirt(uri, "owner", {"certificates": "/folder"})
    assert "certificates" in caught.value.reason.params["detail"]


def test_the_network_gives_out_all_addresses_but_its_own() -> None:
    assert network_xml(Options(network_cidr="10.1.0.0/29")) == (
        '<network><name>chutian</name><bridge name="chutian0" stp="on" delay="0" /><forward mode="nat" />'
        '<ip address="10.1.0.1" netmask="255.255.255.248"><dhcp><range start="10.1.0.2" end="10.1.0.6" /></dhcp></ip></network>'
    )


def test_addresses_that_nobody_else_can_reach_are_left_out() -> None:
    assert facts.ordered(["fe80::1", "fd00::2", "127.0.0.1", "10.0.0.20", "10.0.0.3", "::1", "10.0.0.3"]) == (
        "10.0.0.3",
        "10.0.0.20",
        "fd00::2",
    )


def header(version: int, backing: int, features: int) -> bytes:
    return b"QFI\xfb" + struct.pack(">IQ", version, backing) + bytes(56) + struct.pack(">Q", features) + bytes(24)


def test_an_image_of_its_own_is_let_through() -> None:
    refuse_outside(header(3, 0, 0))
    refuse_outside(header(2, 0, 0))


@pytest.mark.parametrize("spoilt", [header(3, 104, 0), header(2, 72, 0), header(3, 0, 4), b"", b"MZ" * 99, header(3, 0, 0)[:60]])
def test_an_image_that_reaches_into_the_hosts_files_is_refused(spoilt: Any) -> None:
    with pytest.raises(InvalidSpec):
        refuse_outside(spoilt)
