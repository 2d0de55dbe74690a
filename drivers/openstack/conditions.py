"""What is concluded from an instance's servers: pure, from records to an observation.

Invariants:

* ACTIVE means only that nova started it once. It is RUNNING while its hypervisor is in sight and the power state agrees; else it is
  unknown, which is BUSY with the reason.
* One server is the instance: the oldest that isn't being deleted. While there are more, or something was done to it that isn't ours and
  that `ensure` mends (a rename, a resize that waits for its confirmation), no spec holds, so its generation is None.
* A build that failed is told with the generation that it was for, so that it is taken for that generation's end.
* How long a build goes on is counted from when it was asked for: of one that it has not handed on, nova says that it changed just now.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from drivers.base import Condition, Health, Observation, Reason
from drivers.openstack.records import CRASHED, PAUSED, POWERS, RUNNING, SHUTDOWN, Fault, Server, moment

Verdict = tuple[Condition, Reason | None]

AT_WORK: Final = frozenset({"BUILD", "REBUILD", "REBOOT", "HARD_REBOOT", "RESIZE", "REVERT_RESIZE", "MIGRATING", "PASSWORD", "UNKNOWN"})
ASIDE: Final = frozenset({"PAUSED", "SUSPENDED", "RESCUE", "SHELVED", "SHELVED_OFFLOADED", "SOFT_DELETED"})
"""What somebody has done to it that no spec asks for."""
HEALTH: Final[Mapping[str, Health]] = {"DOWN": Health.FENCED, "UNKNOWN": Health.SILENT}
"""Of a hypervisor, by what nova calls its host's status; else READY."""
_LONGEST: Final = 300

FAULTS: Final[Sequence[tuple[re.Pattern[str], str]]] = tuple(
    (re.compile(text, re.IGNORECASE), code)
    for text, code in (
        (r"quota|limit exceeded", "region_quota"),
        (r"image .*(not active|inactive|could not be found|is unacceptable|is corrupt)|image is not active", "image_inactive"),
        (
            r"network .*(could not be found|not found)|port .*could not be found|no more ip addresses|PortBinding|binding failed",
            "network_missing",
        ),
        (r"no valid host|not enough hosts|allocation candidates", "no_valid_host"),
        (r"volume|block device", "volume_failed"),
    )
)
"""What a fault's words come to; the first that fits. Else: build_failed, or server_broken where it ran before."""


def current(servers: Iterable[Server]) -> tuple[Server | None, tuple[Server, ...]]:
    """The one that is the instance, and those that are too many."""
    living = sorted((one for one in servers if one.status != "DELETED"), key=lambda one: (is_leaving(one), one.age))
    return (None, ()) if not living else (living[0], tuple(one for one in living[1:] if not is_leaving(one)))


def is_leaving(server: Server) -> bool:
    """Whether it was told to go; a server whose building was told to stop, too."""
    return server.task in ("deleting", "soft-deleting")


def health(server: Server) -> Health:
    """Of its hypervisor, as far as we may know."""
    return HEALTH.get(server.host_status, Health.READY)


def observation(instance_id: str, servers: Iterable[Server], host: str, now: datetime, stuck_s: float) -> Observation:
    """`host`: the one host where hypervisors aren't seen; empty: a server says where it is."""
    server, surplus = current(servers)
    if server is None or server.mark is None:
        return Observation(instance_id, Condition.ABSENT)
    condition, reason = verdict(server, now, stuck_s)
    mark = server.mark
    generation = mark.generation
    if condition is Condition.FAILED:
        generation = mark.asked if generation is None else max(generation, mark.asked)
    elif surplus or server.status == "VERIFY_RESIZE" or (mark.name and server.name != mark.name):
        generation = None
    where = host or server.node or mark.host or None
    addresses = server.addresses if condition is Condition.RUNNING else ()
    return Observation(instance_id, condition, generation, where, reason, addresses)


def verdict(server: Server, now: datetime, stuck_s: float) -> Verdict:
    """The condition of one server, and what is to be said of it. Total: what nova may say tomorrow is BUSY."""
    seen = health(server)
    if seen is Health.FENCED:
        return Condition.FAILED, Reason("host_fenced", {"node": server.node})
    if seen is Health.SILENT:
        return Condition.BUSY, Reason("host_silent", {"node": server.node})
    if server.task or server.status in AT_WORK:
        return Condition.BUSY, _stuck(server, now, stuck_s)
    if server.status == "ERROR":
        return Condition.FAILED, fault_reason(server.fault, server.launched)
    if server.status in ASIDE:
        return Condition.FAILED, Reason("server_set_aside", {"status": server.status.lower()})
    return _powered(server)


def _powered(server: Server) -> Verdict:
    """One that is said to be on or off, and nothing goes on."""
    on = server.status == "ACTIVE" or (server.status == "VERIFY_RESIZE" and server.power == RUNNING)
    off = server.status in ("SHUTOFF", "VERIFY_RESIZE")
    if on and server.power == RUNNING:
        return Condition.RUNNING, None
    if on and server.power == CRASHED:
        return Condition.FAILED, Reason("guest_crashed")
    if on and server.power == PAUSED:
        return Condition.FAILED, Reason("guest_paused")
    if off and server.power in (SHUTDOWN, 0, CRASHED):
        return Condition.STOPPED, None
    if on or off:
        power = POWERS.get(server.power, str(server.power))
        return Condition.BUSY, Reason("power_contradicts", {"status": server.status, "power": power})
    return Condition.BUSY, None


def seems_lost(server: Server, stuck_s: float) -> bool:
    """Whether it has long been to be built, by nova's own clock alone, and no hypervisor has it: of what its API never handed on, nova says
    that it changed just now. One that is tried on another hypervisor after a long build seems so, too, but something was done to it.
    """
    began, told = moment(server.created), moment(server.updated)
    waits = server.status == "BUILD" and server.task == "scheduling"
    return waits and began is not None and told is not None and (told - began).total_seconds() >= stuck_s


def _stuck(server: Server, now: datetime, stuck_s: float) -> Reason | None:
    said = server.created if server.status == "BUILD" else server.updated
    since = moment(said)
    if since is None or (now - since).total_seconds() < stuck_s:
        return None
    return Reason("server_stuck", {"task": server.task or server.status.lower(), "since": said})


def fault_reason(fault: Fault | None, launched: bool) -> Reason:
    """Nova's words as a reason of ours."""
    if fault is None or not fault.message:
        return Reason("server_broken", {"detail": ""})
    detail = " ".join(fault.message.split())
    detail = detail if len(detail) <= _LONGEST else f"{detail[:_LONGEST]}…"
    otherwise = "server_broken" if launched else "build_failed"
    return Reason(next((code for pattern, code in FAULTS if pattern.search(detail)), otherwise), {"detail": detail})
