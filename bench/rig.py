"""What is measured: a controller process of its own, with its embedded PostgreSQL, in a scratch folder; and what CPU and memory they take.

Enters: settings. Leaves: an address, a token, and readings. Everything started here is stopped here, by the process ids written down, also
when a measurement breaks off.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from controller.store import embedded

_READY_S = 60.0


class RigError(Exception):
    """The controller could not be started."""


@dataclass(frozen=True, slots=True)
class Rig:
    """A running controller."""

    port: int
    token: str
    data_dir: Path
    database_url: str
    controller: psutil.Process
    postmaster: psutil.Process

    def cpu_s(self) -> tuple[float, float]:
        """CPU time spent so far: by the controller, and by PostgreSQL with all its processes."""
        return _spent(self.controller), sum(map(_spent, self._database())) + sum(self.postmaster.cpu_times()[2:4])

    def peak_rss_mib(self) -> float:
        """The most memory that the controller has had resident."""
        status = Path(f"/proc/{self.controller.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024

    def database_mib(self) -> float:
        """What PostgreSQL's processes hold, shared pages counted once."""
        total = 0.0
        for process in self._database():
            with suppress(psutil.Error, OSError):
                total += process.memory_full_info().pss / (1 << 20)
        return total

    def _database(self) -> list[psutil.Process]:
        return [self.postmaster, *self.postmaster.children(recursive=True)]


def _spent(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        return sum(process.cpu_times()[:2])
    return 0.0


@contextmanager
def running(settings: Mapping[str, object] | None = None, project: str = "hubei") -> Iterator[Rig]:
    """A fresh controller for as long as the block runs. Raises RigError with its last words where it does not start."""
    home = Path(tempfile.mkdtemp(prefix="chb", dir="/tmp"))  # short, as a Unix socket's path must be, and open to PostgreSQL's account
    home.chmod(0o755)
    data, config, log = home / "data", home / "controller.toml", home / "controller.log"
    port = free_port()
    given: dict[str, object] = {
        "data_dir": str(data),
        "listen": f"127.0.0.1:{port}",
        "tls": "off",
        "auto_migrate": True,
        "log_level": "warning",
    }
    config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in (given | dict(settings or {})).items()))
    process: subprocess.Popen[bytes] | None = None
    try:
        token = _bootstrap(config, project)
        with log.open("ab") as out:
            process = subprocess.Popen([*_PROGRAM, "serve", "--config", str(config)], stdout=out, stderr=out, cwd=_CLONE)
        _await_ready(process, port, log)
        yield Rig(port, token, data, embedded.start(data), psutil.Process(process.pid), _postmaster(data))
    finally:
        if process is not None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        embedded.stop(data)
        words = log.read_text(errors="replace").strip() if log.exists() else ""
        if words:
            print(f"the controller said:\n{words[-2000:]}", file=sys.stderr)
        shutil.rmtree(home, ignore_errors=True)


_PROGRAM = (sys.executable, "-m", "controller")
_CLONE = Path(__file__).resolve().parent.parent


def _bootstrap(config: Path, project: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "controller", "bootstrap", "--config", str(config), "--project", project],
        capture_output=True,
        text=True,
        cwd=_CLONE,
        check=False,
    )
    if done.returncode != 0:
        raise RigError(f"bootstrap failed: {done.stderr.strip()}")
    token: str = json.loads(done.stdout.splitlines()[-1])["token"]
    return token


def free_port() -> int:
    """One on loopback that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RigError(f"the controller has ended: {log.read_text(errors='replace')[-1000:]}")
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.1)
    raise RigError(f"the controller is not ready after {_READY_S:.0f} s")


def _postmaster(data: Path) -> psutil.Process:
    return psutil.Process(int((data / "postgres" / "data" / "postmaster.pid").read_text().split()[0]))
