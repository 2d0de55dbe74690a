"""Programs of a region by name, whoever started them: a file in the region's folder has each one's process id and when it was born.

The ids alone would not do: one that is given to another program meanwhile must not be taken for ours. Each leads a session of its own, so
that what it has started is signalled with it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.lab.needs import CHECKOUT


@dataclass(frozen=True, slots=True)
class Process:
    """One of them, that may or may not run."""

    folder: Path
    name: str

    def spawn(self, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as out:
            started = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=dict(environ), cwd=CHECKOUT, start_new_session=True
            )
        started.returncode = 0  # never waited for by this object: `kill` does, by its number
        self.note(started.pid)

    def note(self, pid: int) -> None:
        """It is that process from now on."""
        self._file.write_text(json.dumps([pid, _born(pid)]))

    @property
    def pid(self) -> int | None:
        """That of the live one."""
        with suppress(FileNotFoundError, ValueError):
            pid, born = json.loads(self._file.read_text())
            if born is not None and _born(pid) == born:
                return int(pid)
        return None

    @property
    def alive(self) -> bool:
        return self.pid is not None

    def signal(self, number: signal.Signals) -> None:
        if pid := self.pid:
            with suppress(ProcessLookupError):
                os.killpg(pid, number)

    def stop(self, within_s: float) -> None:
        """End it as its administrator would, or by force where it takes longer."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        deadline = time.monotonic() + within_s
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.02)
        self.kill()

    def kill(self) -> None:
        """End it at once, with all that it started; returns when nothing of it listens any more."""
        leader = self.pid
        self.signal(signal.SIGKILL)
        while leader and any(_runs(one) for one in _session(leader)):
            time.sleep(0.01)
        with suppress(FileNotFoundError, ChildProcessError, ValueError):
            os.waitpid(json.loads(self._file.read_text())[0], os.WNOHANG)
        self._file.unlink(missing_ok=True)

    def memory_kb(self) -> int:
        """Its share of the machine's memory (PSS), with all in its session."""
        return sum(_pss_kb(one) for one in _session(self.pid)) if self.pid else 0

    @property
    def _file(self) -> Path:
        return self.folder / "run" / self.name


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def _born(pid: int) -> int | None:
    """In ticks since the machine's own start; None for one that is gone, or dead and not waited for."""
    stat = _stat(pid)
    return int(stat[19]) if stat and stat[0] not in "ZX" else None


def _runs(pid: int) -> bool:
    """Whether a thread of it is left: the first may be dead while others still hold its sockets."""
    with suppress(OSError):
        return any((one / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX" for one in Path(f"/proc/{pid}/task").iterdir())
    return False


def _session(leader: int) -> list[int]:
    pids = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]
    return [pid for pid in pids if (stat := _stat(pid)) and int(stat[3]) == leader]


def _pss_kb(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
