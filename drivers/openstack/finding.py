"""The servers of single instances, asked for just now: those who ask at the same time are told by one answer.

A region answers one question after the other, and a question costs both sides more than what it is about. So one is under way at a
time; who comes meanwhile goes with the others of that while in the next (group commit, for reading). What anybody is told was asked for
after he came, so it is as fresh as an answer of his own. It takes him as long as the call of the first of his group lasts, at most.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final

from drivers.errors import Timeout
from drivers.openstack.api import Call
from drivers.openstack.names import instance_tag
from drivers.openstack.records import Server, read
from drivers.openstack.view import at_home

MOST: Final = 32
"""Instances asked for together: their tags are in the request's first line, for which a service may have no more than 4 KiB."""


@dataclass(slots=True)
class _Group:
    ids: set[str] = field(default_factory=set)
    over: threading.Event = field(default_factory=threading.Event)
    found: dict[str, list[Server]] = field(default_factory=dict)
    error: BaseException | None = None


class Finder:
    """Of one region. Any number of threads may ask at once."""

    def __init__(self) -> None:
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._gathering: _Group | None = None

    def of_instance(self, call: Call, instance_id: str) -> list[Server]:
        """Everybody's servers that bear an instance's tag and name it in their mark."""
        with self._lock:
            group = self._gathering
            if first := group is None or len(group.ids) >= MOST:
                group = self._gathering = _Group()
            assert group is not None  # noqa: S101  # for the type checker
            group.ids.add(instance_id)
        if first:
            self._ask(call, group)
        else:
            group.over.wait()
        if group.error is not None:
            raise group.error
        return group.found.get(instance_id, [])

    def _ask(self, call: Call, group: _Group) -> None:
        try:
            if not self._turn.acquire(timeout=max(0.0, call.left_s)):
                raise Timeout(detail="compute took too long")
            try:
                self._close(group)
                tags = {"tags-any": ",".join(map(instance_tag, sorted(group.ids)))}
                told = map(read, call.pages("/servers/detail", "servers", **call.region.everybodys, **tags))
                for one in at_home(told, call.region.project):
                    if one.mark is not None:
                        group.found.setdefault(one.mark.instance, []).append(one)
            finally:
                self._turn.release()
        except BaseException as error:  # noqa: BLE001  # it is everybody's, and raised by each
            group.error = error
        finally:
            self._close(group)
            group.over.set()

    def _close(self, group: _Group) -> None:
        """Who comes from now on is in another."""
        with self._lock:
            if self._gathering is group:
                self._gathering = None
