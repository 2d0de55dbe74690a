"""What operators ask of machines' power through their BMCs: that a silent host be fenced, and that a machine be off or on.

Nothing is switched here: what is wanted is put on record, and `reconcile.switching` does it at the next look at the BMC, which is at once.
Whether the host is fenced then is not concluded from that either, but from what its BMC says when it is asked (`reconcile.fencing`).
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from controller import errors
from controller.actions import fleet as hosts
from controller.actions import instances as verbs
from controller.actions import machines as bare
from controller.actions.env import Env
from controller.model import fencing
from controller.model.identity import Identity
from controller.store import bmcs, events, fleet, instances, power
from controller.store.sql import Row
from drivers.bare_metal.record import Record, may_switch
from drivers.base import HostPower
from drivers.errors import MachineAtWork, MachineTaken

_LOCKED_OUT: Final = ("bmc_password_refused", "credentials_sealed")
"""What keeps us from a BMC that answers."""


def fence(conn: Connection, env: Env, identity: Identity, reference: str, generation: int | None) -> Row:
    """Have the machine of a silent host switched off by its BMC, so that what can be started elsewhere is; again changes nothing.

    Where that machine is an instance itself, which runs the host, it is stopped with it: else its own goal would have it switched on again.

    Raises InvalidState, with what to do, where the host answers, is retired or is a BMC's own, where no BMC of its machine can be asked,
    or a playbook works on the machine.
    """
    host = hosts.operable(conn, identity, reference, generation)
    _silent(host)
    if host["state"] == "fenced" and fencing.proof_among(host["notes"]):
        return host
    machine = _bmc_of(conn, host)
    record = bare.record_of(conn, machine["endpoint_id"])
    _not_at_work(record, machine)
    tenant = instances.get(conn, record.tenant.instance_id, True) if record.tenant else None  # before hosts, as everybody locks
    fleet.lock_hosts(conn, [host["id"], machine["id"]])
    _silent(hosts.find_host(conn, identity, host["id"]))
    if tenant is not None:
        verbs.stop_with_host(conn, env, identity, tenant)
    if power.ask(conn, machine["id"], "off", host["id"]):
        facts = [events.event("host.fence_asked", "host", host["id"], host["name"], None, identity.name, host=machine["name"])]
        events.add(conn, facts)
    fleet.look_now(conn, [machine["endpoint_id"]])
    return hosts.find_host(conn, identity, host["id"])


def _silent(host: Row) -> None:
    if host["state"] == "retired":
        raise errors.InvalidState("host_retired", name=host["name"])
    if "bare_metal" in host["kinds"]:
        raise errors.InvalidState("fence_machine", name=host["name"])
    if host["state"] == "up":
        raise errors.InvalidState("host_answers", name=host["name"])


def _bmc_of(conn: Connection, host: Row) -> Row:
    """The host's machine as its BMC has it, where that can be asked."""
    machine = bmcs.of_host(conn, host["id"])
    if machine is None:
        raise errors.InvalidState("bmc_unknown", name=host["name"], machine=host["machine"] or "-")
    if machine["twice"]:
        raise errors.InvalidState("machine_claimed_twice", name=host["name"])
    why = machine["endpoint_reason"]
    if why is not None and (machine["endpoint_state"] != "connected" or why["code"] in _LOCKED_OUT):
        raise errors.InvalidState("bmc_troubled", name=host["name"], endpoint=machine["endpoint"], why=why["code"], **why["params"])
    return machine


def switch(conn: Connection, identity: Identity, reference: str, generation: int | None, wanted: str) -> Row:
    """Have a machine that is nobody's switched on or, by force, off.

    Raises InvalidState where it is an instance's, a playbook works on it, or it would be switched off with a host of another endpoint that
    has something on it.
    """
    machine = bare.find(conn, identity, hosts.operable(conn, identity, reference, generation)["id"])
    fleet.lock_hosts(conn, [machine["id"]])
    machine = bare.find(conn, identity, machine["id"])
    if machine["state"] == "retired":
        raise errors.InvalidState("host_retired", name=machine["name"])
    if machine["used_instances"] or machine["record"].tenant is not None:
        raise errors.InvalidState("machine_power_is_its", name=machine["name"])
    _not_at_work(machine["record"], machine)
    for host in bmcs.hosts_on(conn, [machine["machine"]]) if wanted == "off" else ():
        if host["used_instances"]:
            raise errors.InvalidState("machine_runs_host", name=machine["name"], host=host["name"], count=host["used_instances"])
    if power.ask(conn, machine["id"], wanted):
        events.add(conn, [events.event(f"machine.{wanted}_asked", "host", machine["id"], machine["name"], None, identity.name)])
    fleet.look_now(conn, [machine["endpoint_id"]])
    return bare.find(conn, identity, machine["id"])


def _not_at_work(record: Record, machine: Row) -> None:
    try:
        may_switch(record, HostPower.OFF, machine["name"])
    except (MachineAtWork, MachineTaken) as error:
        raise errors.InvalidState(error.reason.code, host=machine["name"]) from error
