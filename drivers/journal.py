"""What a driver has to remember of its endpoint where the backend can't bear our marks: a machine's BMC keeps no note of whose it is.

The controller keeps it, in its database, so that all controllers share it and none of it dies with one. A driver sees only these verbs. A
journal is one small document for an endpoint, changed by who saw its newest version and by nobody else; the time since it was last written
or confirmed tells others whether somebody still works on it. Evidence goes in and is never changed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from drivers.base import HostInventory, Reason


@dataclass(frozen=True, slots=True)
class Entry:
    """An endpoint's document as it is now. `version` 0: none was written yet.

    `age_s`: since it was written or confirmed, by the clock of the database, which all controllers share. `progress`: how far the run on
    record is. `asked`: how often its operators asked for what (`inspect`, `clear`), since ever. `wipe`: how disks of machines of its pool
    are cleared, where the pool says so.
    """

    document: Mapping[str, Any] = field(default_factory=dict)
    version: int = 0
    age_s: float = 0.0
    progress: Mapping[str, Any] = field(default_factory=dict)
    asked: Mapping[str, int] = field(default_factory=dict)
    wipe: str = ""


@dataclass(frozen=True, slots=True)
class LoginKey:
    """The controllers' own key for systems that they look after, as OpenSSH writes both halves. `private` is secret."""

    public: str
    private: str = field(repr=False)


class Journal(Protocol):
    """One endpoint's. Safe to use from any thread; raises what the database raises, when it is away."""

    def read(self) -> Entry:
        """What is on record."""
        ...

    def write(self, document: Mapping[str, Any], version: int, closed: Reason | None, host: HostInventory | None = None) -> bool:
        """Put the document in place of that version, and say with it why nobody is given the endpoint's host from then on (None: somebody
        may be) and, where the document tells it anew, what that host has: all hold at once, so that what an instance leaves is never placed
        on before it is fit for that, and nothing by what was known before.

        False where another was quicker, and nothing is changed.
        """
        ...

    def confirm(self, run_id: str, progress: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Say that the run of that id goes on here; the document, or None where that run isn't on record any more, so that it must end."""
        ...

    def keep_run(self, run: Mapping[str, Any]) -> None:
        """Keep how a run stands, from its beginning to its end, after which nothing of it changes. By its `id`."""
        ...

    def keep_certificate(self, certificate: Mapping[str, Any]) -> None:
        """Keep the proof that a disk was cleared, for good. By its `id`: kept already, nothing happens."""
        ...

    def new_id(self) -> str:
        """An id for a run: a UUID that sorts by time."""
        ...

    def login_key(self) -> LoginKey:
        """The same for all endpoints and all controllers, made when it is first asked for."""
        ...

    def open_ticket(self, run_id: str, lasts_s: float, *, asked: str = "", instance_id: str = "") -> str:
        """A secret by which that run may call the controller's API, until it has ended and so many seconds at most, as whoever asked this
        of the endpoint's host last (`asked`, as in `Entry.asked`), or else for that instance; empty where nobody did.
        """
        ...

    def say(self, kind: str, **params: str | int) -> None:
        """Record a fact about the machine, as events tell it."""
        ...


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where, and how much, this controller may work for endpoints that need more than calls.

    `folder`: private to this controller, and the same after a restart. `depot_listen`: the address and port at which machines are served
    what they start from, `depot_url`: how they reach it; empty: there is none. `playbooks`: the folder of playbooks. `at_once`: how many of
    them run at most. `api_url`, `api_ca`: where a playbook that runs here reaches the controller's API, and the file with who signed its
    certificate (empty: the system's authorities).
    """

    folder: Path
    depot_listen: str
    depot_url: str
    playbooks: Path
    at_once: int
    api_url: str = ""
    api_ca: str = ""


@runtime_checkable
class Journaled(Protocol):
    """A driver that needs a journal: it can't hold instances before it was given one."""

    def keep(self, journal: Journal, workplace: Workplace) -> None:
        """Called once, before any verb that is about an instance."""
        ...


@runtime_checkable
class Tends(Protocol):
    """A driver whose endpoint needs looking after beyond its instances (a machine that is to be inspected)."""

    def tend(self) -> None:
        """Begin, or go on with, what is due; returns at once; repeats safely."""
        ...
