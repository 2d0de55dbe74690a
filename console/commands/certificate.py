"""`chutian certificate`: proofs that disks were cleared."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import click

from console import listing, lookup, render
from console.app import App, note, tell
from console.cells import NONE, cell, size
from console.client import Body, at
from console.verbs import LISTING, Verb, arg, opt

DOCUMENT = ("disk", "machine", "method", "verified", "read_back", "cleared_at", "instance_id", "run_id", "playbook", "playbooks")
COLUMNS = ("id", "disk_serial", "document.method", "document.cleared_at", "project", "instance", "host", "+instance_id", "+run_id")


def list_(app: App, limit: int | None, cursor: str | None, everything: bool, **filters: str | None) -> None:
    """Certificates, the newest first."""
    listing.show(app, at("certificates"), COLUMNS, limit, cursor, everything, **filters)


def show(app: App, certificate: str) -> None:
    """One certificate."""
    body = _find(app, certificate)
    if not app.for_people:
        render.programs(app, body)
        return
    document = body["document"]
    disk = document.get("disk") or {}
    shown = {name: document.get(name) for name in DOCUMENT} | document | {"signature": body["signature"]}
    if back := document.get("read_back"):
        shown["read_back"] = app.say(f"read_back.{back['how']}", size=size(back["bytes"]), places=back["places"])
    of_disk = (cell(app.say, name, disk.get(name)) for name in ("disk", "model", "serial", "bytes"))
    render.detail(app, shown | {"disk": ", ".join(text for text in of_disk if text != NONE)})


def save(app: App, certificate: str, folder: str) -> None:
    """Its document, signature and key as files, as openssl takes them."""
    body = _find(app, certificate)
    to = Path(folder)
    to.mkdir(parents=True, exist_ok=True)
    document = json.dumps(body["document"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    (to / "document.json").write_text(document, "utf-8")
    (to / "document.sig").write_bytes(base64.b64decode(body["signature"]))
    (to / "verify.pem").write_text(body["verify_key"], "ascii")
    render.done(app, "certificate.saved", body, folder=folder)
    if app.for_people:
        tell(f"  openssl pkeyutl -verify -pubin -inkey {to}/verify.pem -rawin -in {to}/document.json -sigfile {to}/document.sig")


def key(app: App) -> None:
    """What verifies the signatures, as PEM."""
    body = app.client().get(at("certificates", "key"))
    if not app.for_people:
        render.programs(app, body)
    elif body["verify_key"]:
        tell(body["verify_key"].rstrip("\n"))
    else:
        note(app.say("certificate.no_key"))


def _find(app: App, reference: str) -> Body:
    return app.client().get(at("certificates", lookup.newest(app, "certificates", reference)))


VERBS = {
    "list": Verb(
        list_,
        (
            opt("--project", "-p", text="in-project"),
            opt("--host", text="on-host"),
            opt("--instance", text="about-instance"),
            *LISTING,
        ),
    ),
    "show": Verb(show, (arg("certificate"),)),
    "key": Verb(key, ()),
    "save": Verb(save, (arg("certificate"), arg("folder", type=click.Path(file_okay=False)))),
}
