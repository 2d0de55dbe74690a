"""A bare machine from its BMC to a department and back, from the outside: playbooks that touch nothing, behind a BMC that does nothing.

The same with real machines is in tests/stories.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drivers.fake.world import World, forget, world
from tests.api.outside import PLENTY, Caller, Cloud, Department, fresh
from tests.api.server import controller, free_port, furnish, new_database
from tests.drivers.bare_metal.served import Service, serving

SYSTEM = "/redfish/v1/Systems/System.Board.1"
PLAYBOOKS = Path(__file__).parent / "playbooks"


@pytest.fixture(scope="module")
def metal(folder: Path, postgres: str) -> Iterator[Cloud]:
    """A controller that may hand out machines."""
    name = fresh("metal")  # several modules have one each
    home = folder / name
    home.mkdir()
    more = {"depot_listen": f"127.0.0.1:{free_port()}", "playbooks_dir": str(PLAYBOOKS), "observe_interval_s": 1.0}
    with controller(home, new_database(postgres, name), **more) as cloud:
        furnish(cloud, "general", "debian", {"tiny": (1, 512, 1)}, hosts=1)
        cloud.admin.ask("POST /v1/flavors", {"name": "whole", "kind": "bare_metal", "vcpus": 64, "memory_mib": 131072, "disk_gib": 400})
        yield cloud


@dataclass
class Machine:
    """One machine, in a pool of its own."""

    service: Service
    pool: str
    name: str
    operator: Caller

    def turn(self, state: str) -> None:
        self.service.resources[SYSTEM]["PowerState"] = state

    def show(self) -> dict[str, Any]:
        return self.operator.ask(f"GET /v1/machines/{self.name}")

    def until(self, state: str) -> dict[str, Any]:
        return self.operator.until(f"GET /v1/machines/{self.name}", lambda one: one["state"] == state, within_s=60)

    def inspect(self) -> dict[str, Any]:
        self.operator.ask(f"POST /v1/machines/{self.name}/inspect")
        runs = self.operator.until(
            f"GET /v1/runs?host={self.name}", lambda page: page["items"] and page["items"][0]["ended_at"], within_s=60
        )
        assert runs["items"][0]["state"] == "done", runs["items"][0]["reason"]
        return self.until("free")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path) as made:
        identity = uuid.uuid4()
        made.resources[SYSTEM] |= {"UUID": str(identity), "SerialNumber": f"SN-{identity.hex[:8]}"}
        yield made


def enrol(cloud: Cloud, service: Service, **options: str) -> Machine:
    operator, name = cloud.user((cloud.root, "operator")), fresh("metal")
    operator.ask("POST /v1/pools", {"name": name, "zone": fresh("zone")})
    given = {"ca_file": service.authority, **options}
    body = {"name": name, "driver": "bare_metal", "uri": service.url, "pool": name, "credentials": "ops:word\n", "options": given}
    operator.ask("POST /v1/endpoints", body)
    return Machine(service, name, service.resources[SYSTEM]["SerialNumber"], operator)


@pytest.fixture
def machine(metal: Cloud, service: Service) -> Machine:
    return enrol(metal, service)


@pytest.fixture
def department(metal: Cloud) -> Department:
    return metal.department(PLENTY)


def apply(department: Department, machine: Machine, name: str, **more: Any) -> dict[str, Any]:
    item = {"kind": "bare_metal", "name": name, "flavor": "whole", "image": "debian", "pool": machine.pool, **more}
    request = department.member.ask("POST /v1/requests", {"project": department.path, "items": [item]})
    return department.member.ask(f"GET /v1/instances/{request['instances'][0]}")


def until(department: Department, instance: dict[str, Any], state: str) -> dict[str, Any]:
    return department.member.until(f"GET /v1/instances/{instance['id']}", lambda one: one["state"] == state, within_s=60)


def test_a_machine_is_inspected_given_out_and_taken_back_clean(metal: Cloud, machine: Machine, department: Department) -> None:
    member = department.member
    host = machine.operator.ask(f"GET /v1/hosts/{machine.name}")
    assert (machine.show()["state"], host["reason"]["code"]) == ("uninspected", "machine_uninspected")
    refusal = member.refused(409, "no_capacity", "POST /v1/requests", {"project": department.path, "items": [_item(machine)]})
    assert machine.name not in json.dumps(refusal)

    seen = machine.inspect()
    assert seen["differences"] == [{"what": "memory_mib", "bmc": "381470", "machine": "391168"}]
    itself = {"vcpus": 64, "memory_mib": 391168, "disk_gib": 894, "gpus": 0}
    host = machine.operator.ask(f"GET /v1/hosts/{machine.name}")
    assert (host["inventory"], host["reason"]) == (itself, None), "what it is is known in the moment in which it may be given out"
    assert "391168" in host["notes"][0]

    instance = apply(department, machine, "db-1", user_data="#cloud-config\n# secret-of-db-1\n")
    machine.turn("On")
    active = until(department, instance, "active")
    assert active["addresses"] == ["192.0.2.7"]
    assert (machine.show()["state"], machine.show()["instance"]) == ("occupied", "db-1")
    member.refused(409, "no_capacity", "POST /v1/requests", {"project": department.path, "items": [_item(machine)]})

    member.ask(f"DELETE /v1/instances/{instance['id']}")
    until(department, instance, "deleted")
    assert machine.until("free")["instance_id"] is None
    _check_certificate(metal, machine, department, instance)
    runs = machine.operator.walk("GET /v1/runs", host=machine.name)
    told = [(run["step"], run["state"], run["instance"]) for run in runs]
    assert told == [("wipe", "done", "db-1"), ("provision", "done", "db-1"), ("inspect", "done", None)]
    one = machine.operator.ask(f"GET /v1/runs/{runs[1]['id']}")
    assert [task["state"] for task in one["tasks"]] == ["ok", "ok", "skipped", "changed"]
    assert len(one["digest"]) == 64
    for where in (metal.log.read_text(), json.dumps(one)):
        assert "secret-of-db-1" not in where


def _item(machine: Machine) -> dict[str, Any]:
    return {"kind": "bare_metal", "name": fresh("one"), "flavor": "whole", "image": "debian", "pool": machine.pool}


def _check_certificate(metal: Cloud, machine: Machine, department: Department, instance: dict[str, Any]) -> None:
    """The department has it, no other does, and anybody can verify it with openssl."""
    (listed,) = department.member.walk("GET /v1/certificates")
    assert (listed["host"], listed["instance_id"], listed["instance"], listed["disk_serial"]) == (None, instance["id"], "db-1", "DISK-1")
    found = department.member.ask(f"GET /v1/certificates/{listed['id']}")
    assert (found["document"]["method"], found["document"]["verified"]) == ("discard", True)
    assert found["document"]["read_back"] == {"how": "samples", "places": 32, "bytes": 64 << 20}
    stranger = metal.department(PLENTY).member
    assert stranger.walk("GET /v1/certificates") == []
    stranger.refused(404, "not_found", f"GET /v1/certificates/{listed['id']}")
    assert stranger.ask("GET /v1/certificates/key") == {"verify_key": found["verify_key"]}
    document = json.dumps(found["document"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    files = [metal.data_dir / name for name in ("document", "signature", "key")]
    for path, content in zip(files, (document.encode(), base64.b64decode(found["signature"]), found["verify_key"].encode()), strict=True):
        path.write_bytes(content)
    line = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", files[2], "-rawin", "-in", files[0], "-sigfile", files[1]]
    assert subprocess.run(line, capture_output=True, check=False).returncode == 0
    files[0].write_text(document.replace("discard", "nothing"))
    assert subprocess.run(line, capture_output=True, check=False).returncode != 0


def test_a_machine_larger_than_the_flavor_is_not_given_for_it(machine: Machine, department: Department) -> None:
    machine.inspect()
    flavor = fresh("half")
    machine.operator.ask("POST /v1/flavors", {"name": flavor, "kind": "bare_metal", "vcpus": 32, "memory_mib": 1024, "disk_gib": 10})
    asked = {"project": department.path, "items": [_item(machine) | {"flavor": flavor}]}
    department.member.refused(409, "no_capacity", "POST /v1/requests", asked)


def test_a_machine_that_can_not_be_set_up_says_why_and_is_tried_again_when_asked(machine: Machine, department: Department) -> None:
    machine.inspect()
    instance = apply(department, machine, "broken-1")
    failed = until(department, instance, "error")
    assert failed["reason"]["code"] == "playbook_task_failed"
    department.member.ask(f"POST /v1/instances/{instance['id']}/start")
    runs = f"GET /v1/runs?instance={instance['id']}"
    machine.operator.until(runs, lambda page: [one["state"] for one in page["items"]] == ["failed", "failed"], within_s=60)


def test_what_is_deleted_while_it_is_set_up_is_given_up_and_wiped(machine: Machine, department: Department) -> None:
    machine.inspect()
    instance = apply(department, machine, "slow-1")
    machine.operator.until(f"GET /v1/machines/{machine.name}", lambda one: one["progress"].get("task") == "Write the image", within_s=60)
    department.member.ask(f"DELETE /v1/instances/{instance['id']}")
    until(department, instance, "deleted")
    runs = machine.operator.walk("GET /v1/runs", host=machine.name)
    assert [(run["step"], run["state"]) for run in runs[:2]] == [("wipe", "done"), ("provision", "cancelled")]


def test_a_machine_that_can_not_be_cleared_stays_in_quarantine_until_somebody_decides(
    metal: Cloud, service: Service, department: Department
) -> None:
    machine = enrol(metal, service, wipe_s="600")
    machine.operator.ask(f"PATCH /v1/pools/{machine.pool}", {"wipe": "ends"})
    machine.operator.refused(400, "invalid_request", f"PATCH /v1/pools/{machine.pool}", {"wipe": "burn"})
    machine.operator.refused(400, "invalid_request", f"PATCH /v1/pools/{machine.pool}", {"wipe": "whole"})
    machine.inspect()
    instance = apply(department, machine, "db-2")
    machine.turn("On")
    until(department, instance, "active")
    department.member.ask(f"DELETE /v1/instances/{instance['id']}")
    until(department, instance, "deleted")
    held = machine.until("quarantined")
    assert "sda does not take it" in held["reason"]["text"]
    department.member.refused(409, "no_capacity", "POST /v1/requests", {"project": department.path, "items": [_item(machine)]})
    machine.operator.ask(f"POST /v1/machines/{machine.name}/wipe")
    machine.operator.until("GET /v1/runs?limit=1", lambda page: page["items"][0]["step"] == "wipe" and page["items"][0]["ended_at"])
    machine.until("quarantined")
    machine.operator.ask(f"POST /v1/machines/{machine.name}/trust")
    machine.until("free")
    kinds = [event["kind"] for event in machine.operator.ask("GET /v1/events", object=machine.show()["id"], limit=500)["items"]]
    assert {"machine.quarantined", "machine.trust_asked", "run.failed"} <= set(kinds)


def test_what_may_not_be_asked_of_a_machine(metal: Cloud, machine: Machine, department: Department) -> None:
    machine.inspect()
    machine.operator.refused(409, "invalid_state", f"POST /v1/machines/{machine.name}/trust")
    department.member.refused(403, "forbidden", f"POST /v1/machines/{machine.name}/wipe")
    department.member.refused(403, "forbidden", "GET /v1/machines")
    department.member.refused(403, "forbidden", "GET /v1/runs")
    vms = metal.admin.ask("GET /v1/hosts", pool="general")["items"][0]["name"]
    metal.admin.refused(409, "invalid_state", f"POST /v1/machines/{vms}/inspect")
    instance = apply(department, machine, "db-3")
    machine.operator.refused(409, "invalid_state", f"POST /v1/machines/{machine.name}/inspect")
    department.member.refused(409, "invalid_state", f"POST /v1/instances/{instance['id']}/resize", {"flavor": "whole"})


def test_power_is_the_bmcs_to_switch(machine: Machine, department: Department) -> None:
    machine.inspect()
    instance = apply(department, machine, "db-4")
    machine.turn("On")
    until(department, instance, "active")
    reset = f"{SYSTEM}/Actions/ComputerSystem.Reset"
    department.member.ask(f"POST /v1/instances/{instance['id']}/stop")
    machine.operator.until("GET /v1/runs", lambda _: ("POST", reset, {"ResetType": "GracefulShutdown"}) in machine.service.acts())
    machine.turn("Off")
    until(department, instance, "stopped")
    assert department.member.ask(f"GET /v1/instances/{instance['id']}")["condition"] == "stopped"
    department.member.ask(f"POST /v1/instances/{instance['id']}/start")
    machine.operator.until("GET /v1/runs", lambda _: ("POST", reset, {"ResetType": "On"}) in machine.service.acts())
    machine.turn("On")
    until(department, instance, "active")


# -- a machine that a host of another endpoint is on -----------------------------------------------------------------------------


@pytest.fixture
def hypervisor(metal: Cloud, machine: Machine, tmp_path: Path) -> Iterator[tuple[str, World]]:
    """A host on that machine, and its world, which this process shares with the controller."""
    uri = f"fake://{tmp_path}/world?hosts=1&machine={machine.service.resources[SYSTEM]['UUID']}"
    machine.service.obeys = True
    machine.turn("On")
    made = machine.operator.ask("POST /v1/endpoints", {"name": f"{machine.name}-hv", "driver": "fake", "uri": uri, "pool": machine.pool})
    yield made["hosts"][0], world(uri)
    forget(uri)


def resets(machine: Machine) -> list[str]:
    return [body["ResetType"] for _, path, body in machine.service.acts() if path.endswith("ComputerSystem.Reset")]


def lose(machine: Machine, hypervisor: tuple[str, World]) -> None:
    hypervisor[1].silence()
    machine.operator.until(f"GET /v1/hosts/{hypervisor[0]}", lambda one: one["state"] == "unreachable")


def fenced(machine: Machine, host: str) -> dict[str, Any]:
    machine.operator.ask(f"POST /v1/hosts/{host}/fence")
    return machine.operator.until(f"GET /v1/hosts/{host}", lambda one: one["state"] == "fenced")


def test_a_silent_host_is_fenced_by_its_machines_bmc_and_its_machine_is_switched_on_again(
    machine: Machine, hypervisor: tuple[str, World]
) -> None:
    name, there = hypervisor
    operator = machine.operator
    refusal = operator.refused(409, "host_answers", f"POST /v1/hosts/{name}/fence")
    assert f"chutian host drain {name}" in refusal["message"]
    lose(machine, hypervisor)
    host = fenced(machine, name)
    assert (host["reason"]["code"], host["power_wanted"]) == ("machine_off", None)
    shown = machine.show()
    assert (shown["power"], shown["power_wanted"], resets(machine)) == ("off", None, ["ForceOff"])
    operator.ask(f"POST /v1/hosts/{name}/fence")
    operator.ask(f"POST /v1/machines/{machine.name}/power", {"power": "on"})
    machine.operator.until(f"GET /v1/machines/{machine.name}", lambda one: one["power"] == "on" and one["power_wanted"] is None)
    operator.until(f"GET /v1/hosts/{name}", lambda one: one["state"] == "unreachable")
    there.unsilence()
    operator.until(f"GET /v1/hosts/{name}", lambda one: one["state"] == "up")
    assert resets(machine) == ["ForceOff", "On"]
    kinds = [event["kind"] for event in operator.ask("GET /v1/events", object=host["id"], limit=500)["items"]]
    assert [kind for kind in kinds if "fence" in kind] == ["host.fence_asked", "host.fenced"]


def test_who_can_not_fence_is_told_why(metal: Cloud, machine: Machine, hypervisor: tuple[str, World], department: Department) -> None:
    name, _ = hypervisor
    lose(machine, hypervisor)
    fence = f"POST /v1/hosts/{name}/fence"
    department.member.refused(403, "forbidden", fence)
    machine.operator.refused(404, "not_found", "POST /v1/hosts/none/fence")
    machine.operator.refused(409, "fence_machine", f"POST /v1/hosts/{machine.name}/fence")
    machine.service.amiss["/redfish/v1/Systems"] = machine.service.amiss[SYSTEM] = "deny"
    machine.operator.until(f"GET /v1/endpoints/{machine.pool}", lambda one: one["reason"] is not None)
    refusal = machine.operator.refused(409, "bmc_troubled", fence, headers={"Accept-Language": "zh"})
    assert "BMC 拒绝了用户名或密码" in refusal["message"]
    machine.service.amiss.clear()
    machine.operator.ask(f"PATCH /v1/endpoints/{machine.pool}", {"credentials": "ops:word-2"})
    machine.operator.until(f"GET /v1/endpoints/{machine.pool}", lambda one: one["reason"] is None)
    fenced(machine, name)
    stranger = f"fake:{fresh('lonely')}?hosts=1"
    (lonely,) = metal.admin.ask("POST /v1/endpoints", {"name": fresh("e"), "driver": "fake", "uri": stranger, "pool": machine.pool})[
        "hosts"
    ]
    metal.admin.ask(f"POST /v1/hosts/{lonely}/retire")
    metal.admin.refused(409, "host_retired", f"POST /v1/hosts/{lonely}/fence")


def test_a_machine_is_nobodys_to_inspect_wipe_or_have_while_a_host_is_on_it(
    machine: Machine, hypervisor: tuple[str, World], department: Department
) -> None:
    name, _ = hypervisor
    for what in ("inspect", "wipe"):
        refusal = machine.operator.refused(409, "machine_in_use", f"POST /v1/machines/{machine.name}/{what}")
        assert name in refusal["message"]
    assert machine.operator.ask(f"GET /v1/hosts/{machine.name}")["reason"]["code"] == "machine_in_use"
    department.member.refused(409, "no_capacity", "POST /v1/requests", {"project": department.path, "items": [_item(machine)]})
    machine.operator.ask(f"POST /v1/hosts/{name}/retire")
    machine.inspect()
    assert resets(machine) == [], "only its playbook would have switched it off"


def test_a_machine_that_is_an_instance_is_stopped_with_the_host_that_it_is(
    machine: Machine, department: Department, tmp_path: Path
) -> None:
    machine.inspect()
    instance = apply(department, machine, "hv-1")
    machine.service.obeys = True
    machine.turn("On")
    until(department, instance, "active")
    power = f"POST /v1/machines/{machine.name}/power"
    for wanted in ("on", "off"):
        machine.operator.refused(409, "machine_power_is_its", power, {"power": wanted})
    uri = f"fake://{tmp_path}/world?hosts=1&machine={machine.service.resources[SYSTEM]['UUID']}"
    (name,) = machine.operator.ask("POST /v1/endpoints", {"name": fresh("hv"), "driver": "fake", "uri": uri, "pool": machine.pool})["hosts"]
    lose(machine, (name, world(uri)))
    fenced(machine, name)
    until(department, instance, "stopped")
    time.sleep(2.5)  # several looks and passes
    assert (resets(machine)[-1], "On" in resets(machine)) == ("ForceOff", False), "its goal does not have it switched on again"
    department.member.ask(f"POST /v1/instances/{instance['id']}/start")
    until(department, instance, "active")
    assert resets(machine)[-1] == "On"
    forget(uri)
