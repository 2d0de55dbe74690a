"""What makes a machine a hypervisor of ours that is reached by TLS: for operators, and the playbooks that they run."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy import Connection

from controller.actions import guard, trust
from controller.api.answers.base import responses
from controller.api.answers.fleet import HypervisorCertificateOut, TrustOut
from controller.api.call import TheCall
from controller.api.json import Json
from controller.api.schemas import HypervisorIn
from controller.authority import pem_of
from controller.model.identity import Right

router = APIRouter(prefix="/v1/hypervisors", tags=["fleet"])


@router.get("/trust", responses=responses(TrustOut), response_model=None)
def show_trust(call: TheCall) -> Json:
    """Whom hypervisors trust, and who may connect to them."""
    guard.overall(call.identity, Right.SEE_FLEET)

    def work(conn: Connection) -> dict[str, Any]:
        return {"authorities": trust.current(conn, call.services.seal).bundle, "controller": trust.CONTROLLER}

    return call.read(work)


@router.post("/certificates", status_code=201, responses=responses(HypervisorCertificateOut, 201), response_model=None)
def certify(call: TheCall, given: HypervisorIn) -> Json:
    """Sign a certificate for a hypervisor's libvirt; its key stays there."""

    def work(conn: Connection) -> dict[str, Any]:
        made = trust.certify(conn, call.identity, call.services.seal, given.name, given.addresses, given.request)
        return {"certificate": pem_of(made).decode(), "ends": made.not_valid_after_utc}

    return call.change(work, 201)
