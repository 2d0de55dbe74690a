"""What an operator would do by hand, with curl and ssh: for tests of the lab itself, and to compare with.

In: a server of the lab. Out: answers of its BMC and of commands run on it.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.lab.metal.bmc import Bmc

CD = "VirtualMedia/Cd/Actions/VirtualMedia"


def ask(bmc: Bmc, call: str, body: dict[str, Any] | None = None, *, timeout_s: float = 30) -> Any:
    """ "GET /path" or the like, relative to the server's resource where it doesn't start with a slash. Raises HTTPError and URLError."""
    method, path = call.split(" ", 1)
    where = path if path.startswith("/") else f"{bmc.system}/{path}".rstrip("/")
    basic = base64.b64encode(":".join(bmc.account).encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{bmc.url}{where}", data, headers, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=timeout_s, context=bmc.trust()) as answer:  # noqa: S310
        text = answer.read()
    return json.loads(text) if text else None


def system(bmc: Bmc) -> dict[str, Any]:
    said: dict[str, Any] = ask(bmc, "GET ")
    return said


def reset(bmc: Bmc, kind: str) -> None:
    ask(bmc, "POST Actions/ComputerSystem.Reset", {"ResetType": kind})


def boot_from(bmc: Bmc, target: str, enabled: str = "Once") -> None:
    ask(bmc, "PATCH ", {"Boot": {"BootSourceOverrideTarget": target, "BootSourceOverrideEnabled": enabled}})


def insert(bmc: Bmc, url: str) -> None:
    ask(bmc, f"POST {CD}.InsertMedia", {"Image": url, "Inserted": True})


def eject(bmc: Bmc) -> None:
    ask(bmc, f"POST {CD}.EjectMedia", {})


def ssh(
    address: str, key: Path, host_key: str, *command: str, given: bytes = b"", within_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a command there as root, with that as its standard input; the host must have that key ("ssh-ed25519 AAAA…")."""
    known = key.with_suffix(f".{address}")
    known.write_text(f"{address} {host_key}\n")
    options = (f"UserKnownHostsFile={known}", "StrictHostKeyChecking=yes", "BatchMode=yes", "ConnectTimeout=5", "LogLevel=ERROR")
    chosen = [word for option in options for word in ("-o", option)]
    line = ["ssh", "-F", "none", "-i", str(key), *chosen, f"root@{address}", *command]
    done = subprocess.run(line, capture_output=True, input=given, check=False, timeout=within_s)
    return subprocess.CompletedProcess(line, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def new_key(path: Path) -> str:
    """A key pair in two files; the public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)
    return path.with_suffix(".pub").read_text().strip()


@contextmanager
def meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """It is at work beside what goes on here, until that event tells it that this is over."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def until(what: str, holds: Callable[[], Any], within_s: float) -> Any:
    """The first true value. Raises TimeoutError."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if value := holds():
            return value
        time.sleep(0.2)
    raise TimeoutError(f"not within {within_s} s: {what}")
