"""What nova does with one instance's servers when it is sent an act: a model of it, pure, for asking whether decisions lead anywhere.

As real as what was seen of nova 34: an act that is taken has its effect. `resize` leaves the server
where it was, or, where `astray` says so, elsewhere. What a real nova makes of the acts is tested on a real one.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from drivers.base import InstanceSpec, Power
from drivers.openstack.conditions import current
from drivers.openstack.deciding import Act, stamped, wanted_size
from drivers.openstack.records import RUNNING, SHUTDOWN, Server
from tests.drivers.openstack.servers import made

ON = {"status": "ACTIVE", "vm_state": "active", "power": RUNNING, "launched": True, "fault": None}
OFF = {"status": "SHUTOFF", "vm_state": "stopped", "power": SHUTDOWN}


class Refused(Exception):
    """409, which the driver must not come to by itself."""


@dataclass
class Nova:
    """The servers of one instance. `boots`: how often a guest was switched on; `most`: how many guests ever ran at once."""

    servers: list[Server]
    astray: bool = False
    boots: int = 0
    most: int = 0
    made: int = 0
    _old: dict[str, Server] = field(default_factory=dict)

    def take(self, act: Act, spec: InstanceSpec) -> None:
        """One act of `deciding.acts`."""
        server, surplus = current(self.servers)
        if act is Act.CREATE:
            if server is not None:
                raise Refused("two of one")
            self.made += 1
            self.servers.append(made(spec, id=f"new-{self.made}", created=f"2026-02-01T00:00:0{self.made}Z"))
            self.boots += 1
        elif act is Act.THIN_OUT:
            self.servers = [one for one in self.servers if one not in surplus]
        else:
            assert server is not None
            self._change(act, server, spec)
        self.most = max(self.most, sum(one.power == RUNNING for one in self.servers))

    def _change(self, act: Act, server: Server, spec: InstanceSpec) -> None:
        assert server.mark is not None
        rest = [one for one in self.servers if one.id != server.id]
        if act is Act.DELETE:
            self.servers = rest
            return
        changed = self._simple(act, server, spec) or self._larger(act, server, spec)
        self.servers = [*rest, changed]

    def _simple(self, act: Act, server: Server, spec: InstanceSpec) -> Server | None:
        assert server.mark is not None
        if act is Act.STAMP:
            return replace(server, mark=stamped(spec, server.mark))
        if act is Act.COUNT:
            return replace(server, mark=replace(server.mark, reboots=spec.reboots))
        if act is Act.RENAME:
            return replace(server, name=spec.name)
        allowed = {
            Act.STOP: ("ACTIVE", "ERROR"),
            Act.START: ("SHUTOFF",),
            Act.RESET: ("ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED", "ERROR"),
            Act.UNPAUSE: ("PAUSED",),
            Act.RESUME: ("SUSPENDED",),
            Act.UNRESCUE: ("RESCUE",),
            Act.UNSHELVE: ("SHELVED", "SHELVED_OFFLOADED"),
            Act.RESTORE: ("SOFT_DELETED",),
        }.get(act)
        if allowed is None:
            return None
        if server.status not in allowed:
            raise Refused(f"{act} of {server.status}")
        if act is Act.STOP:
            return replace(server, **OFF)
        self.boots += act in (Act.START, Act.RESET)
        return replace(server, **ON)

    def _larger(self, act: Act, server: Server, spec: InstanceSpec) -> Server:
        assert server.mark is not None
        if act is Act.REBUILD:
            if server.status not in ("ACTIVE", "SHUTOFF", "ERROR"):
                raise Refused(f"rebuild of {server.status}")
            mark = replace(server.mark, build=spec.build, reboots=spec.reboots, asked=spec.generation, name=spec.name)
            self.boots += server.status != "SHUTOFF"
            return replace(server, mark=mark, **({} if server.status == "SHUTOFF" else ON))
        if act is Act.RESIZE:
            if server.status not in ("ACTIVE", "SHUTOFF"):
                raise Refused(f"resize of {server.status}")
            self._old[server.id] = server
            there = "c9" if self.astray else server.node
            return replace(server, status="VERIFY_RESIZE", size=wanted_size(spec), node=there)
        assert act in (Act.CONFIRM, Act.REVERT)
        if server.status != "VERIFY_RESIZE":
            raise Refused(f"{act} of {server.status}")
        if act is Act.REVERT:
            return replace(self._old.get(server.id, server), mark=server.mark, **({} if server.id in self._old else ON))
        return replace(server, **(OFF if server.power != RUNNING else {"status": "ACTIVE"}))


def holds(spec: InstanceSpec, servers: list[Server]) -> bool:
    """Whether the world is as it was asked for."""
    server, surplus = current(servers)
    if server is None or surplus or server.mark is None or server.task:
        return False
    right = "ACTIVE" if spec.power is Power.RUNNING else "SHUTOFF"
    size = server.size == wanted_size(spec) and server.name == spec.name
    return server.status == right and size and stamped(spec, server.mark) == server.mark
