"""Connections to one libvirtd that may die and come back.

In: a URI. Out: `use()`, a context that lends an open connection and turns what libvirt raises into `drivers.errors`. Invariants:

* No two threads use one connection at once: libvirt's client before 10.3 leaves a pointer into one thread's stack behind when another wakes
  it, and the whole process dies of it (CVE-2024-4418; Debian 12 has 9.0). So each use borrows a connection of its own, and as many are
  kept as were needed at once. None is ever closed by hand: the binding closes it when its last user has let go.
* Nobody waits for a dead host longer than about ten seconds: opening happens in a thread of its own with a deadline (libvirt's `open`
  has none), and keepalive breaks a connection whose host has stopped answering, which fails the call under way.
* A broken connection is replaced at the next use, and `epoch` counts up: what was found out before may hold no more. One connection at a
  time listens for events (`on_open` sets the callback and returns its number).

Keepalive and events need libvirt's event loop: one daemon thread for the whole process, started before the first connection. The rejected
alternative, libvirtaio, needs an asyncio loop, which this program has nowhere else.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import libvirt

from drivers.errors import HostUnreachable, InvalidSpec
from drivers.libvirt.failures import translate, translate_open

OPEN_S: Final = 8.0
KEEPALIVE: Final = (2, 3)  # seconds between probes, probes unanswered: a cut host is noticed within 8 s
STUCK_ATTEMPTS: Final = 4  # threads still inside libvirt's `open` that a silent host may cost
DRIVERS: Final = ("qemu", "test")
PORTS: Final = {"tcp": 16509, "tls": 16514}


class Connection:
    """See the module's docstring. Safe to use from several threads at once."""

    def __init__(self, uri: str, on_open: Callable[[libvirt.virConnect], int], certificates: str = "") -> None:
        self._uri = _complete(uri, certificates)
        self._on_open = on_open
        self._lock = threading.Lock()
        self._stuck = threading.BoundedSemaphore(STUCK_ATTEMPTS)
        self._idle: deque[libvirt.virConnect] = deque()
        self._listener: tuple[libvirt.virConnect, int] | None = None
        self._closed = False
        self.epoch = 0

    @contextmanager
    def use(self) -> Iterator[libvirt.virConnect]:
        """An open connection, for this thread alone. Raises HostUnreachable, or what libvirt's error means."""
        connection = self._borrow()
        try:
            yield connection
        except libvirt.libvirtError as error:
            raise translate(error, _alive(connection)) from error
        finally:
            self._give_back(connection)

    def close(self) -> None:
        """For good: later uses raise HostUnreachable."""
        with self._lock:
            self._closed = True
        self._drop_idle()

    def _borrow(self) -> libvirt.virConnect:
        while True:
            with self._lock:
                if self._closed:
                    raise HostUnreachable(detail="this connection is closed")
                connection = self._idle.popleft() if self._idle else None
            if connection is None:
                connection = self._open_within(OPEN_S)
            elif not _alive(connection):
                self._discard(connection)
                continue
            self._listen(connection)
            return connection

    def _give_back(self, connection: libvirt.virConnect) -> None:
        if not _alive(connection):
            self._discard(connection)
            return
        with self._lock:
            self._idle.append(connection)
            closed = self._closed
        if closed:
            self._drop_idle()

    def _listen(self, connection: libvirt.virConnect) -> None:
        """Where nobody listens for events, this connection does. Losing events costs time, never truth."""
        with self._lock:
            if self._listener is None:
                with suppress(libvirt.libvirtError):
                    self._listener = (connection, self._on_open(connection))

    def _discard(self, connection: libvirt.virConnect) -> None:
        """Drop our reference. A registered callback would keep even a broken connection in memory, with its socket."""
        with self._lock:
            self.epoch += 1
            listener = self._listener
            if listener is None or listener[0] is not connection:
                return
            self._listener = None
        with suppress(libvirt.libvirtError):
            connection.domainEventDeregisterAny(listener[1])

    def _drop_idle(self) -> None:
        while True:
            with self._lock:
                if not self._idle:
                    return
                connection = self._idle.popleft()
            self._discard(connection)

    def _open_within(self, timeout_s: float) -> libvirt.virConnect:
        start_event_loop()
        deadline = time.monotonic() + timeout_s
        _knock(self._uri, timeout_s)
        if not self._stuck.acquire(blocking=False):
            raise HostUnreachable(detail=f"{STUCK_ATTEMPTS} earlier attempts to connect still hang")
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._attempt, args=(answers,), name="libvirt-open", daemon=True).start()
        try:
            answer = answers.get(timeout=max(0.1, deadline - time.monotonic()))
        except queue.Empty:
            raise HostUnreachable(detail=f"no connection within {timeout_s:.0f} s") from None
        if isinstance(answer, libvirt.libvirtError):
            raise translate_open(answer) from answer
        return answer

    def _attempt(self, answers: queue.SimpleQueue[Any]) -> None:
        try:
            connection = libvirt.open(self._uri)
            with suppress(libvirt.libvirtError):  # the test driver has none
                connection.setKeepAlive(*KEEPALIVE)
            answers.put(connection)  # if nobody waits any more it is closed when collected
        except libvirt.libvirtError as error:
            answers.put(error)
        finally:
            self._stuck.release()


@cache
def start_event_loop() -> None:
    """Once per process, before the first connection is opened."""
    libvirt.registerErrorHandler(_say_nothing, None)
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_turn, name="libvirt-events", daemon=True).start()


def _say_nothing(_context: object, _error: object) -> None:
    """In place of libvirt's own handler, which prints to stderr what is raised as well."""


def _turn() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            time.sleep(0.1)


def _alive(connection: libvirt.virConnect) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def _complete(uri: str, certificates: str) -> str:
    """The URI as we open it: with the folder of our certificates, where there is one; and ssh must never ask a question on a terminal."""
    parts = urlsplit(uri)
    driver, _, transport = parts.scheme.partition("+")
    if driver not in DRIVERS:
        raise InvalidSpec(detail=f"{uri!r} is no libvirt URI of a driver in {', '.join(DRIVERS)}")
    asked = dict(parse_qsl(parts.query))
    if certificates:
        if transport != "tls" or "pkipath" in asked:
            raise InvalidSpec(detail="the option certificates is for qemu+tls alone, where the URI has no pkipath")
        return parts._replace(query=urlencode({**asked, "pkipath": certificates})).geturl()
    if transport != "ssh" or "no_tty" in asked:
        return uri
    return parts._replace(query=urlencode({**asked, "no_tty": "1"})).geturl()


def _knock(uri: str, timeout_s: float) -> None:
    """Where libvirt would connect by TCP itself, find out in time whether anybody answers: its own connect can't be given up."""
    parts = urlsplit(uri)
    transport = parts.scheme.partition("+")[2] or ("tls" if parts.hostname else "")
    if transport not in PORTS or not parts.hostname:
        return
    try:
        socket.create_connection((parts.hostname, parts.port or PORTS[transport]), timeout=timeout_s / 2).close()
    except OSError as error:
        raise HostUnreachable(detail=f"{parts.hostname}: {error}") from error
