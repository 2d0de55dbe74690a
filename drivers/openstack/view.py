"""What is known of our servers, for looks at all of them: listed in whole now and then, and by what changed in between.

Nova filters by tag, but forgets a server's tags when it is deleted: so what changed is asked for without that filter, and told apart by id.
The moment from which changes are asked for is the latest that nova itself has told of: its clock, not ours. It is taken a margin earlier
until a look has begun a margin after that moment was first told of: all that bears it, or an earlier one, was seen by then.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from drivers.errors import InvalidSpec
from drivers.openstack.api import Call
from drivers.openstack.names import owner_tag
from drivers.openstack.records import Server, moment, read

MARGIN: Final = timedelta(seconds=60)
"""For how long a change may stay unseen after the time that it bears: a transaction of nova's, clocks of its machines that differ."""
_FORM: Final = "%Y-%m-%dT%H:%M:%SZ"


def ours(servers: Iterable[Server], owner: str) -> list[Server]:
    """Those that bear an owner's mark."""
    return [one for one in servers if one.mark is not None and one.mark.owner == owner]


def at_home(servers: Iterable[Server], project: str) -> list[Server]:
    """Without those of an instance that are elsewhere, where some are in our own project: pure. What bears our marks in another project
    was adopted, or is a copy of them that its people made: it must not be taken for what we made, nor keep that from being seen to.
    """
    listed = list(servers)
    homes = {one.mark.instance for one in listed if one.mark is not None and one.project == project}
    return [one for one in listed if one.project == project or one.mark is None or one.mark.instance not in homes]


def updated(known: Mapping[str, Server], told: Iterable[Server], owner: str) -> dict[str, Server]:
    """What is known once that was told: pure. Whoever is told of as deleted, or bears our mark no more, is known no more."""
    found = dict(known)
    for one in told:
        if one.status == "DELETED" or one.mark is None or one.mark.owner != owner:
            found.pop(one.id, None)
        else:
            found[one.id] = one
    return found


def latest(told: Iterable[Server], before: str = "") -> str:
    """The latest moment that any of them changed at, or was told of before: pure. Empty: there is none."""
    moments = [found for one in told if (found := moment(one.updated)) is not None]
    return max(before, max(moments).strftime(_FORM)) if moments else before


def since(newest: str, settled: bool) -> str:
    """From when on changes are to be asked for, after the latest moment told of: pure. Empty: all must be listed again."""
    found = moment(newest)
    return newest if settled or found is None else (found - MARGIN).strftime(_FORM)


class View:
    """Our servers in one region. Looks follow each other: who waited finds what the other was told."""

    def __init__(self, owner: str, look_s: float) -> None:
        self._owner, self._look_s = owner, look_s
        self._lock = threading.Lock()
        self._known: dict[str, Server] = {}
        self._latest, self._latest_at, self._settled = "", 0.0, False
        self._whole_at: float | None = None

    def all(self, call: Call) -> list[Server]:
        """Each as nova tells it now."""
        with self._lock:
            due = self._whole_at is None or time.monotonic() - self._whole_at >= self._look_s
            if due or not self._latest or not self._follow(call):
                self._list(call)
            return at_home(self._known.values(), call.region.project)

    def _list(self, call: Call) -> None:
        began = time.monotonic()
        told = [read(raw) for raw in call.pages("/servers/detail", "servers", **call.region.everybodys, tags=owner_tag(self._owner))]
        self._known, self._whole_at = updated({}, told, self._owner), began
        self._latest, self._latest_at, self._settled = latest(told), time.monotonic(), False

    def _follow(self, call: Call) -> bool:
        """What changed; False where nova can't tell: a page may end with a server that was deleted since."""
        began = time.monotonic()
        query = {**call.region.everybodys, "changes-since": since(self._latest, self._settled)}
        try:
            told = [read(raw) for raw in call.pages("/servers/detail", "servers", **query)]
        except InvalidSpec:
            return False
        self._known, newest = updated(self._known, told, self._owner), latest(told, self._latest)
        if newest != self._latest:
            self._latest, self._latest_at, self._settled = newest, time.monotonic(), False
        elif began - self._latest_at >= MARGIN.total_seconds():
            self._settled = True
        return True
