"""Ends all processes of a run, whoever is their parent by now: what ansible-runner does not do.

Ansible's workers, modules and ssh have sessions of their own and outlive what started them. They are found by the mark in their
environment, which each inherits, and by descent from the run's process, which inherits the orphans among them. OpenSSH writes its title
over its environment when it stays behind for the next connection, so that one is known by the control socket in that title. All get
SIGKILL, again until nobody is left: a process can't fork faster than it is found for long, as who is killed first is as likely the
parent.

`python -m drivers.bare_metal.runs.ending PRIVATE_FOLDER` does it for a run whose process is gone.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from drivers.bare_metal.runs.folder import MARK

_PATIENCE_S: Final = 5.0
_LOOKS: Final = 2
"""At nobody, one after the other: while the kernel loads a process's program it shows neither environment nor words of it."""
_PAUSE_S: Final = 0.01


def end_all(private: Path, *, under: int | None = None, spared: int | None = None) -> bool:
    """End what belongs to the run of that private folder; whether nobody is left.

    `under`: all descendants of that process, too, as the run's own says of itself; `spared`: but for this one.
    """
    until, looks = time.monotonic() + _PATIENCE_S, 0
    while looks < _LOOKS:
        found = set(_living(private, under)) - {os.getpid(), under, spared}
        looks = 0 if found else looks + 1
        for process in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        if found and time.monotonic() > until:
            return False
        time.sleep(_PAUSE_S)
    return True


def _living(private: Path, under: int | None) -> Iterator[int]:
    mark, title = f"{MARK}={private}".encode(), f"ssh: {private}/".encode()
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208  # names are all that is needed
        if not name.isdecimal():
            continue
        with suppress(OSError):
            state, parent = _stat(name)
            if state in (b"Z", b"X"):
                continue
            parents[int(name)] = parent
            if mark in _content(name, "environ").split(b"\0") or _content(name, "cmdline").startswith(title):
                yield int(name)
    if under is not None:
        yield from _descendants(under, parents)


def _descendants(of: int, parents: dict[int, int]) -> Iterator[int]:
    for process, parent in parents.items():
        if parent == of:
            yield process
            yield from _descendants(process, parents)


def _stat(process: str) -> tuple[bytes, int]:
    after_name = _content(process, "stat").rpartition(b")")[2].split()
    return after_name[0], int(after_name[1])


def _content(process: str, what: str) -> bytes:
    with open(f"/proc/{process}/{what}", "rb") as file:  # noqa: PTH123  # thousands of times
        return file.read()


if __name__ == "__main__":
    end_all(Path(sys.argv[1]))
