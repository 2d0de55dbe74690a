"""A run's folder, and its private one: what is where, who may write, and how both end.

    RUNS/<run id>/run.json    a `RunView`, written whole each time; with `stdout` all that is kept
                 /stdout      the last of what Ansible printed
                 /lock        held (`flock`) by the run's process for as long as it lives: free means that it has ended, however
                 /private     a link to the private folder, until that is removed

The private folder is in memory (tmpfs) where the machine has such: order, inventory, secrets, Ansible's events, caches, control sockets
and temporary files, open to nobody else (0700). A lock is let go by the kernel, so that no id of a process is remembered that means
another by now.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from drivers.bare_metal.runs.order import RESULT, Login, Order, RunView, read, written
from drivers.bare_metal.runs.untemplated import untemplated

MEMORY: Final = (Path("/dev/shm"), Path("/run"))  # noqa: S108  # a folder of its own is made there
MARK: Final = "CHUTIAN_RUN"  # in the environment of every process of a run: the path of its private folder
_UNREAD: Final = frozenset({"__pycache__", ".git"})


def make_private(run: Path, bases: Iterable[Path] = MEMORY) -> Path:
    """The run's private folder, new and empty. Raises OSError."""
    within = next((base for base in bases if _in_memory(base)), run)
    private = Path(tempfile.mkdtemp(prefix="chutian-", dir=within))
    (run / "private").symlink_to(private)
    return private


def private_of(run: Path) -> Path | None:
    """Where the run's private folder is; None when there is none any more."""
    try:
        return (run / "private").readlink()
    except OSError:
        return None


def remove_private(run: Path) -> None:
    """Nothing of it is left; absent already: nothing happens."""
    private = private_of(run)
    if private is not None:
        shutil.rmtree(private, ignore_errors=True)
        (run / "private").unlink(missing_ok=True)


def hold(run: Path) -> int | None:
    """The run's lock as an open file; None while another process has it. Raises OSError where the folder can't be written."""
    lock = os.open(run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def write(run: Path, view: RunView, *, durable: bool = False) -> None:
    """`run.json`, whole or not at all. Raises OSError (a full disk)."""
    new = run / "run.json.new"
    try:
        with new.open("wb") as file:
            file.write(written(view))
            if durable:
                file.flush()
                os.fsync(file.fileno())
        new.replace(run / "run.json")
    except OSError:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def look(run: Path) -> RunView | None:
    """What `run.json` says; None where there is none that can be read."""
    try:
        return read((run / "run.json").read_bytes())
    except (OSError, ValueError):
        return None


def put_order(private: Path, order: Order, playbooks: Path, heartbeat_s: float) -> None:
    """All that the run's own process has to know: `heartbeat_s` without a heartbeat are its end. Raises OSError."""
    known = {
        "run_id": order.run_id,
        "playbook": str(order.playbook),
        "machine": order.machine,
        "deadline_s": order.deadline_s,
        "who": order.who,
        "variables": dict(order.variables),
        "secrets": dict(order.secrets),
        "login": asdict(order.login) if order.login else None,
        "playbooks": str(playbooks.resolve()),
        "heartbeat_s": heartbeat_s,
    }
    _put(private / "order.json", orjson.dumps(known))


def take_order(private: Path) -> tuple[Order, Path, float]:
    """`put_order`, the other way round: the order, the playbooks' folder, and `heartbeat_s`."""
    known: dict[str, Any] = orjson.loads((private / "order.json").read_bytes())
    playbooks, heartbeat_s = Path(known.pop("playbooks")), known.pop("heartbeat_s")
    login = Login(**known["login"]) if known["login"] else None
    return Order(**{**known, "playbook": Path(known["playbook"]), "login": login}), playbooks, heartbeat_s


def lay_out(private: Path, order: Order) -> None:
    """What ansible-runner expects in its private data folder: the inventory, and the secrets as extra variables. Raises OSError."""
    for name in ("env", "inventory", "home", "tmp"):
        (private / name).mkdir(mode=0o700)
    variables = {**order.variables, RESULT: str(private / "result.json"), **(_log_in(private, order.login) if order.login else {})}
    hosts = f"all: {{hosts: {{{order.machine}: {untemplated(variables)}}}}}\n"
    _put(private / "inventory" / "hosts.yml", hosts.encode())
    _put(private / "ansible.cfg", b"")
    if order.secrets:
        _put(private / "env" / "extravars", untemplated(order.secrets).encode())


def _log_in(private: Path, login: Login) -> dict[str, Any]:
    """Variables by which Ansible gets into the machine, and into no other that has its address."""
    key, known = private / "login", private / "known_hosts"
    _put(key, login.private_key.encode())
    _put(known, f"{login.address} {login.host_key}\n".encode())
    return {
        "ansible_host": login.address,
        "ansible_user": "root",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_private_key_file": str(key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={known} -o IdentitiesOnly=yes",
    }


def size_of(private: Path, most: int) -> int:
    """Bytes in the private folder, counted until there are more than `most`."""
    total = 0
    for here, _, names in os.walk(private):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(here, name)).st_size  # noqa: PTH118  # half the time of a Path each
        if total > most:
            break
    return total


def digest(playbooks: Path) -> str:
    """SHA-256 over names and contents of all files in the folder, in hex: the same for the same playbooks, wherever they are."""
    total = hashlib.sha256()
    for path in sorted(path for path in playbooks.rglob("*") if path.is_file()):
        within = path.relative_to(playbooks)
        if not set(within.parts) & _UNREAD:
            name = str(within).encode()
            total.update(b"%d %s %s" % (len(name), name, hashlib.sha256(path.read_bytes()).digest()))
    return total.hexdigest()


def _put(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)


def _in_memory(base: Path) -> bool:
    """Whether a folder there would be in memory, and we may make one."""
    with suppress(OSError):
        mounts = (line.split() for line in Path("/proc/self/mounts").read_text("utf-8", "replace").splitlines())
        return any(mount[1] == str(base) and mount[2] == "tmpfs" for mount in mounts) and os.access(base, os.W_OK | os.X_OK)
    return False
