"""Runs on a bare machine that go another way: cancelled by its operators, or made good after its department had left."""

from __future__ import annotations

from typing import Any

from tests.api.outside import Cloud, Department
from tests.api.test_machines import Machine, apply, department, enrol, metal, service, until  # noqa: F401  # fixtures
from tests.drivers.bare_metal.served import Service


def at_work(machine: Machine, step: str, task: str) -> str:
    """The id of the run that is at that task."""
    machine.operator.until(f"GET /v1/machines/{machine.name}", lambda one: one["progress"].get("task") == task, within_s=60)
    (run,) = machine.operator.ask("GET /v1/runs", host=machine.name, state="running")["items"]
    assert run["step"] == step
    id_: str = run["id"]
    return id_


def left_uncleared(cloud: Cloud, bmc: Service, whose: Department) -> tuple[Machine, dict[str, Any]]:
    """A machine in quarantine, as its disks could not be cleared when its instance had left."""
    machine = enrol(cloud, bmc, wipe="ends")
    machine.inspect()
    instance = apply(whose, machine, "db-5")
    machine.turn("On")
    until(whose, instance, "active")
    whose.member.ask(f"DELETE /v1/instances/{instance['id']}")
    machine.until("quarantined")
    until(whose, instance, "deleted")
    return machine, instance


def test_a_run_that_is_cancelled_ends_and_is_begun_again_only_when_it_is_asked_for(
    metal: Cloud,  # noqa: F811
    service: Service,  # noqa: F811
    department: Department,  # noqa: F811
) -> None:
    machine = enrol(metal, service, wipe="secure")
    machine.inspect()
    instance = apply(department, machine, "slow-2")
    run = at_work(machine, "provision", "Write the image")
    department.member.refused(403, "forbidden", f"POST /v1/runs/{run}/cancel")
    machine.operator.ask(f"POST /v1/runs/{run}/cancel")
    assert until(department, instance, "error")["reason"]["code"] == "run_cancelled"
    machine.operator.until(f"GET /v1/runs/{run}", lambda one: one["state"] == "cancelled")
    machine.operator.refused(409, "run_over", f"POST /v1/runs/{run}/cancel")
    department.member.ask(f"POST /v1/instances/{instance['id']}/start")
    again = at_work(machine, "provision", "Write the image")
    assert again != run

    department.member.ask(f"DELETE /v1/instances/{instance['id']}")
    machine.operator.ask(f"POST /v1/runs/{at_work(machine, 'wipe', 'Take long')}/cancel")
    until(department, instance, "deleted")
    assert machine.until("quarantined")["reason"]["code"] == "run_cancelled"
    states = [(one["step"], one["state"]) for one in machine.operator.walk("GET /v1/runs", host=machine.name)]
    assert states == [("wipe", "cancelled"), ("provision", "cancelled"), ("provision", "cancelled"), ("inspect", "done")]
    kinds = [event["kind"] for event in machine.operator.ask("GET /v1/events", object=machine.show()["id"], limit=500)["items"]]
    assert kinds.count("run.cancel_asked") == 2


def test_a_department_gets_the_certificate_of_disks_that_were_cleared_after_it_had_left(
    metal: Cloud,  # noqa: F811
    service: Service,  # noqa: F811
    department: Department,  # noqa: F811
) -> None:
    machine, instance = left_uncleared(metal, service, department)
    assert department.member.walk("GET /v1/certificates") == []
    machine.operator.ask(f"PATCH /v1/endpoints/{machine.pool}", {"options": {"ca_file": service.authority, "wipe": "overwrite whole"}})
    machine.operator.ask(f"POST /v1/machines/{machine.name}/wipe")
    machine.until("free")
    (certificate,) = department.member.walk("GET /v1/certificates")
    assert (certificate["instance_id"], certificate["disk_serial"]) == (instance["id"], "DISK-1")
    assert certificate["document"]["read_back"]["how"] == "whole"
    machine.operator.ask(f"POST /v1/machines/{machine.name}/wipe")
    machine.operator.until(f"GET /v1/certificates?host={machine.name}", lambda page: len(page["items"]) == 2)
    assert len(department.member.walk("GET /v1/certificates")) == 1, "what is cleared once more is nobody's"


def test_a_machine_whose_bmc_is_dead_for_good_is_written_off_and_stays_in_quarantine_until_it_is_wiped(
    metal: Cloud,  # noqa: F811
    service: Service,  # noqa: F811
    department: Department,  # noqa: F811
) -> None:
    machine = enrol(metal, service, wipe="overwrite", timeout_s="1")
    operator, line = machine.operator, f"/v1/machines/{machine.name}"
    burnt = {"reason": "burnt on 3 March"}
    machine.inspect()
    operator.refused(409, "machine_nobodys", f"POST {line}/write-off", burnt)
    instance = apply(department, machine, "db-8")
    machine.turn("On")
    until(department, instance, "active")
    operator.refused(409, "machine_wanted", f"POST {line}/write-off", burnt)
    service.amiss |= {f"{method} {path}": "break_off" for path in service.resources for method in ("GET", "POST")}
    operator.until(f"GET /v1/endpoints/{machine.pool}", lambda one: one["state"] == "unreachable" or one["reason"], within_s=60)
    department.member.ask(f"DELETE /v1/instances/{instance['id']}")
    hangs = f"GET /v1/instances/{instance['id']}"
    department.member.until(hangs, lambda one: one["goal"] == "gone" and one["reason"]["code"] == "bmc_unreachable", within_s=60)
    department.member.refused(403, "forbidden", f"POST {line}/write-off", burnt)

    held = operator.ask(f"POST {line}/write-off", burnt)
    assert (held["state"], held["instance"]) == ("quarantined", None)
    assert "not cleared: burnt on 3 March" in held["reason"]["text"]
    until(department, instance, "deleted")
    assert department.member.walk("GET /v1/certificates") == []
    assert operator.ask(f"GET /v1/hosts/{machine.name}")["instances"] == 0
    said = [one for one in department.member.ask("GET /v1/events", object=instance["id"])["items"] if one["kind"] == "instance.not_cleared"]
    assert "burnt on 3 March" in said[0]["text"]
    operator.refused(409, "machine_not_cleared", f"POST {line}/trust")

    service.amiss.clear()
    operator.until(f"GET /v1/endpoints/{machine.pool}", lambda one: one["state"] == "connected" and not one["reason"], within_s=60)
    operator.refused(409, "machine_nobodys", f"POST {line}/write-off", burnt)
    assert machine.show()["state"] == "quarantined", "that it answers again proves nothing"
    operator.ask(f"POST {line}/wipe")
    machine.until("free")
    assert [one["instance_id"] for one in department.member.walk("GET /v1/certificates")] == [instance["id"]]


def test_a_machine_in_quarantine_stays_there_where_it_is_retired_and_enrolled_again(
    metal: Cloud,  # noqa: F811
    service: Service,  # noqa: F811
    department: Department,  # noqa: F811
) -> None:
    machine, instance = left_uncleared(metal, service, department)
    machine.operator.ask(f"POST /v1/hosts/{machine.name}/retire")
    machine.operator.ask(f"DELETE /v1/endpoints/{machine.pool}")
    again = enrol(metal, service)
    again.operator.ask(f"POST /v1/machines/{again.name}/inspect")
    again.operator.until(f"GET /v1/runs?host={again.name}", lambda page: page["items"] and page["items"][0]["state"] == "done", within_s=60)
    again.until("quarantined")
    item = {"kind": "bare_metal", "name": "db-7", "flavor": "whole", "image": "debian", "pool": again.pool}
    department.member.refused(409, "no_capacity", "POST /v1/requests", {"project": department.path, "items": [item]})
    again.operator.ask(f"POST /v1/machines/{again.name}/wipe")
    again.until("free")
    assert [one["instance_id"] for one in department.member.walk("GET /v1/certificates")] == [instance["id"]]
