"""One start of a machine into the ramdisk: what is kept of it in the depot's folder, from the order to the end.

In: the depot's folder, its URL as machines reach it, whom the attempt is for. Out: a folder of its own with a token and an ssh key that are
good for this start alone, and what the machine did so far. The folder is all there is: the depot (`depot.py`), the steps of a playbook and
the driver are different processes that share it and nothing else.

    FOLDER/ramdisk/{vmlinuz,initrd,ramdisk.iso}   what guests/ramdisk/build made
    FOLDER/attempts/ID/attempt.json               `Attempt`, with its token (0600, as all here)
    FOLDER/attempts/ID/key                        root's for the ramdisk
    FOLDER/attempts/ID/boot.ipxe                  what it starts by network with; none: nothing for it there
    FOLDER/attempts/ID/files/NAME                 served to it
    FOLDER/attempts/ID/seen/WHAT                  it asked for that file, for `boot` or `cd`, or by DHCP (`depot_dhcp`)
    FOLDER/attempts/ID/{alive,progress}.json      its news
    FOLDER/boot/MAC                               link to the boot.ipxe of the last attempt of that port

An attempt that ended is removed whole. Call-backs are kept per attempt, as a late word of the last one must not be taken for this one's.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from drivers import openssh
from drivers.bare_metal.reading import mac_of
from drivers.errors import InvalidSpec

ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{7,63}")
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
ALWAYS: Final = "console=ttyS0 quiet panic=5 net.ifnames=0 no_timer_check cryptomgr.notests random.trust_cpu=on"
EVERY_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Attempt:
    """`macs`: the ports that it may start from, lower case with colons; `url`: the depot's, as the machine reaches it."""

    folder: Path
    machine: str
    macs: tuple[str, ...]
    url: str
    token: str = field(repr=False)
    public_key: str  # the base64 part

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def arguments(self) -> str:
        """For the ramdisk's kernel. Which port it shall use is said only where there is no choice."""
        port = f" chutian.mac={self.macs[0]}" if len(self.macs) == 1 else ""
        return f"chutian.url={self.url}/news/{self.id} chutian.token={self.token} chutian.key={self.public_key}{port}"

    @property
    def key(self) -> Path:
        """The private key that the ramdisk's root takes."""
        return self.folder / "key"

    @property
    def cd_url(self) -> str:
        """Where a BMC gets its CD."""
        return f"{self.url}/cd/{self.id}.iso"

    def url_of(self, name: str) -> str:
        """Where the machine gets one of its files."""
        return f"{self.url}/a/{self.id}/{name}"

    @property
    def alive(self) -> dict[str, Any] | None:
        """What the ramdisk said when it was up."""
        return read(self.folder / "alive.json")

    @property
    def progress(self) -> dict[str, Any] | None:
        """How far it is with what it does."""
        return read(self.folder / "progress.json")

    @property
    def progress_at(self) -> float:
        """When it said that, in seconds since 1970; 0 where it said nothing."""
        with suppress(FileNotFoundError):
            return (self.folder / "progress.json").stat().st_mtime
        return 0.0

    @property
    def seen(self) -> frozenset[str]:
        """What it asked for so far."""
        with suppress(FileNotFoundError):
            return frozenset(path.name for path in (self.folder / "seen").iterdir())
        return frozenset()


def begin(folder: Path, url: str, machine: str, macs: Iterable[str], identity: str = "") -> Attempt:
    """A new attempt; one of the same id that was left behind is forgotten. Nothing is there to start from yet.

    Raises InvalidSpec for an id or a MAC that can't be.
    """
    identity = identity or secrets.token_hex(16)
    ports = tuple(dict.fromkeys(mac_of(mac) for mac in macs))
    if not ID.fullmatch(identity) or not all(ports):
        raise InvalidSpec(detail=f"{identity!r} is no id of an attempt, or one of these no MAC: {', '.join(macs)}")
    own = folder / "attempts" / identity
    end(folder, identity)
    own.mkdir(parents=True, mode=0o700)
    for inside in ("files", "seen"):
        (own / inside).mkdir()
    private, public = openssh.new_key()
    made = Attempt(own, machine, ports, url.rstrip("/"), secrets.token_urlsafe(24), public.split()[1])
    write(made.key, private)
    write(own / "attempt.json", json.dumps({**asdict(replace(made, folder=Path())), "folder": None}))
    for mac in ports:
        _link(folder / "boot" / mac.replace(":", "-"), Path("../attempts") / identity / "boot.ipxe")
    return made


def found(folder: Path, identity: str) -> Attempt | None:
    """The attempt of that id; None where there is none (any more), or no id could be so."""
    if not ID.fullmatch(identity):
        return None
    kept = read(folder / "attempts" / identity / "attempt.json")
    if kept is None:
        return None
    return Attempt(**{**kept, "folder": folder / "attempts" / identity, "macs": tuple(kept["macs"])})


def of_port(folder: Path, mac: str) -> Attempt | None:
    """The last attempt of the machine with that port, if it hasn't ended."""
    if not mac_of(mac):
        return None
    with suppress(OSError):
        return found(folder, (folder / "boot" / mac_of(mac).replace(":", "-")).readlink().parent.name)
    return None


def offer_by_network(attempt: Attempt) -> None:
    """Have the ramdisk there for when the machine starts by network. Raises InvalidSpec without a ramdisk or without a known port."""
    if not attempt.macs:
        raise InvalidSpec(detail=f"no network port of {attempt.machine} is known to start it by: name one (boot_mac)")
    ramdisk = attempt.folder.parent.parent / "ramdisk"
    for name in ("vmlinuz", "initrd"):
        if not (ramdisk / name).exists():
            raise InvalidSpec(detail=f"{ramdisk} holds no {name}: guests/ramdisk/build makes it")
        _link(attempt.folder / "files" / name, Path("../../../ramdisk") / name)
    kernel = f"kernel {attempt.url_of('vmlinuz')} initrd=initrd {ALWAYS} {attempt.arguments}"
    write(attempt.folder / "boot.ipxe", f"#!ipxe\n{kernel}\ninitrd --name initrd {attempt.url_of('initrd')}\nboot\n")


def mark(attempt: Attempt, what: str) -> None:
    """The machine asked for that."""
    with suppress(FileNotFoundError):  # it ended meanwhile
        (attempt.folder / "seen" / what).touch()


def await_alive(attempt: Attempt, within_s: float) -> dict[str, Any] | None:
    """What the ramdisk says when it is up; None where it said nothing within that time."""
    deadline = time.monotonic() + within_s
    while (said := attempt.alive) is None and time.monotonic() < deadline:
        time.sleep(EVERY_S)
    return said


def end(folder: Path, identity: str) -> bool:
    """Remove all of it; whether there was any. The machine, should it start by network again, starts from its disk."""
    own = folder / "attempts" / identity
    if not ID.fullmatch(identity) or not own.exists():
        return False
    for link in (folder / "boot").glob("*"):
        with suppress(OSError):
            if link.readlink().parent.name == identity:
                link.unlink()
    shutil.rmtree(own, ignore_errors=True)
    return True


def read(path: Path) -> dict[str, Any] | None:
    """A JSON file of the folder; None where there is none."""
    with suppress(FileNotFoundError, NotADirectoryError):
        kept: dict[str, Any] = json.loads(path.read_bytes())
        return kept
    return None


def write(path: Path, content: str) -> None:
    """Whole, or not at all, for its owner alone."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    part.touch(mode=0o600)
    part.write_text(content)
    part.rename(path)


def _link(path: Path, target: Path) -> None:
    """In place of one that is there, at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    part.symlink_to(target)
    part.rename(path)
