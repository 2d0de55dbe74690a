"""Bare machines: what their operators ask of them, the runs of playbooks, and the proofs that disks were cleared."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from sqlalchemy import Connection

from controller.actions import fencing, guard
from controller.actions import machines as actions
from controller.api.answers.base import page_of, responses
from controller.api.answers.machines import CertificateOut, MachineOut, RunOut, VerifyKeyOut
from controller.api.call import Call, TheCall
from controller.api.json import Json
from controller.api.paging import Cursor, Limit, named, page_out, time_ordered
from controller.api.schemas import MachinePower, WriteOff
from controller.model import machine_views as views
from controller.model.identity import Right
from controller.store import machines as store
from controller.store import projects

router = APIRouter(prefix="/v1", tags=["bare metal"])
Host = Annotated[str | None, Query(description="Only those of this host; for those who may see the fleet.")]
Instance = Annotated[
    str | None, Query(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", description="Only those about this instance.")
]
RunState = Literal["waiting", "running", "done", "failed", "cancelled", "interrupted"]


def _machine(call: Call, row: Any) -> dict[str, Any]:
    return views.machine({**row, **actions.view_parameters(row)}, call.reader)


def _asked(call: Call, machine: str, what: str) -> Json:
    def work(conn: Connection) -> dict[str, Any]:
        actions.ask(conn, call.identity, machine, call.seen, what)
        return _machine(call, actions.find(conn, call.identity, machine))

    return call.change(work)


@router.get("/machines", responses=responses(page_of(MachineOut)), response_model=None)
def list_machines(call: TheCall, pool: Annotated[str | None, Query()] = None, cursor: Cursor = None, limit: Limit = 50) -> Json:
    """Bare machines, in order of name."""
    after = named(cursor)
    guard.overall(call.identity, Right.SEE_FLEET)
    return call.read(
        lambda conn: page_out(
            actions.page(conn, {"pool": pool}, after, limit), limit, lambda row: _machine(call, row), lambda row: row["name"]
        )
    )


@router.get("/machines/{machine}", responses=responses(MachineOut), response_model=None)
def show_machine(call: TheCall, machine: str) -> Json:
    """A bare machine: how far it is, what it is made of, and where its BMC says something else."""
    return call.read(lambda conn: _machine(call, actions.find(conn, call.identity, machine)))


@router.post("/machines/{machine}/inspect", responses=responses(MachineOut), response_model=None)
def inspect_machine(call: TheCall, machine: str) -> Json:
    """Start it into the ramdisk, and let it say what it is made of. It is switched off for that, and nothing on its disks changes."""
    return _asked(call, machine, "inspect")


@router.post("/machines/{machine}/wipe", responses=responses(MachineOut), response_model=None)
def wipe_machine(call: TheCall, machine: str) -> Json:
    """Clear all its disks, with a certificate for each; one that could not be cleared keeps the machine in quarantine."""
    return _asked(call, machine, "wipe")


@router.post("/machines/{machine}/patch", responses=responses(MachineOut), response_model=None)
def patch_machine(call: TheCall, machine: str) -> Json:
    """Patch the hypervisor that it is: it is drained, its packages are updated, it starts anew where it must, and is opened again.

    What moves is what can; where anything there can't be started elsewhere, the run fails and says so, and nothing has happened.
    """
    return _asked(call, machine, "patch_host")


@router.post("/machines/{machine}/trust", responses=responses(MachineOut), response_model=None)
def trust_machine(call: TheCall, machine: str) -> Json:
    """Take it out of quarantine as it is: you have seen to its disks yourself."""
    return _asked(call, machine, "trust")


@router.post("/machines/{machine}/write-off", responses=responses(MachineOut), response_model=None)
def write_off_machine(call: TheCall, machine: str, given: WriteOff) -> Json:
    """Give up a machine whose BMC does not answer any more, and whose instance was deleted: that is gone, without a certificate.

    The machine is in quarantine until it is wiped; it can't be trusted as it is.
    """

    def work(conn: Connection) -> dict[str, Any]:
        return _machine(call, actions.write_off(conn, call.identity, machine, call.seen, given.reason))

    return call.change(work)


@router.post("/machines/{machine}/power", responses=responses(MachineOut), response_model=None)
def switch_machine(call: TheCall, machine: str, given: MachinePower) -> Json:
    """Have a machine that is no instance's switched on, or off by force, by its BMC; done when `power_wanted` is null again."""

    def work(conn: Connection) -> dict[str, Any]:
        fencing.switch(conn, call.identity, machine, call.seen, given.power)
        return _machine(call, actions.find(conn, call.identity, machine))

    return call.change(work)


@router.get("/runs", responses=responses(page_of(RunOut)), response_model=None)
def list_runs(
    call: TheCall, host: Host = None, instance: Instance = None, state: RunState | None = None, cursor: Cursor = None, limit: Limit = 50
) -> Json:
    """Runs of playbooks, newest first."""
    before = time_ordered(cursor)
    guard.overall(call.identity, Right.SEE_FLEET)

    def work(conn: Connection) -> dict[str, Any]:
        filters = {"endpoint": actions.endpoint_of(conn, call.identity, host), "instance": instance, "state": state}
        found = store.page_runs(conn, filters, before, limit)
        return page_out(found, limit, lambda row: views.run(row, call.reader), lambda row: row["id"])

    return call.read(work)


@router.get("/runs/{run}", responses=responses(RunOut), response_model=None)
def show_run(call: TheCall, run: str) -> Json:
    """One run, task by task, also while it goes on."""
    return call.read(lambda conn: views.run(actions.find_run(conn, call.identity, run), call.reader))


@router.post("/runs/{run}/cancel", responses=responses(RunOut), response_model=None)
def cancel_run(call: TheCall, run: str) -> Json:
    """Have a run end, within seconds, and not be begun again by itself.

    What was inspected or patched is as it was left, and can be asked for anew. An instance that was set up is in error until it is started,
    or deleted. A machine that was being cleared is in quarantine.
    """
    return call.change(lambda conn: views.run(actions.cancel(conn, call.identity, run), call.reader))


@router.get("/certificates", responses=responses(page_of(CertificateOut)), response_model=None)
def list_certificates(
    call: TheCall,
    project: str | None = None,
    host: Host = None,
    instance: Instance = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Json:
    """Proofs that disks were cleared, newest first: those of your projects, or of all for those who may see the fleet."""
    before = time_ordered(cursor)

    def work(conn: Connection) -> dict[str, Any]:
        scope = call.scope(conn, project)
        if scope is None and (project is not None or not call.identity.may_overall(Right.SEE_FLEET)):
            scope = projects.subtree_ids(conn, call.identity.tops(Right.READ))  # without what was nobody's
        filters = {"endpoint": actions.endpoint_of(conn, call.identity, host), "instance": instance}
        found = store.page_certificates(conn, scope, filters, before, limit)
        return page_out(found, limit, lambda row: views.certificate(row, call.reader), lambda row: row["id"])

    return call.read(work)


@router.get("/certificates/key", responses=responses(VerifyKeyOut), response_model=None)
def show_verify_key(call: TheCall) -> Json:
    """What verifies the signatures of all certificates, those of other departments too: for who is handed one, and checks it without us."""
    return call.read(lambda conn: {"verify_key": store.verify_key(conn)})


@router.get("/certificates/{certificate}", responses=responses(CertificateOut), response_model=None)
def show_certificate(call: TheCall, certificate: str) -> Json:
    """One, with the key that verifies its signature."""
    return call.read(lambda conn: views.certificate(actions.find_certificate(conn, call.identity, certificate), call.reader))
