"""What the demo runs on: its folder, a libvirtd, and a controller in the background.

Everything lies in one folder outside the clone (PostgreSQL's account must be able to enter it, and it can't enter /root): settings, the
controller's data, tokens with mode 0600, and what must be undone later. Only what was started from here is ever stopped, by the process
id written down and only while that id still belongs to the same process. The rejected alternative, a pattern over process names, stops
other people's controllers.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
CHUTIAN = Path(sys.executable).with_name("chutian")
DEFAULT = Path("/var/lib/chutian-demo") if os.geteuid() == 0 else Path.home() / ".local/state/chutian-demo"
STATE = Path(os.environ.get("CHUTIAN_DEMO_DIR") or DEFAULT)
CONFIG = STATE / "controller.toml"
LOG = STATE / "controller.log"
PID = STATE / "controller.pid"
DATA = STATE / "data"
CONSOLE = STATE / "console"  # CHUTIAN_CONFIG_HOME: profiles of the demo's three identities
TOKENS = STATE / "tokens"
BEFORE = STATE / "before"  # which of the driver's things were on the host already
CLUSTER = STATE / "cluster"
RACK = STATE / "rack"
REGION = STATE / "region"
VIRSH = ("virsh", "-q", "-c", "qemu:///system")
READY_S = 90


class DemoError(Exception):
    """Something to tell the user in one sentence."""


def run(command: Sequence[str | Path], env: Mapping[str, str] | None = None, live: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a program in the clone; its output is captured as text; `live` lets it write its progress (stderr) to the terminal."""
    return subprocess.run(  # noqa: S603 - our own programs, and virsh
        [str(word) for word in command],
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=None if live else subprocess.PIPE,
        cwd=CLONE,
        check=False,
    )


def libvirtd(verb: str) -> None:
    """`up`: something answers at qemu:///system. `down`: what we started for that is stopped."""
    done = run([CLONE / "scripts" / "libvirtd", verb, STATE])
    if done.returncode != 0:
        raise DemoError(done.stderr.strip() or f"scripts/libvirtd {verb} failed")


def host_remember() -> None:
    """Write down, the first time, what the libvirt driver would make here: what was there before is not ours to remove."""
    if not BEFORE.exists():
        BEFORE.write_text("".join(f"{kind}\n" for kind in ("pool", "net") if run([*VIRSH, f"{kind}-info", "chutian"]).returncode == 0))


def host_restore() -> None:
    """Remove the driver's storage pool and network where the demo brought them and no domain uses them."""
    if not BEFORE.exists() or _in_use():
        return
    before = BEFORE.read_text().split()
    if "net" not in before:
        for verb in ("net-destroy", "net-undefine"):
            run([*VIRSH, verb, "chutian"])
    if "pool" not in before:
        run([*VIRSH, "pool-refresh", "chutian"])
        for line in run([*VIRSH, "vol-list", "chutian"]).stdout.splitlines():
            run([*VIRSH, "vol-delete", "--pool", "chutian", *line.split()[:1]])
        for verb in ("pool-destroy", "pool-delete", "pool-undefine"):
            run([*VIRSH, verb, "chutian"])


def cluster_up() -> Path:
    """A control plane and one real node run; how to ask them (`kubectl`), with the administrator's credentials in the environment."""
    if not CLUSTER.exists():
        done = run([sys.executable, "-m", "tests.lab.kubernetes", "up", CLUSTER, "--nodes", "1"], live=True)
        if done.returncode != 0:
            raise DemoError("the cluster can't be started")
        (CLUSTER / "how").write_text(done.stdout)
    export, kubectl = (CLUSTER / "how").read_text().splitlines()[:2]
    os.environ["KUBECONFIG"] = export.removeprefix("export KUBECONFIG=")
    return Path(kubectl.split()[0])


def cluster_down() -> None:
    """Take it away, where there is one."""
    if CLUSTER.exists():
        run([sys.executable, "-m", "tests.lab.kubernetes", "down", CLUSTER])


def rack_down() -> None:
    """Take the rack of servers away, where there is one."""
    if RACK.exists():
        run([sys.executable, "-m", "tests.lab.metal", "down", RACK])


def region_down() -> None:
    """Take the OpenStack region away, where there is one."""
    if REGION.exists():
        run([sys.executable, "-m", "tests.lab.openstack", "down", REGION])


def depot_at(listen: str) -> None:
    """The controller gives machines what they start from at that address and port; it is stopped where it runs and doesn't yet."""
    line = f'depot_listen = "{listen}"\n'
    if line not in CONFIG.read_text():
        controller_down()
        with CONFIG.open("a") as out:
            out.write(line)


def private(file: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)


def _in_use() -> bool:
    domains = run([*VIRSH, "list", "--all", "--uuid"]).stdout.split()
    return any("chutian" in run([*VIRSH, "dumpxml", domain]).stdout for domain in domains)


def settings() -> str:
    """Make the folder and the controller's settings where they are missing; the controller's URL."""
    if not CONFIG.exists():
        for folder in (STATE, TOKENS, CONSOLE):
            folder.mkdir(mode=0o755 if folder == STATE else 0o700, parents=True, exist_ok=True)
        CONFIG.write_text(f'data_dir = "{DATA}"\nlisten = "127.0.0.1:{_free_port()}"\nauto_migrate = true\n')
    return url()


def url() -> str:
    """The controller's URL, from its settings."""
    return f"https://{tomllib.loads(CONFIG.read_text())['listen']}"


def _free_port() -> int:
    for port in range(8443, 8543):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise DemoError("no free port between 8443 and 8542")


def controller_up() -> bool:
    """Start the controller where it doesn't run and wait until it is ready; whether it had to be started. Raises DemoError."""
    if _ready():
        return False
    process = _controller_pid()
    if process is None:
        with LOG.open("ab") as log:
            started = subprocess.Popen(  # noqa: S603 - our own program
                [str(CHUTIAN), "serve", "--config", str(CONFIG)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # a ^C at the demo's terminal spares it
            )
        process = started.pid
        PID.write_text(f"{process} {_started_at(process)}\n")
    deadline = time.monotonic() + READY_S
    while not _ready():
        if _controller_pid() is None:
            raise DemoError(f"the controller has ended; the last lines of {LOG}:\n{_tail()}")
        if time.monotonic() > deadline:
            raise DemoError(f"the controller isn't ready after {READY_S} s; the last lines of {LOG}:\n{_tail()}")
        time.sleep(0.2)
    return True


def controller_down() -> None:
    """Stop the controller and its PostgreSQL, where they run."""
    process = _controller_pid()
    if process is not None:
        os.kill(process, signal.SIGTERM)
        deadline = time.monotonic() + 30
        while _controller_pid() is not None:
            if time.monotonic() > deadline:
                os.kill(process, signal.SIGKILL)
            time.sleep(0.1)
    PID.unlink(missing_ok=True)
    if (DATA / "postgres").exists():
        run([CHUTIAN.with_name("python"), "-m", "controller", "stop-database", "--config", CONFIG])


def _controller_pid() -> int | None:
    """The controller's process id while it is alive; an id that was given to another process meanwhile doesn't count."""
    try:
        process, started = PID.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(process) if _started_at(int(process)) == started else None


def _started_at(process: int) -> str:
    """When a process was started, in ticks since boot: with its id, this names it for good. Empty where it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _ready() -> bool:
    unchecked = ssl.create_default_context()
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE  # only asks whether it is ready; all else goes through the CLI, which checks the CA
    try:
        with urllib.request.urlopen(f"{url()}/readyz", timeout=3, context=unchecked) as answer:  # noqa: S310 - our own https URL
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _tail(lines: int = 15) -> str:
    return "\n".join(LOG.read_text(errors="replace").splitlines()[-lines:]) if LOG.exists() else "(empty)"


def forget() -> None:
    """Remove the demo's folder."""
    shutil.rmtree(STATE, ignore_errors=True)
