"""What a container is, for drivers that run them; a virtual machine boots from `drivers.base.Image` instead."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Port:
    """A port that the container listens on."""

    name: str  # an IANA service name: at most 15 of a-z, 0-9 and -
    port: int
    protocol: str = "tcp"  # "tcp" | "udp"


@dataclass(frozen=True, slots=True)
class Volume:
    """A disk of its own, kept for as long as the instance is; part of the instance's `disk_gib`."""

    name: str  # an RFC 1123 label
    path: str  # where the container finds it; absolute
    size_gib: int


@dataclass(frozen=True, slots=True)
class Probe:
    """How to ask whether the container is well: exactly one of `http_path` (with `port`), `command`, or `port` alone (it accepts TCP)."""

    port: int | None = None
    http_path: str | None = None
    command: tuple[str, ...] = ()
    delay_s: int = 0
    period_s: int = 10
    timeout_s: int = 1
    failures: int = 3  # in a row, before it counts as unwell


@dataclass(frozen=True, slots=True)
class Container:
    """What a container runs. Sizes stand in the spec around it: the container gets all of them and no more.

    `secrets` are environment variables whose values are kept only where the backend keeps secrets. `service`: the name under which all
    instances of the project that name it are reached together; empty for none.
    """

    image: str  # an OCI reference
    command: tuple[str, ...] = ()  # in place of the image's entry point
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    ports: tuple[Port, ...] = ()
    volumes: tuple[Volume, ...] = ()
    liveness: Probe | None = None
    readiness: Probe | None = None
    startup: Probe | None = None
    restart: str = "always"  # "always" | "on_failure" | "never"
    service: str = ""


@dataclass(frozen=True, slots=True)
class Tenant:
    """One project's part of an endpoint as it should be: what is placed there of it, in all, so that nothing else can eat it."""

    project_id: str
    project: str  # its path, for people
    instances: int
    vcpus: int
    memory_mib: int
    disk_gib: int
    gpus: int
    services: Mapping[str, tuple[Port, ...]] = field(default_factory=dict)


@runtime_checkable
class Tenants(Protocol):
    """The endpoint keeps projects apart, and must know of a project before it holds an instance of it.

    `ensure` raises `drivers.errors.TenantUnsettled` where what the endpoint grants the project does not cover the instance.
    """

    def settle(self, tenants: Sequence[Tenant], whole: bool) -> None:
        """Make each of these projects' surroundings what it should be. `whole`: there are no others; what is left of them goes.

        Of a project that is not there any more nothing is removed while an instance of it is still seen.
        """
        ...


@dataclass(frozen=True, slots=True)
class Meddling:
    """What somebody did to a project's surroundings, or put there. `mended`: it was changed or removed, and is as it should be again; else
    it is beside what is ours, and was left alone.
    """

    project: str  # its path, for people
    what: str  # kind and name, as the backend's own people call it
    mended: bool


@runtime_checkable
class Meddled(Protocol):
    """The endpoint tells what it found that nobody asked for."""

    def meddled(self) -> Sequence[Meddling]:
        """What was mended since this was asked last, and all that is beside what is ours."""
        ...


@runtime_checkable
class LogStream(Protocol):
    """The instance's output can be followed."""

    def follow_log(self, instance_id: str, max_bytes: int) -> Generator[bytes, None, None]:
        """The last `max_bytes` of it, then what comes, until it ends or the caller closes it; b"" every few seconds of silence."""
        ...


@dataclass(frozen=True, slots=True)
class Executed:
    """What a command left behind. Streams are cut at the limit given; `truncated` says so."""

    exit_code: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False


@runtime_checkable
class Exec(Protocol):
    """A command can be run beside the instance's own."""

    def execute(self, instance_id: str, command: Sequence[str], stdin: bytes, timeout_s: float, max_bytes: int) -> Executed:
        """Run it to its end. Raises Timeout, NotRunning, and what all verbs raise."""
        ...
