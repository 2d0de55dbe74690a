"""`make demo` and `make down`: the whole story on this machine, told with the `chutian` command.

Up: a controller is started; an operator enrols this machine as a host and makes image, flavor, pool, projects, limits and people; a
department's user applies for three virtual machines with `examples/request.yaml`; an approver agrees; the machines are built and boot.
Every step looks first whether its result is there, so a second run only shows it. Down takes all of it away again, through the API as long
as that can be had. Each command is printed as a person would type it; the rejected alternative, calling the HTTP API, would teach nobody
the command line.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from console import profiles
from scripts import demo_machine as machine
from scripts.demo_machine import CHUTIAN, CLONE, CONFIG, CONSOLE, LOG, STATE, TOKENS, DemoError

PROJECT = "hubei/health"
CLERK, APPROVER = "health-clerk", "province-approver"  # users, and profiles of the same names
SSH_KEY = STATE / "ssh" / "id_ed25519"
BOOT_S = 180

Body = dict[str, Any]


def up() -> None:
    """Bring the demo up, as far as it isn't."""
    begun = time.monotonic()
    say("A hypervisor and a controller on this machine")
    url = machine.settings()
    machine.libvirtd("up")
    machine.host_remember()
    tell(f"libvirt answers at qemu:///system; the controller's log is {LOG}")
    machine.controller_up()
    tell(f"the controller answers at {url}")
    administrator(url)
    say("The operator: what may be used, and where")
    _catalogue()
    say("The operator: who may use how much")
    people(url, PROJECT, "Provincial health commission", "instances=6 vcpus=8 memory_mib=2048 disk_gib=20", CLERK)
    request = applied(PROJECT, CLERK, lambda: form("request.yaml"), "--pool", "wuhan")  # not where another demo's machines go
    booted(request)
    show(request)
    print(f"\nUp in {time.monotonic() - begun:.0f} s. Try next (`make down` takes all of it away):\n\n{_hints(request)}")


def administrator(url: str) -> None:
    """The first administrator, once."""
    token = TOKENS / "admin"
    if not token.exists():
        tell(f"$ chutian bootstrap --config {CONFIG} --project hubei")
        done = machine.run([CHUTIAN, "bootstrap", "--config", CONFIG, "--project", "hubei"])
        if done.returncode != 0:
            raise DemoError(f"bootstrap failed: {done.stderr.strip() or done.stdout.strip()}")
        _keep(token, json.loads(done.stdout).get("token"))
    _login("admin", url)


def _keep(file: Path, token: str | None) -> None:
    """Write a token that only its owner can read."""
    if not token:
        raise DemoError(f"there is no token for {file.name} and it isn't shown twice; `make down`, then `make demo` begins anew")
    machine.private(file, token + "\n")


def _login(name: str, url: str) -> None:
    known = profiles.read(CONSOLE / "config.toml")["profiles"].get(name, {})
    if known.get("server") != url:
        ca = machine.DATA / "tls" / "ca.pem"
        chutian("login", "--server", url, "--ca", str(ca), "--token-file", str(TOKENS / name), profile=name)


def build(guest: str, to: Path, *more: str) -> None:
    """One of our guests, from the cache or in seconds."""
    if not to.exists():
        tell(f"$ {shlex.join((f'guests/{guest}/build', str(to), *more))}")
        done = machine.run([CLONE / "guests" / guest / "build", to, *more])
        if done.returncode != 0:
            raise DemoError(f"the guest {guest} can't be built: {done.stderr.strip()}")


def image_of(guest: str) -> None:
    """One of our guests is an image."""
    image = STATE / f"{guest}.qcow2"
    build(guest, image)
    how = ("--arch", "x86_64", "--format", "qcow2", "--os", guest, "--wait")
    ensure("image", guest, "image", "import", guest, "--file", str(image), *how)


def _catalogue() -> None:
    ensure("flavor", "tiny", "flavor", "create", "tiny", "--vcpus", "1", "--memory-mib", "128", "--disk-gib", "1")
    image_of("tiny")
    ensure("pool", "wuhan", "pool", "create", "wuhan", "--zone", "wuhan-1", "--overcommit", "vcpus=4")
    ensure("endpoint", "here", "endpoint", "create", "here", "--driver", "libvirt", "--uri", "qemu:///system", "--pool", "wuhan")
    chutian("host", "list", show=True)


def people(url: str, project: str, description: str, limits: str, clerk: str) -> None:
    """A department with limits and somebody who applies for it, and somebody who decides for the province."""
    ensure("project", "hubei", "project", "create", "hubei")
    ensure("project", project, "project", "create", project, "--description", description)
    once("quota", "set", "hubei", "vcpus=64", "memory_mib=65536")
    once("quota", "set", project, *limits.split())
    for name, role, where in ((clerk, "member", project), (APPROVER, "approver", "hubei")):
        ensure("user", name, "user", "create", name)
        once("project", "grant", where, name, role)
        if not (TOKENS / name).exists():
            _keep(TOKENS / name, chutian("user", "token", name, "--name", "demo", json_=True)["token"])
        _login(name, url)


def form(example: str) -> Path:
    """One of the examples, with an ssh key made for the occasion: the private half is `SSH_KEY`."""
    filled = STATE / example
    filled.write_text((CLONE / "examples" / example).read_text().replace("ssh_keys: []", f"ssh_keys: [{json.dumps(_ssh_key())}]"))
    return filled


def applied(project: str, clerk: str, form: Callable[[], Path], *more: str) -> str:
    """The department's request, decided: one that still has instances, or a new one (`more`: of its command); its id."""
    known = STATE / f"request-{clerk}"
    if known.exists():
        request = known.read_text().strip()
        body = chutian("request", "show", request, json_=True, profile=clerk, quiet=True)
        if body["state"] == "pending" or instances(request, project):
            return decided(body, project, clerk)
    say("The department applies")
    body = chutian("request", "create", "-f", str(form()), *more, json_=True, profile=clerk)
    known.write_text(body["id"] + "\n")
    return decided(body, project, clerk)


def decided(body: Body, project: str, clerk: str) -> str:
    """A request, decided by the province where it waits, and carried out; its id."""
    request: str = body["id"]
    if body["state"] == "pending":
        tell(f"request {request} is {body['state']}: it holds quota and capacity until it is decided")
        chutian("quota", "show", project, show=True, profile=clerk)
        say("The province decides")
        chutian("request", "approve", request, "--reason", "in the annual plan", show=True, profile=APPROVER)
    say("Placed, built, booted")
    chutian("request", "wait", request, "--timeout", "600", live=True, profile=clerk)
    return request


def _ssh_key() -> str:
    if not SSH_KEY.exists():
        SSH_KEY.parent.mkdir(mode=0o700, exist_ok=True)
        done = machine.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "chutian-demo", "-f", SSH_KEY])
        if done.returncode != 0:
            raise DemoError(f"ssh-keygen: {done.stderr.strip()}")
    return SSH_KEY.with_suffix(".pub").read_text().strip()


def instances(request: str, project: str = PROJECT, going: bool = False) -> list[Body]:
    """The request's instances that are still there, and those on their way out where `going`, as an operator sees them."""
    found = chutian("instance", "list", "--project", project, "--all", json_=True, quiet=True)["items"]
    return sorted(
        (one for one in found if one.get("request_id") == request and one["state"] not in {"deleted", *(() if going else ("deleting",))}),
        key=lambda one: one["name"],
    )


def booted(request: str, project: str = PROJECT, addressed: bool = True) -> None:
    """Wait until every running guest has said on its serial line that it is ready, and has an address where it gets one."""
    deadline = time.monotonic() + BOOT_S
    told: list[str] = []
    while True:
        running = [one for one in instances(request, project) if one["state"] == "active"]
        waiting = [one["name"] for one in running if (addressed and not one["addresses"]) or "ready" not in _said(one).splitlines()]
        if not waiting:
            return
        if time.monotonic() > deadline:
            tell(f"still booting after {BOOT_S} s: {', '.join(waiting)}")
            return
        if waiting != told:
            tell(f"booting: {', '.join(waiting)}")
            told = waiting
        time.sleep(2)


def _said(instance: Body) -> str:
    """The guest's own lines on its serial console since its last boot."""
    text = chutian("instance", "console", instance["id"], json_=True, quiet=True)["text"]
    lines = [line.strip() for line in text.splitlines()]
    first = max((number for number, line in enumerate(lines) if line.startswith("chutian-guest: hostname=")), default=len(lines))
    return "\n".join(line.removeprefix("chutian-guest: ") for line in lines[first:] if line.startswith(("chutian-guest:", "demo.")))


def show(request: str, project: str = PROJECT) -> None:
    """The request's instances, with what each printed of its own."""
    say("What the department has now")
    rows = [("INSTANCE", "STATE", "HOST", "ADDRESS", "SERIAL CONSOLE")]
    for one in instances(request, project):
        proof = next((line for line in _said(one).splitlines() if line.startswith("demo.")), "")
        rows.append((one["name"], one["state"], one.get("host") or "-", ", ".join(one["addresses"]) or "-", proof.removeprefix("demo. ")))
    table(rows)


def give_back(request: str, project: str, clerk: str) -> None:
    """The department deletes all that the request has brought it."""
    say("Given back")
    names = [one["name"] for one in instances(request, project)]
    for name in names:
        chutian("instance", "delete", name, "--project", project, "--yes", profile=clerk, quiet=name != names[0])
    tell(f"and so {len(names) - 1} others")
    for one in instances(request, project, going=True):
        chutian("instance", "wait", one["id"], "--for", "deleted", "--timeout", "120", live=True, quiet=True)


def table(rows: Sequence[Sequence[str]]) -> None:
    """Rows under each other, the first of them the header."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  " + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _hints(request: str) -> str:
    found = instances(request)
    name, address = (found[0]["name"], next(iter(found[0]["addresses"]), "ADDRESS")) if found else ("NAME", "ADDRESS")
    ssh = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    return "\n".join(
        f"  {line}"
        for line in (
            f"export CHUTIAN_CONFIG_HOME={CONSOLE} CHUTIAN_PROFILE=admin; alias chutian={CHUTIAN}",
            f"chutian instance list; chutian explain instance {name} --project {PROJECT}",
            f"chutian instance console {name} --project {PROJECT}",
            f"chutian instance reboot {name} --project {PROJECT} --wait",
            f"chutian quota show {PROJECT}; chutian events",
            f"ssh -i {SSH_KEY} {ssh} root@{address}",
        )
    )


def down() -> None:
    """Take the demo away: through the API what it made, then the programs, then the folder."""
    if not STATE.exists():
        print("The demo isn't up.")
        return
    if (TOKENS / "admin").exists() and (CONSOLE / "config.toml").exists():
        say("Instances, host and endpoint, through the API")
        machine.libvirtd("up")
        machine.controller_up()
        _clear()
    say("Controller, PostgreSQL, libvirt")
    machine.controller_down()
    machine.cluster_down()
    machine.rack_down()
    machine.region_down()
    machine.host_restore()
    machine.libvirtd("down")
    machine.forget()
    tell(f"stopped, and {STATE} is removed")


def _clear() -> None:
    for one in chutian("request", "list", "--state", "pending", "--all", json_=True, quiet=True)["items"]:
        chutian("request", "cancel", one["id"])
    there = [one for one in chutian("instance", "list", "--all", json_=True, quiet=True)["items"] if one["state"] != "deleted"]
    for hypervisors in (False, True):  # those last, when nothing is on them
        going = [one for one in there if bool(one["hypervisor"]) is hypervisors]
        for one in going:
            if one.get("protected"):
                chutian("instance", "unprotect", one["id"])
            if one["state"] != "deleting":
                chutian("instance", "delete", one["id"], "--yes")
        for one in going:
            chutian("instance", "wait", one["id"], "--for", "deleted", "--timeout", "600")
        for host in chutian("host", "list", "--all", json_=True, quiet=True)["items"]:
            if host["state"] != "retired" and not host["instances"]:
                chutian("host", "retire", host["id"], "--yes")
    for endpoint in chutian("endpoint", "list", "--all", json_=True, quiet=True)["items"]:
        chutian("endpoint", "delete", endpoint["id"], "--yes")


def ensure(noun: str, name: str, *create: str) -> None:
    """Make something unless it is there."""
    if machine.run([CHUTIAN, noun, "show", name, "--profile", "admin"], _environment()).returncode != 0:
        chutian(*create)


def once(*words: str) -> None:
    """Run a command that may be repeated, but not in every run of the demo: what a user changed since stays."""
    done = STATE / "done"
    line = shlex.join(words)
    if not done.exists() or line not in done.read_text().splitlines():
        chutian(*words)
        with done.open("a") as out:
            out.write(line + "\n")


def chutian(*words: str, profile: str = "admin", json_: bool = False, show: bool = False, live: bool = False, quiet: bool = False) -> Any:
    """Run the command line as one of the identities, printing what a person would type; its JSON where `json_`.

    `show` prints its output, `live` its progress alone. Raises DemoError with the command's own words where it fails.
    """
    if not quiet:
        tell(f"[{profile}] $ chutian {shlex.join(words)}")
    ours = words.index("--") if "--" in words else len(words)  # what comes after it is somebody else's
    options = ["--profile", profile, *(["--output", "json"] if json_ else [])]
    command: list[str | Path] = [CHUTIAN, *words[:ours], *options, *words[ours:]]
    done = machine.run(command, _environment(), live)
    if done.returncode != 0:
        raise DemoError(f"chutian {shlex.join(words)} failed: {(done.stderr or done.stdout or '').strip()}")
    if show:
        print("".join(f"    {line}\n" for line in (done.stdout + done.stderr).splitlines()), end="", flush=True)
    return json.loads(done.stdout) if json_ else None


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHUTIAN_") or name == "CHUTIAN_LANG"}
    return kept | {"CHUTIAN_CONFIG_HOME": str(CONSOLE)}


def say(title: str) -> None:
    """The title of a chapter."""
    print(f"\n== {title}", flush=True)


def tell(text: str) -> None:
    """One line of the story."""
    print(f"  {text}", flush=True)


def told(name: str, rig: str, story: Callable[[], None]) -> int:
    """Tell a story on a rig that stays up after it: how the program is to end."""
    begun = time.monotonic()
    try:
        story()
    except DemoError as error:
        print(f"\n{name}: {error}", file=sys.stderr)
        return 1
    print(f"\nTold in {time.monotonic() - begun:.0f} s. {rig} and controller are still up; `make down` takes them away.")
    return 0


def main() -> int:
    """`up` or `down`."""
    verbs = {"up": up, "down": down}
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        print("usage: python -m scripts.demo up|down", file=sys.stderr)
        return 2
    try:
        verbs[sys.argv[1]]()
    except DemoError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
