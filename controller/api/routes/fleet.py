"""Pools, endpoints and hosts: for operators. Pools may be read by all, since requests wish for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from sqlalchemy import Connection

from controller import errors
from controller.actions import fencing, guard, relocating
from controller.actions import fleet as actions
from controller.api.answers.base import page_of, responses
from controller.api.answers.fleet import EndpointOut, HostOut, PoolOut, RightsOut
from controller.api.call import Call, TheCall
from controller.api.json import Json
from controller.api.paging import Cursor, Limit, named, page_out
from controller.api.schemas import EndpointChange, EndpointIn, HostChange, PoolChange, PoolIn
from controller.messages import render
from controller.model import views
from controller.model.identity import Right
from controller.store import fleet as store
from drivers.base import Inventory, Proves
from drivers.errors import DriverError
from drivers.registry import CHECKS, DRIVERS, RIGHTS

router = APIRouter(prefix="/v1", tags=["fleet"])


@router.post("/pools", status_code=201, responses=responses(PoolOut, 201), response_model=None)
def create_pool(call: TheCall, given: PoolIn) -> Json:
    """A new, empty pool."""
    _check_hypervisors(call, given.hypervisor_options)
    return call.change(lambda conn: views.pool(actions.create_pool(conn, call.env, call.identity, given.model_dump())), 201)


@router.get("/pools", responses=responses(page_of(PoolOut)), response_model=None)
def list_pools(
    call: TheCall,
    zone: Annotated[str | None, Query()] = None,
    site: Annotated[str | None, Query()] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Json:
    """Pools, in order of name."""
    after, filters = named(cursor), {"zone": zone, "site": site}
    return call.read(lambda conn: page_out(store.page_pools(conn, filters, after, limit), limit, views.pool, lambda row: row["name"]))


@router.get("/pools/{pool}", responses=responses(PoolOut), response_model=None)
def show_pool(call: TheCall, pool: str) -> Json:
    """One pool."""
    return call.read(lambda conn: views.pool(actions.find_pool(conn, call.identity, pool)))


@router.patch("/pools/{pool}", responses=responses(PoolOut), response_model=None)
def change_pool(call: TheCall, pool: str, given: PoolChange) -> Json:
    """Change what is named of a pool; refused where a host would hold more than it may."""
    _check_hypervisors(call, given.hypervisor_options or {})
    changes = given.model_dump(exclude_none=True)
    return call.change(lambda conn: views.pool(actions.update_pool(conn, call.identity, pool, call.seen, changes)))


def _check_hypervisors(call: Call, options: Mapping[str, str]) -> None:
    """Now, and not when a machine has been provisioned."""
    guard.overall(call.identity, Right.OPERATE)
    with _refusing(call):
        CHECKS["libvirt"](options)


@router.delete("/pools/{pool}", responses=responses(None), response_model=None)
def delete_pool(call: TheCall, pool: str) -> Json:
    """Remove an empty pool."""

    def work(conn: Connection) -> dict[str, Any]:
        actions.delete_pool(conn, call.identity, pool, call.seen)
        return {}

    return call.change(work)


def _endpoint(conn: Connection, row: Mapping[str, Any], call: Call) -> dict[str, Any]:
    return views.endpoint(row, [host["name"] for host in store.hosts_of(conn, row["id"])], call.reader)


@router.post("/endpoints", status_code=201, responses=responses(EndpointOut, 201), response_model=None)
def enrol_endpoint(call: TheCall, given: EndpointIn) -> Json:
    """Connect to an endpoint and take its hosts into our care. One that does not answer is refused, and nothing has changed."""
    identity, database = call.identity, call.services.database
    if (known := call.repeated()) is not None:
        return known
    record: dict[str, Any] = {
        "id": call.env.new_id(),
        "name": given.name,
        "driver": given.driver,
        "uri": given.uri,
        "options": given.options,
    }
    database.run(lambda conn: actions.check_enrol(conn, identity, record, given.pool))
    if given.driver not in DRIVERS:
        raise errors.InvalidRequest("unknown_driver", driver=given.driver, drivers=", ".join(sorted(DRIVERS)))
    inventory = _tried(call, record, given.credentials or "")
    record["credentials"] = call.services.connections.sealed(given.credentials or "", record["id"])
    return call.change(lambda conn: _endpoint(conn, actions.enrol(conn, call.env, identity, record, given.pool, inventory), call), 201)


@router.get("/drivers/{driver}/rights", responses=responses(RightsOut), response_model=None)
def show_rights(call: TheCall, driver: str, option: Annotated[tuple[str, ...], Query()] = ()) -> Json:
    """What to apply to a cluster, so that a driver may do there what it must and nothing else."""
    guard.overall(call.identity, Right.SEE_FLEET)
    if driver not in RIGHTS:
        raise errors.NotFound("driver_without_rights", driver=driver, drivers=", ".join(sorted(RIGHTS)))
    with _refusing(call):
        return Json({"manifest": RIGHTS[driver]({name: value for name, _, value in (pair.partition("=") for pair in option)})})


def _tried(call: Call, record: Mapping[str, Any], credentials: str | None) -> Inventory:
    """What answers there, by a connection of its own; with the credentials on record where none are given."""
    connections = call.services.connections
    with _refusing(call):
        driver = connections.open(record, connections.opened(record) if credentials is None else credentials)
        try:
            inventory = driver.inventory()
            if isinstance(driver, Proves):
                driver.prove()
            return inventory
        finally:
            driver.close()


@contextmanager
def _refusing(call: Call) -> Iterator[None]:
    """What a driver says no to is refused in its words. Raises InvalidRequest."""
    try:
        yield
    except DriverError as error:
        text = render(error.reason.code, error.reason.params, call.reader.lang)
        raise errors.InvalidRequest("endpoint_refused", details={"reason": error.reason.code}, detail=text) from error


@router.patch("/endpoints/{endpoint}", responses=responses(EndpointOut), response_model=None)
def change_endpoint(call: TheCall, endpoint: str, given: EndpointChange) -> Json:
    """Give it other credentials or options. It is tried with them first: one that does not answer is refused, and nothing has changed."""
    if (known := call.repeated()) is not None:
        return known
    row = call.services.database.run(lambda conn: actions.find_endpoint(conn, call.identity, endpoint, Right.OPERATE))
    options = row["options"] if given.options is None else given.options
    _tried(call, {**row, "options": options}, given.credentials)
    sealed = row["credentials"] if given.credentials is None else call.services.connections.sealed(given.credentials, row["id"])

    def work(conn: Connection) -> dict[str, Any]:
        return _endpoint(conn, actions.change_endpoint(conn, call.identity, row["id"], call.seen, options, sealed), call)

    return call.change(work)


@router.get("/endpoints", responses=responses(page_of(EndpointOut)), response_model=None)
def list_endpoints(
    call: TheCall,
    driver: Annotated[str | None, Query()] = None,
    pool: Annotated[str | None, Query()] = None,
    state: Literal["connected", "unreachable"] | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Json:
    """Endpoints, in order of name."""
    after, filters = named(cursor), {"driver": driver, "pool": pool, "state": state}
    guard.overall(call.identity, Right.SEE_FLEET)
    return call.read(
        lambda conn: page_out(
            store.page_endpoints(conn, filters, after, limit), limit, lambda row: _endpoint(conn, row, call), lambda row: row["name"]
        )
    )


@router.get("/endpoints/{endpoint}", responses=responses(EndpointOut), response_model=None)
def show_endpoint(call: TheCall, endpoint: str) -> Json:
    """One endpoint."""
    return call.read(lambda conn: _endpoint(conn, actions.find_endpoint(conn, call.identity, endpoint), call))


@router.delete("/endpoints/{endpoint}", responses=responses(EndpointOut), response_model=None)
def forget_endpoint(call: TheCall, endpoint: str) -> Json:
    """Let go of an endpoint whose hosts are retired."""

    def work(conn: Connection) -> dict[str, Any]:
        row = actions.forget_endpoint(conn, call.identity, endpoint, call.seen)
        return views.endpoint(row, [], call.reader)

    return call.change(work)


@router.get("/hosts", responses=responses(page_of(HostOut)), response_model=None)
def list_hosts(
    call: TheCall,
    pool: Annotated[str | None, Query()] = None,
    zone: Annotated[str | None, Query()] = None,
    state: Literal["up", "unreachable", "fenced", "retired"] | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Json:
    """Hosts, in order of name."""
    after = named(cursor)
    guard.overall(call.identity, Right.SEE_FLEET)
    filters = {"pool": pool, "zone": zone, "state": state}
    reader = call.reader
    return call.read(
        lambda conn: page_out(
            store.page_hosts(conn, filters, after, limit), limit, lambda row: views.host(row, reader), lambda row: row["name"]
        )
    )


@router.get("/hosts/{host}", responses=responses(HostOut), response_model=None)
def show_host(call: TheCall, host: str) -> Json:
    """One host."""
    return call.read(lambda conn: views.host(actions.find_host(conn, call.identity, host), call.reader))


@router.patch("/hosts/{host}", responses=responses(HostOut), response_model=None)
def change_host(call: TheCall, host: str, given: HostChange) -> Json:
    """Say its rack, its power, its idle draw, or whose it is; refused, with the list, where somebody is on it who then may not be."""
    changes = given.model_dump(exclude_unset=True)
    return call.change(lambda conn: views.host(actions.change_host(conn, call.identity, host, call.seen, changes), call.reader))


@router.post("/hosts/{host}/cordon", responses=responses(HostOut), response_model=None)
def cordon_host(call: TheCall, host: str) -> Json:
    """No new placements there; nothing moves."""
    return call.change(lambda conn: views.host(actions.cordon(conn, call.identity, host, True, call.seen), call.reader))


@router.post("/hosts/{host}/drain", responses=responses(HostOut), response_model=None)
def drain_host(call: TheCall, host: str) -> Json:
    """Cordon it, and start elsewhere what it runs; refused, with the list, while anything there can't be started elsewhere."""
    return call.change(lambda conn: views.host(relocating.drain(conn, call.env, call.identity, host, call.seen), call.reader))


@router.post("/hosts/{host}/fence", responses=responses(HostOut), response_model=None)
def fence_host(call: TheCall, host: str) -> Json:
    """Have the machine of a silent host switched off by its BMC, at once and by force: what can be started elsewhere is, once the BMC says
    that it is off (`state`: fenced). Refused where the host answers, or no BMC of its machine can be asked."""
    return call.change(lambda conn: views.host(fencing.fence(conn, call.env, call.identity, host, call.seen), call.reader))


@router.post("/hosts/{host}/uncordon", responses=responses(HostOut), response_model=None)
def uncordon_host(call: TheCall, host: str) -> Json:
    """Placements again."""
    return call.change(lambda conn: views.host(actions.cordon(conn, call.identity, host, False, call.seen), call.reader))


@router.post("/hosts/{host}/retire", responses=responses(HostOut), response_model=None)
def retire_host(call: TheCall, host: str) -> Json:
    """Take it out of our care; refused, with the list, while anything is on it."""
    return call.change(lambda conn: views.host(actions.retire(conn, call.identity, host, call.seen), call.reader))
