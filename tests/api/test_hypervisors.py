"""A bare machine becomes a hypervisor because an operator asked for it, from the outside: playbooks that touch no machine, but call
the API as the real ones do, with the ticket that the controller gave them.

The same with a real system is in tests/stories.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.api.outside import PLENTY, Caller, Cloud, Department, fresh
from tests.api.test_machines import SYSTEM, Machine, apply, machine, metal, service, until  # noqa: F401  # fixtures


@pytest.fixture
def operations(metal: Cloud) -> Department:  # noqa: F811
    """The operators' own project; its member may also look after the fleet."""
    made = metal.department(PLENTY)
    metal.admin.ask(f"PUT /v1/projects/{metal.root}/roles", {"user": made.member.name, "role": "operator"})
    return made


@pytest.fixture
def pool(metal: Cloud) -> str:  # noqa: F811
    return str(metal.admin.ask("POST /v1/pools", {"name": fresh("kvm"), "zone": "wuhan-a"})["name"])


def test_how_hypervisors_of_a_pool_are_made_is_said_of_the_pool_and_tried_before_any_is(metal: Cloud, pool: str) -> None:  # noqa: F811
    line = f"/v1/pools/{pool}"
    shown = metal.admin.ask(f"GET {line}")
    assert (shown["hypervisor_options"], shown["hypervisor_bridge"]) == ({}, "")
    changed = metal.admin.ask(f"PATCH {line}", {"hypervisor_options": {"virt_type": "qemu"}, "hypervisor_bridge": "br0"})
    assert (changed["hypervisor_options"], changed["hypervisor_bridge"]) == ({"virt_type": "qemu"}, "br0")
    for wrong in ({"virt_typ": "qemu"}, {"virt_type": "fast"}):
        refusal = metal.admin.refused(400, "endpoint_refused", f"PATCH {line}", {"hypervisor_options": wrong})
        assert "virt_typ" in refusal["message"]
        body = {"name": fresh("kvm"), "zone": "wuhan-a", "hypervisor_options": wrong}
        metal.admin.refused(400, "endpoint_refused", "POST /v1/pools", body)
    for wrong in ("br 0", "a-name-too-long-for-linux", "../br0", "-br0"):
        metal.admin.refused(400, "invalid_request", f"PATCH {line}", {"hypervisor_bridge": wrong})
    metal.admin.ask(f"PATCH {line}", {"site": "武汉"})
    assert metal.admin.ask(f"GET {line}")["hypervisor_bridge"] == "br0", "what isn't named stays"
    changed = metal.admin.ask(f"PATCH {line}", {"hypervisor_options": {}, "hypervisor_bridge": ""})
    assert (changed["hypervisor_options"], changed["hypervisor_bridge"]) == ({}, "")


def _steps(machine: Machine) -> list[tuple[str, str]]:  # noqa: F811
    return [(run["step"], run["state"]) for run in reversed(machine.operator.walk("GET /v1/runs", host=machine.name))]


def _tokens(cloud: Cloud) -> list[tuple[str, bool]]:
    """Of runs: whose, and whether it still opens anything."""
    with psycopg.connect(cloud.database_url) as conn:
        found = conn.execute(
            "SELECT u.name, t.revoked_at IS NULL AND t.expires_at > now() FROM tokens t JOIN users u ON u.id = t.user_id"
            " WHERE t.name LIKE 'run-%' ORDER BY t.id"
        ).fetchall()
    return [(name, holds) for name, holds in found]


def test_a_machine_becomes_a_hypervisor_is_patched_and_given_back(
    metal: Cloud,  # noqa: F811
    machine: Machine,  # noqa: F811
    operations: Department,
    pool: str,
    folder: Path,
) -> None:
    machine.inspect()
    machine.turn("On")
    kvm = fresh("kvm")
    instance = apply(operations, machine, kvm, hypervisor=pool)
    active = until(operations, instance, "active")
    assert active["hypervisor"] == pool
    assert machine.show()["state"] == "occupied"
    assert _steps(machine) == [("inspect", "done"), ("provision", "done"), ("hypervisor", "done")]
    (endpoint,) = [one for one in metal.admin.walk("GET /v1/endpoints") if one["name"] == kvm]
    assert endpoint["pool"] == pool
    assert (operations.member.name, True) not in _tokens(metal), "the ticket ended with its run"
    assert (operations.member.name, False) in _tokens(metal)

    machine.operator.ask(f"POST /v1/machines/{machine.name}/patch")
    machine.operator.until("GET /v1/runs?limit=1", lambda page: page["items"][0]["step"] == "patch_host" and page["items"][0]["ended_at"])
    assert _steps(machine)[-1] == ("patch_host", "done")
    assert _tokens(metal)[-1] == (machine.operator.name, False), "as whoever asked for it"
    assert until(operations, instance, "active")["condition"] == "running"

    _it_is_kept_while_it_is_a_host(metal, operations.member, instance, pool)
    (host,) = metal.admin.ask(f"GET /v1/endpoints/{kvm}")["hosts"]
    metal.admin.ask(f"POST /v1/hosts/{host}/retire")
    metal.admin.ask(f"DELETE /v1/endpoints/{kvm}")
    operations.member.ask(f"DELETE /v1/instances/{instance['id']}")
    until(operations, instance, "deleted")
    assert _steps(machine)[-1] == ("wipe", "done")
    for kept in (metal.log.read_text(), *(path.read_text() for path in (metal.data_dir / "runs").rglob("*.json"))):
        assert "ct_" not in kept.replace("ct_...", "")


def _it_is_kept_while_it_is_a_host(cloud: Cloud, member: Caller, instance: dict[str, Any], pool: str) -> None:
    address = f"/v1/instances/{instance['id']}"
    member.refused(409, "machine_is_host", f"DELETE {address}")
    member.refused(409, "machine_is_host", f"POST {address}/rebuild")
    department = cloud.department(PLENTY)
    item = {"project": department.path, "name": "web", "flavor": "tiny", "image": "debian", "pool": pool}
    guest = department.member.ask("POST /v1/instances", item)["id"]
    member.refused(409, "machine_holds", f"POST {address}/stop")
    member.refused(409, "machine_holds", f"POST {address}/reboot")
    department.member.ask(f"DELETE /v1/instances/{guest}")
    department.member.settled(guest, "deleted")


def test_what_fails_on_the_system_is_begun_there_again_and_not_from_the_start(
    machine: Machine,  # noqa: F811
    operations: Department,
    pool: str,
) -> None:
    machine.inspect()
    machine.turn("On")
    instance = apply(operations, machine, fresh("narrow"), hypervisor=pool)
    failed = until(operations, instance, "error")
    assert failed["reason"]["code"] == "playbook_task_failed"
    assert "no room for libvirt" in failed["reason"]["text"]
    operations.member.ask(f"POST /v1/instances/{instance['id']}/start")
    twice = [("inspect", "done"), ("provision", "done"), ("hypervisor", "failed"), ("hypervisor", "failed")]
    machine.operator.until("GET /v1/runs", lambda _: _steps(machine) == twice, within_s=60)
    operations.member.settled_within(instance["id"], "error", 60)
    time.sleep(3)
    assert _steps(machine) == twice, "once for each time that it was asked for"
    machine.operator.refused(409, "machine_no_hypervisor", f"POST /v1/machines/{machine.name}/patch")
    operations.member.ask(f"DELETE /v1/instances/{instance['id']}")
    until(operations, instance, "deleted")


def test_who_may_ask_for_a_hypervisor_and_how(
    metal: Cloud,  # noqa: F811
    machine: Machine,  # noqa: F811
    operations: Department,
    pool: str,
) -> None:
    item = {"kind": "bare_metal", "name": "kvm", "flavor": "whole", "image": "debian", "pool": machine.pool, "hypervisor": pool}
    department = metal.department(PLENTY)
    department.member.refused(403, "forbidden", "POST /v1/requests", {"project": department.path, "items": [item]})
    mine = {"project": operations.path}
    operations.member.refused(400, "unknown_pool", "POST /v1/requests", mine | {"items": [item | {"hypervisor": "nowhere"}]})
    operations.member.refused(400, "hypervisor_stays", "POST /v1/requests", mine | {"items": [item], "ends": True, "term_days": 1})
    operations.member.refused(400, "hypervisor_stays", "POST /v1/requests", mine | {"items": [item | {"preemptible": True}]})
    a_vm = {"kind": "vm", "flavor": "tiny", "image": "debian", "hypervisor": pool}
    operations.member.refused(400, "invalid_request", "POST /v1/requests", mine | {"items": [a_vm]})
