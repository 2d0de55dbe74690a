"""`chutian machine`: bare machines, by their hosts' names."""

from __future__ import annotations

import time

import click

from console import listing, progress, render
from console.app import App, sure, tell
from console.client import Body, at
from console.exits import OK
from console.verbs import LISTING, WAITING, YES, Verb, arg, opt

COLUMNS = ("host", "state", "power", "+power_wanted", "step", "progress", "instance", "reason", "+run_id", "+instance_id", "+id")


def list_(app: App, pool: str | None, limit: int | None, cursor: str | None, everything: bool) -> None:
    """Machines and how far each is."""
    listing.show(app, at("machines"), COLUMNS, limit, cursor, everything, pool=pool)


def show(app: App, machine: str) -> None:
    """How far a machine is, and what it is made of."""
    body = app.client().get(at("machines", machine))
    if not app.for_people:
        render.programs(app, body)
        return
    said, differences = body.pop("inspection") or {}, body.pop("differences")
    render.detail(app, body | _said(said))
    disks = [one | {"disk": one.get("name")} for one in said.get("disks", ())]
    nics = [one | {"nic": one.get("name")} for one in said.get("nics", ())]
    for those, columns, of in (
        (disks, ("disk", "bytes", "serial", "model"), ""),
        (nics, ("nic", "mac", "link", "driver"), ""),
        (differences, ("what", "bmc", "machine"), "difference."),
    ):
        if those:
            tell("")
            render.parts(app, those, columns, of)


def _said(said: Body) -> Body:
    """What a machine said of itself, in lines; nothing where it was never asked."""
    if not said:
        return {}
    firmware = said.get("firmware") or {}
    return {
        "model": _words(said.get("vendor"), said.get("product")),
        "serial": said.get("serial"),
        "uuid": said.get("uuid"),
        "cpu": _words(said.get("cpus"), "×", said.get("cpu_model") or said.get("architecture")),
        "memory_mib": said.get("installed_mib"),
        "firmware": _words(firmware.get("vendor"), firmware.get("version"), firmware.get("date")),
        "starts_by": _words((firmware.get("kind") or "").upper(), "Secure Boot" if firmware.get("secure_boot") else ""),
        "bmc_firmware": (said.get("bmc") or {}).get("firmware"),
    }


def _words(*those: str | int | None) -> str:
    return " ".join(str(one) for one in those if one)


def inspect(app: App, machine: str, wait: bool, timeout: int, yes: bool) -> int:
    """Start it into the ramdisk and look."""
    return _ask(app, machine, "inspect", wait, timeout, yes)


def wipe(app: App, machine: str, wait: bool, timeout: int, yes: bool) -> int:
    """Clear its disks."""
    return _ask(app, machine, "wipe", wait, timeout, yes)


def patch(app: App, machine: str, wait: bool, timeout: int, yes: bool) -> int:
    """Update the hypervisor that it is."""
    return _ask(app, machine, "patch", wait, timeout, yes, step="patch_host")


def trust(app: App, machine: str, yes: bool) -> None:
    """Out of quarantine, as it is."""
    sure(app, yes, "confirm.trust", what=machine)
    render.done(app, "machine.trust", app.client().post(at("machines", machine, "trust")), name=machine)


def write_off(app: App, machine: str, reason: str, yes: bool) -> None:
    """Given up, its disks uncleared."""
    sure(app, yes, "confirm.write_off", what=machine)
    body = app.client().post(at("machines", machine, "write-off"), {"reason": reason})
    render.done(app, "machine.write_off", body, name=machine)


def power(app: App, wanted: str, machine: str, wait: bool, timeout: int, yes: bool) -> int:
    """Switch it on or, by force, off."""
    deadline = time.monotonic() + timeout
    if wanted == "off":
        sure(app, yes, "confirm.power_off", what=machine)
    body = app.client().post(at("machines", machine, "power"), {"power": wanted})
    if not wait:
        render.done(app, f"machine.power_{wanted}", body, name=machine)
        return OK
    return progress.machine(app, machine, wanted, deadline)


def _ask(app: App, machine: str, what: str, wait: bool, timeout: int, yes: bool, step: str = "") -> int:
    deadline = time.monotonic() + timeout
    sure(app, yes, f"confirm.{what}", what=machine)
    before = _newest(app, machine, step or what)
    body = app.client().post(at("machines", machine, what))
    if not wait:
        render.done(app, f"machine.{what}", body, name=machine)
        return OK
    code, run = progress.run(app, lambda: _newest(app, machine, step or what), before, deadline)
    if run is not None and not app.for_people:
        render.programs(app, run)
    return code


def _newest(app: App, machine: str, step: str) -> str:
    """The id of the latest run of that step; empty where there was none."""
    runs = app.client().get(at("runs"), host=machine, limit=20)["items"]
    return next((str(run["id"]) for run in runs if run["step"] == step), "")


_MACHINE = arg("machine")

VERBS = {
    "list": Verb(list_, (opt("--pool", text="in-pool"), *LISTING)),
    "show": Verb(show, (_MACHINE,)),
    "inspect": Verb(inspect, (_MACHINE, *WAITING, YES)),
    "wipe": Verb(wipe, (_MACHINE, *WAITING, YES)),
    "patch": Verb(patch, (_MACHINE, *WAITING, YES)),
    "trust": Verb(trust, (_MACHINE, YES)),
    "write-off": Verb(write_off, (_MACHINE, opt("--reason", required=True, text="write-off-reason"), YES)),
    "power": Verb(power, (arg("wanted", type=click.Choice(("on", "off"))), _MACHINE, *WAITING, YES)),
}
