"""What `ensure` does next: a pure, total function from what is asked and the servers that are there to a few acts.

Invariants:

* Nova does one thing at a time, and later: after an act that it only takes, the plan ends, and a later call goes on from what is seen then.
* A server is made only where there is none; where there are several the oldest stays and the others go, before anything else is done.
* A reboot is a stop and a start, whoever asks for it: the count is written while the server is off, before it is started, so that none
  happens twice and none is lost, whenever we die.
* What failed is begun anew only for a newer spec than the one that it failed for.
* Nothing is done to a server whose hypervisor is out of sight.
* A server that was lost before any hypervisor had it is deleted; the next call makes another.
* STAMP comes last and only when the whole spec holds.
* What was adopted is marked, once or again, and never made; it keeps its name.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from drivers.base import Health, InstanceSpec, Power
from drivers.errors import DiskMissing, HostUnreachable, InvalidSpec
from drivers.openstack.conditions import current, health
from drivers.openstack.names import Mark
from drivers.openstack.records import PAUSED, RUNNING, SHUTDOWN, Server, Size
from drivers.openstack.server import called


class Act(StrEnum):
    """One thing to do to the instance's server; each may be repeated safely."""

    CREATE = "create"
    ADOPT = "adopt"  # mark the server that was there
    THIN_OUT = "thin_out"  # delete all but the oldest
    DELETE = "delete"  # a build that failed, or was lost; the next call makes another
    REBUILD = "rebuild"
    RENAME = "rename"
    RESIZE = "resize"
    CONFIRM = "confirm"
    REVERT = "revert"
    STOP = "stop"
    START = "start"
    RESET = "reset"  # a hard reboot: what brings a broken server back
    UNPAUSE = "unpause"
    RESUME = "resume"
    UNRESCUE = "unrescue"
    UNSHELVE = "unshelve"
    RESTORE = "restore"
    COUNT = "count"  # write the number of reboots
    STAMP = "stamp"  # write that the whole spec holds


ROUSE = {
    "PAUSED": Act.UNPAUSE,
    "SUSPENDED": Act.RESUME,
    "RESCUE": Act.UNRESCUE,
    "SHELVED": Act.UNSHELVE,
    "SHELVED_OFFLOADED": Act.UNSHELVE,
    "SOFT_DELETED": Act.RESTORE,
}
"""How what somebody set aside comes back."""


def wanted_size(spec: InstanceSpec) -> Size:
    """What its flavor must give."""
    return Size(spec.vcpus, spec.memory_mib, spec.disk_gib)


def acts(spec: InstanceSpec, servers: Sequence[Server], sees_hosts: bool, lost: bool = False) -> tuple[Act, ...]:
    """The acts towards the spec. `servers`: all that bear the instance's tag and our owner's mark. `lost`: the current one's building is.

    Raises InvalidSpec for a spec older than the one that holds, on another host than the server's, or with a smaller disk; DiskMissing
    where the server that held what was built is gone; HostUnreachable where its hypervisor is out of sight.
    """
    server, surplus = current(servers)
    if server is None or server.mark is None:
        return (_begin(spec),)
    mark = server.mark
    if mark.generation is not None and mark.generation > spec.generation:
        raise InvalidSpec(detail=f"stale generation: {spec.generation} after {mark.generation}")
    if surplus:
        return (Act.THIN_OUT,)
    if health(server) is not Health.READY:
        raise HostUnreachable(detail=f"nova has lost sight of {server.node}")
    if lost and not spec.adopted:
        return (Act.DELETE,)
    if server.task:
        return ()
    if sees_hosts and server.node and server.node != spec.host and server.status != "VERIFY_RESIZE":
        raise InvalidSpec(detail=f"{spec.instance_id} is on {server.node}, not on {spec.host}")
    if server.status == "ERROR":
        return _mend(spec, server, mark)
    if server.status == "VERIFY_RESIZE":
        right = server.size == wanted_size(spec) and not (sees_hosts and server.node != spec.host)
        return (Act.CONFIRM,) if right else (Act.REVERT,)
    return _go_on(spec, server, mark)


def _begin(spec: InstanceSpec) -> Act:
    """Where nothing bears its marks."""
    if spec.adopted:
        return Act.ADOPT
    if spec.built:
        raise DiskMissing(detail=f"the region has no server of {spec.instance_id} any more")
    return Act.CREATE


def _mend(spec: InstanceSpec, server: Server, mark: Mark) -> tuple[Act, ...]:
    """What nova says is broken."""
    if max(mark.asked, mark.generation or 0) >= spec.generation:
        return ()
    if not server.launched and not spec.adopted:
        return (Act.DELETE,)
    if mark.build != spec.build:
        return (Act.REBUILD,)
    return (Act.RESET,) if spec.power is Power.RUNNING else (Act.STOP,)


def _go_on(spec: InstanceSpec, server: Server, mark: Mark) -> tuple[Act, ...]:
    if server.status in ROUSE:
        return (ROUSE[server.status],)
    if server.status not in ("ACTIVE", "SHUTOFF"):
        return ()
    named = () if server.name == called(spec, mark) else (Act.RENAME,)
    if mark.build != spec.build:
        return (*named, Act.REBUILD)
    if server.size != wanted_size(spec):
        if server.size.disk_gib > spec.disk_gib:
            raise InvalidSpec(detail=f"a disk can't shrink from {server.size.disk_gib} to {spec.disk_gib} GiB")
        return (*named, Act.RESIZE)
    return (*named, *_power(spec, server, mark))


def _power(spec: InstanceSpec, server: Server, mark: Mark) -> tuple[Act, ...]:
    on = server.status == "ACTIVE"
    if on and server.power == PAUSED:
        return (Act.RESET,)
    if on and server.power not in (RUNNING, SHUTDOWN):
        return (Act.RESET,) if spec.power is Power.RUNNING and mark.generation != spec.generation else ()
    if on and (spec.power is Power.STOPPED or spec.reboots > mark.reboots):
        return (Act.STOP,)
    if not on and spec.power is Power.RUNNING:
        return (*((Act.COUNT,) if spec.reboots != mark.reboots else ()), Act.START)
    if on and server.power == SHUTDOWN:
        return ()  # nova will see it off in a moment
    return () if is_stamped(spec, mark) else (Act.STAMP,)


def is_stamped(spec: InstanceSpec, mark: Mark) -> bool:
    """Whether the mark says that this spec holds."""
    return stamped(spec, mark) == mark


def stamped(spec: InstanceSpec, mark: Mark) -> Mark:
    """The mark once the whole spec holds."""
    return Mark(
        owner=mark.owner,
        instance=mark.instance,
        project=spec.project_id,
        host=spec.host,
        name=called(spec, mark),
        image=mark.image,
        tried=mark.tried,
        generation=spec.generation,
        asked=mark.asked,
        build=spec.build,
        reboots=spec.reboots,
    )
