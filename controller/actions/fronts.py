"""Services have one set of ports: whoever is to stand behind one listens on exactly those that the others do.

A connection to a service may reach any instance behind it, so that one with other ports would answer a part of them only, and which part
nobody could tell. Such an item is refused before anything changes. The sums of the projects are locked here, so no other request comes
between. Requests that wait for approval count: else which of two is wrong would depend on who decides first.

Rejected: taking all ports together. It looks well and fails for every second connection.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from controller import errors
from controller.actions.draft import Draft
from controller.model import container
from controller.store import tenants
from drivers.container import Port

Ports = frozenset[Port]
Known = dict[tuple[str, str], Ports]
"""By project and service."""


def check(conn: Connection, drafts: Sequence[Draft]) -> None:
    """Refuse drafts with an item that names a service with other ports than it has, there or earlier among them."""
    named = {(draft.project["id"], service) for draft in drafts if draft.outcome is None for service in _services(draft)}
    if not named:
        return
    known: Known = {}
    for row in tenants.fronted(conn, named):
        known.setdefault((row["project_id"], row["name"]), frozenset(container.ports(row)))
    for draft in drafts:
        if draft.outcome is None:
            draft.outcome = _refusal(draft, known)


def _services(draft: Draft) -> list[str]:
    return [item.container["service"] for item in draft.submission.items if item.container and item.container["service"]]


def _refusal(draft: Draft, known: Known) -> errors.ControllerError | None:
    """None, and its services are known from now on; or why not."""
    mine: Known = {}
    for number, item in enumerate(draft.submission.items):
        if item.container is None or not item.container["service"]:
            continue
        key, wanted = (draft.project["id"], item.container["service"]), frozenset(container.ports(item.container))
        have = known.get(key) or mine.setdefault(key, wanted)
        if have != wanted:
            return errors.Conflict("service_ports_differ", item=number + 1, service=key[1], have=_told(have), want=_told(wanted))
    known |= mine
    return None


def _told(ports: Ports) -> str:
    return ", ".join(f"{port.name} {port.port}/{port.protocol}" for port in sorted(ports, key=lambda port: (port.port, port.protocol)))
