"""Bare machines: what their operators ask of them, and what is known of each.

Nothing is done here: what is asked for is counted in the machine's journal, and its driver does it when it looks at the machine next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from controller import errors
from controller.actions import fleet as hosts
from controller.actions import guard
from controller.model import translate
from controller.model.identity import Identity, Right
from controller.model.lifecycle import Goal
from controller.model.naming import is_id
from controller.store import bmcs, events, fleet, instances, machines, numbering
from controller.store.sql import Row
from drivers.bare_metal.record import Record, Step, cut_off, only_a_wipe_helps, quarantined, written_off
from drivers.bare_metal.standing import State, state


def find(conn: Connection, identity: Identity, reference: str) -> Row:
    """A machine: its host's row with `record`, `progress`, its `work`'s run and its `instance`, for those who may see the fleet."""
    return _with_record(conn, hosts.find_host(conn, identity, reference))


def page(conn: Connection, filters: Mapping[str, str | None], after: str, limit: int) -> Sequence[Row]:
    """Machines in order of name, as `find` gives them."""
    found = fleet.page_hosts(conn, {**filters, "zone": None, "state": None}, after, limit, kind="bare_metal")
    kept = machines.journals(conn, [host["endpoint_id"] for host in found])
    return [_recorded(host, kept.get(host["endpoint_id"])) for host in found]


def record_of(conn: Connection, endpoint_id: str) -> Record:
    """What its driver has on record of the machine behind an endpoint."""
    kept = machines.journals(conn, [endpoint_id]).get(endpoint_id)
    return Record.of(kept["document"] if kept else {})


def _with_record(conn: Connection, host: Row) -> Row:
    if "bare_metal" not in host["kinds"]:
        raise errors.InvalidState("not_a_machine", name=host["name"])
    return _recorded(host, machines.journals(conn, [host["endpoint_id"]]).get(host["endpoint_id"]))


def _recorded(host: Row, kept: Row | None) -> Row:
    kept = kept or {"document": {}, "progress": {}, "instance": None}
    return {**host, "record": Record.of(kept["document"]), "progress": kept["progress"], "instance": kept["instance"]}


def ask(conn: Connection, identity: Identity, reference: str, generation: int | None, what: str) -> Row:
    """Ask that the machine be inspected or wiped, (`trust`) taken out of quarantine as it is, or (`patch_host`) patched as a hypervisor.

    Raises InvalidState where it is somebody's, a host of another endpoint is on it, there is nothing to trust, or it is no hypervisor that
    we made.
    """
    host = hosts.operable(conn, identity, reference, generation)
    fleet.lock_hosts(conn, [host["id"]])  # nobody is placed there meanwhile
    machine = _with_record(conn, hosts.find_host(conn, identity, host["id"]))
    if machine["state"] == "retired":
        raise errors.InvalidState("host_retired", name=host["name"])
    _check_state(machine, what)
    if what in ("inspect", "wipe") and (used := bmcs.hosts_on(conn, [machine["machine"]])):
        raise errors.InvalidState("machine_in_use", host=used[0]["name"])
    machines.ask(conn, host["endpoint_id"], what, identity.user_id)
    fleet.look_now(conn, [host["endpoint_id"]])
    events.add(conn, [events.event(f"machine.{what}_asked", "host", host["id"], host["name"], None, identity.name)])
    return machine


def _check_state(machine: Row, what: str) -> None:
    tenant, name = machine["record"].tenant, machine["name"]
    if what == Step.PATCH:
        if tenant is None or not tenant.is_hypervisor:
            raise errors.InvalidState("machine_no_hypervisor", name=name)
        return
    if machine["used_instances"] or tenant is not None:
        raise errors.InvalidState("machine_occupied", name=name)
    if what == "trust" and state(machine["record"]) is not State.QUARANTINED:
        raise errors.InvalidState("machine_not_quarantined", name=name)
    if what == "trust" and only_a_wipe_helps(machine["record"]):
        raise errors.InvalidState("machine_not_cleared", name=name)


def write_off(conn: Connection, identity: Identity, reference: str, generation: int | None, said: str) -> Row:
    """Give up a machine whose BMC can't be asked any more: the instance that was deleted is gone, and the machine in quarantine until it is
    wiped, which no certificate says that it was.

    Raises InvalidState where the machine is nobody's, its instance was not deleted, or its BMC answers.
    """
    host = hosts.operable(conn, identity, reference, generation)
    record = _with_record(conn, host)["record"]
    tenant = instances.get(conn, record.tenant.instance_id, True) if record.tenant else None  # before hosts, as everybody locks
    fleet.lock_hosts(conn, [host["id"]])
    machine = _with_record(conn, hosts.find_host(conn, identity, host["id"]))
    record = machine["record"]
    if record.tenant is None or tenant is None or tenant["id"] != record.tenant.instance_id:
        raise errors.InvalidState("machine_nobodys", name=machine["name"])
    if tenant["goal"] != Goal.GONE:
        raise errors.InvalidState("machine_wanted", name=machine["name"], instance=tenant["name"])
    if machine["endpoint_state"] == "connected" and machine["endpoint_reason"] is None:
        raise errors.InvalidState("machine_answers", name=machine["name"])
    given_up = written_off(record, identity.name, said)
    machines.put(conn, machine["endpoint_id"], given_up.document)
    if record.work is not None:
        machines.keep_run(conn, {"endpoint_id": machine["endpoint_id"], **cut_off(record.work)})
    why = quarantined(given_up.quarantine) if given_up.quarantine else None
    fleet.close_hosts(conn, [machine["id"]], translate.reason(why))
    instances.make_due(conn, [tenant["id"]])
    about = [("machine.written_off", "host", machine["id"], machine["name"], None)]
    about.append(("instance.not_cleared", "instance", tenant["id"], tenant["name"], tenant["project_id"]))
    events.add(conn, [events.event(*one, identity.name, said=said) for one in about])
    return find(conn, identity, machine["id"])


def find_run(conn: Connection, identity: Identity, run_id: str) -> Row:
    """A run with its tasks, for those who may see the fleet."""
    guard.overall(identity, Right.SEE_FLEET)
    row = machines.run(conn, run_id) if is_id(run_id) else None
    if row is None:
        raise errors.NotFound("run_not_found", name=run_id)
    return row


def cancel(conn: Connection, identity: Identity, run_id: str) -> Row:
    """Ask that a run end, and that it not be begun again by itself. Who carries it out ends it within seconds.

    Again changes nothing. Raises InvalidState where it has ended.
    """
    guard.overall(identity, Right.OPERATE)
    row = find_run(conn, identity, run_id)
    if row["state"] not in machines.LIVE or not machines.cancel(conn, row["endpoint_id"], row["id"]):
        raise errors.InvalidState("run_over", step=row["step"], name=row["host"] or row["endpoint"])
    for host in fleet.hosts_of(conn, row["endpoint_id"]):
        events.add(conn, [events.event("run.cancel_asked", "host", host["id"], host["name"], None, identity.name, step=row["step"])])
    fleet.look_now(conn, [row["endpoint_id"]])
    return row


def catch_up(conn: Connection) -> int:
    """Go on from a backup, where the database was restored from one: machines that it calls nobody's may be somebody's by now. What
    `numbering.catch_up` says."""
    raised = numbering.catch_up(conn)
    if raised:
        why = "database_restored"
        fleet.close_hosts(conn, machines.distrust(conn, why), {"code": "machine_quarantined", "params": {"why": why}})
    return raised


def find_certificate(conn: Connection, identity: Identity, certificate_id: str) -> Row:
    """The proof that a disk was cleared, for the department that had it and for those who may see the fleet."""
    row = machines.certificate(conn, certificate_id) if is_id(certificate_id) else None
    if row is None or not (identity.may_overall(Right.SEE_FLEET) or (row["project_id"] and identity.may(Right.READ, row["ancestors"]))):
        raise errors.NotFound("certificate_not_found", name=certificate_id)
    return {**row, "verify_key": machines.verify_key(conn)}


def endpoint_of(conn: Connection, identity: Identity, host: str | None) -> str | None:
    """The endpoint of a host that a list is narrowed to."""
    if host is None:
        return None
    found: str = hosts.find_host(conn, identity, host)["endpoint_id"]
    return found


def view_parameters(row: Row) -> dict[str, Any]:
    """What a view of a machine is made of, without the driver's own types."""
    record: Record = row["record"]
    return {
        "state": state(record).value,
        "inspection": record.inspection,
        "step": record.work.step.value if record.work else None,
        "run_id": record.work.run_id if record.work else None,
        "instance_id": record.tenant.instance_id if record.tenant else None,
        "instance": row["instance"],
        "address": record.tenant.address or None if record.tenant else None,
        "host_key": record.tenant.host_key or None if record.tenant else None,
        "quarantine": {"code": record.quarantine.code, "params": dict(record.quarantine.params)} if record.quarantine else None,
        "progress": row["progress"],
    }
