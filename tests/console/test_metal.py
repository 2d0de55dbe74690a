"""Bare machines on the command line: what they are made of, how far a run is, what a certificate says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]

ID = "019abf3c-1d20-7c3a-9f51-0c6b5f2f8a11"
DISK = {"name": "sda", "bytes": 480_103_981_056, "model": "PM863a", "serial": "S4EVNX0N1", "discard": True}
SAID = {
    "cpus": 64,
    "cpu_model": "Xeon Gold 6338",
    "installed_mib": 393216,
    "vendor": "Lab",
    "product": "R7",
    "firmware": {"kind": "uefi", "secure_boot": True, "vendor": "Lab", "version": "1.16", "date": "04/01/2014"},
    "bmc": {"firmware": "1.00", "disks": [{"name": "disk0"}]},
    "disks": [DISK],
    "nics": [{"name": "eth0", "mac": "52:54:00:77:02:01", "link": True, "driver": "ixgbe"}],
}


def machine(**changed: Any) -> dict[str, Any]:
    idle = {"instance_id": None, "address": None, "host_key": None, "run_id": None, "step": None, "progress": {}, "reason": None}
    return {"id": ID, "host": "m1", "state": "free", "power": "off", **idle, "inspection": SAID, "differences": [], **changed}


def test_a_machine_is_shown_as_what_it_is_made_of(chutian: Run, server: Any) -> None:
    server.on("GET /v1/machines/m1", machine(differences=[{"what": "memory_mib", "bmc": "262144", "machine": "393216"}]))
    out = chutian("machine", "show", "m1").out
    assert "64 × Xeon Gold 6338" in out
    assert "384 GiB" in out
    assert "Lab 1.16 04/01/2014" in out
    assert "UEFI Secure Boot" in out
    for row in (
        ["sda", "447.1", "GiB", "S4EVNX0N1", "PM863a"],
        ["eth0", "52:54:00:77:02:01", "yes", "ixgbe"],
        ["memory_mib", "262144", "393216"],
    ):
        assert row in [line.split() for line in out.splitlines()]
    assert "inspection" not in out.lower()
    assert "{" not in out


def test_a_machine_that_nobody_has_looked_at_is_made_of_nothing_yet(chutian: Run, server: Any) -> None:
    server.on("GET /v1/machines/m1", machine(state="uninspected", inspection=None))
    ran = chutian("machine", "show", "m1")
    assert (ran.code, ran.out.splitlines()[-1].split()) == (0, ["REASON", "-"])


def test_programs_get_the_inspection_as_it_is(chutian: Run, server: Any) -> None:
    server.on("GET /v1/machines/m1", machine())
    assert json.loads(chutian("machine", "show", "m1", "--output", "json").out) == machine()


@pytest.mark.parametrize(("lang", "ended"), [("en", "Switch on: changed, 1.8 s"), ("zh", "Switch on：changed，1.8 秒")])
def test_a_run_that_is_followed_tells_its_tasks_and_how_far_they_are(chutian: Run, server: Any, lang: str, ended: str) -> None:
    on = {"name": "Switch on", "state": "changed", "started_s": 0.0, "seconds": 1.813, "text": None}
    write = {"name": "Write", "state": "running", "started_s": 1.9, "seconds": None, "text": None}

    def run(state: str, tasks: list[Any], **progress: Any) -> dict[str, Any]:
        return {"id": ID, "host": "m1", "state": state, "reason": None, "progress": progress, "tasks": tasks}

    server.on(
        f"GET /v1/runs/{ID}",
        run("running", [on, write], task="Write"),
        run("running", [on, write], task="Write", percent=42, mb_s=118),
        run("running", [on, write], task="Write", percent=42, mb_s=118),
        run("done", [on, write | {"state": "ok", "seconds": 27.224}]),
    )
    ran = chutian("run", "show", ID, "--follow", "--lang", lang)
    assert ran.code == 0
    assert ran.err.splitlines()[:3] == [ended, "Write …", "Write, 42 %, 118 MB/s …"]
    assert len(ran.err.splitlines()) == 4
    assert ["Write", "ok", "27.2", "-"] in [line.split() for line in ran.out.splitlines()]


@pytest.mark.parametrize(("ends", "code", "says"), [("fenced", 0, "kvm-1: fenced Its machine is off"), ("up", 1, "kvm-1: up")])
def test_who_waits_for_a_host_to_be_fenced_learns_what_became_of_it(chutian: Run, server: Any, ends: str, code: int, says: str) -> None:
    why = {"code": "machine_off", "text": "Its machine is off."} if ends == "fenced" else None
    server.on("POST /v1/hosts/kvm-1/fence", {"state": "unreachable", "reason": None})
    server.on("GET /v1/hosts/kvm-1", *({"state": state, "reason": why} for state in ("unreachable", "unreachable", ends)))
    ran = chutian("host", "fence", "kvm-1", "--wait", "--yes")
    assert ran.code == code
    assert says in ran.err


def test_who_waits_for_a_machine_to_be_off_learns_that_it_is(chutian: Run, server: Any) -> None:
    server.on("POST /v1/machines/m1/power", machine(power_wanted="off"))
    server.on("GET /v1/machines/m1", machine(power_wanted="off"), machine(power="off", power_wanted=None))
    ran = chutian("machine", "power", "off", "m1", "--wait", "--yes")
    assert (ran.code, ran.err.strip()) == (0, "m1: power off")


def test_a_certificate_says_first_which_disk_it_is_about(chutian: Run, server: Any) -> None:
    disk = {"disk": "sda", "bytes": DISK["bytes"], "model": "", "serial": DISK["serial"]}
    document = {"run_id": ID, "method": "discard", "verified": True, "disk": disk, "machine": "m1", "cleared_at": "2026-11-23T08:30:00Z"}
    document["read_back"] = {"how": "samples", "places": 32, "bytes": 64 << 20}
    server.on(f"GET /v1/certificates/{ID}", {"id": ID, "document": document, "signature": "mZ0="})
    lines = chutian("certificate", "show", ID).out.splitlines()
    assert lines[0].split(maxsplit=1) == ["DISK", "sda, S4EVNX0N1, 447.1 GiB"]
    assert lines[1].split() == ["MACHINE", "m1"]
    assert "64.0 MiB at 32 places" in "\n".join(lines)


def test_the_key_that_verifies_certificates_is_shown_as_openssl_takes_it(chutian: Run, server: Any) -> None:
    pem = "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n"
    server.on("GET /v1/certificates/key", {"verify_key": pem})
    assert chutian("certificate", "key").out == pem
    server.on("GET /v1/certificates/key", {"verify_key": None})
    ran = chutian("certificate", "key")
    assert (ran.code, ran.out) == (0, "")
    assert "No certificate" in ran.err


def test_how_machines_of_a_pool_are_cleared_and_made_hypervisors_is_said_and_taken_back_by_empty_options(chutian: Run, server: Any) -> None:
    server.on("GET /v1/pools/g", {"name": "g", "generation": 5})
    server.on("PATCH /v1/pools/g", {"name": "g"})
    given = (
        "--wipe",
        "discard overwrite",
        "--hypervisor-bridge",
        "br0",
        "--hypervisor-option",
        "virt_type=kvm",
        "--hypervisor-option",
        "network=a,b",
    )
    assert chutian("pool", "update", "g", *given).code == 0
    assert server.seen[-1].body == {
        "wipe": "discard overwrite",
        "hypervisor_bridge": "br0",
        "hypervisor_options": {"virt_type": "kvm", "network": "a,b"},
    }
    assert chutian("pool", "update", "g", "--hypervisor-bridge", "", "--hypervisor-option", "").code == 0
    assert server.seen[-1].body == {"hypervisor_bridge": "", "hypervisor_options": {}}
