"""`chutian image`: what instances boot from."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from console import listing, render, waiting
from console.app import App, note, sure
from console.cells import cell, size
from console.client import Body, at
from console.errors import ApiError
from console.exits import FAILED, OK, TIMEOUT
from console.verbs import LISTING, WAITING, YES, Verb, arg, opt

COLUMNS = ("name", "arch", "format", "state", "size_bytes", "virtual_size_bytes", "min_disk_gib", "reason", "+os", "+sha256", "+sm3", "+id")
FORMATS = ("qcow2", "raw")
QCOW2_MAGIC = b"QFI\xfb"


def import_(app: App, name: str, file: str | None, url: str | None, wait: bool, timeout: int, **fields: str | int | None) -> int | None:
    """Import from a file on this machine (sent with a progress bar) or from a URL (fetched by the controller)."""
    if (file is None) == (url is None):
        raise click.UsageError(app.say("image.file_or_url"))
    body: Body = {"name": name, **{key: value for key, value in fields.items() if value is not None}}
    if file is not None:
        body["format"] = fields["format"] or _format(Path(file))
        made = app.client().post(at("images"), body)
        made = _send(app, made["id"], name, Path(file))
    else:
        if not fields["format"]:
            raise click.UsageError(app.say("image.format_of_url"))
        made = app.client().post(at("images"), {**body, "url": url})
    return _finish(app, made, wait or file is not None, timeout)


def upload(app: App, image: str, file: str) -> int | None:
    """Send the content of an image that is still waiting for it, for instance after a broken connection."""
    return _finish(app, _send(app, image, image, Path(file)), True, 900)


def _finish(app: App, made: Body, wait: bool, timeout: int) -> int:
    if wait and made["state"] == "importing":
        try:
            made = waiting.image(app.client(), made["id"], time.monotonic() + timeout)
        except ApiError as error:
            if error.code != "timeout":
                raise
            note(app.say("wait.timeout"))
            return TIMEOUT
    if made["state"] == "failed":
        if not app.for_people:
            render.programs(app, made)
        note(app.say("image.failed", name=made["name"], reason=cell(app.say, "reason", made.get("reason"))))
        return FAILED
    render.done(app, "image.imported", made, name=made["name"], state=made["state"], id=made["id"])
    return OK


def _send(app: App, image_id: str, name: str, file: Path) -> Body:
    try:
        with _bar(app, name, file.stat().st_size) as on_sent:
            return app.client().upload(at("images", image_id, "content"), file, on_sent)
    except ApiError as error:
        if error.code in {"unreachable", "unavailable"}:
            note(app.say("image.send_again", name=name, file=file))
        raise


@contextmanager
def _bar(app: App, name: str, total: int) -> Iterator[Callable[[int], None]]:
    """How far the sending is: a bar on a terminal, a line per tenth in a log."""
    if not app.live:
        tenths = [0]

        def line(sent: int) -> None:
            if total and sent * 10 // total > tenths[0]:
                tenths[0] = sent * 10 // total
                note(f"{name}: {tenths[0] * 10}% ({size(sent)} / {size(total)})")

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=total)
        yield lambda sent: progress.update(task, completed=sent)


def _format(file: Path) -> str:
    with file.open("rb") as source:
        return "qcow2" if source.read(4) == QCOW2_MAGIC else "raw"


def list_(app: App, limit: int | None, cursor: str | None, everything: bool, **filters: str | None) -> None:
    """Images."""
    listing.show(app, at("images"), COLUMNS, limit, cursor, everything, **filters)


def show(app: App, name: str) -> None:
    """One image."""
    render.detail(app, app.client().get(at("images", name)))


def delete(app: App, name: str, yes: bool) -> None:
    """Remove an image."""
    sure(app, yes, "confirm.delete", what=name)
    render.done(app, "message.deleted", app.client().delete(at("images", name)), name=name)


_NAME = arg("name")
_FILE = click.Path(exists=True, dir_okay=False)

VERBS = {
    "import": Verb(
        import_,
        (
            _NAME,
            opt("--file", text="image-file", type=_FILE),
            opt("--url"),
            opt("--arch", required=True),
            opt("--format", type=click.Choice(FORMATS)),
            opt("--os"),
            opt("--sha256"),
            opt("--sm3"),
            opt("--min-disk-gib", type=click.IntRange(min=0)),
            opt("--min-memory-mib", type=click.IntRange(min=0)),
            *WAITING,
        ),
    ),
    "upload": Verb(upload, (arg("image"), opt("--file", text="image-file", type=_FILE, required=True))),
    "list": Verb(
        list_,
        (
            opt("--state", text="in-state", type=click.Choice(("waiting", "importing", "ready", "failed"))),
            opt("--arch", text="of-arch"),
            *LISTING,
        ),
    ),
    "show": Verb(show, (_NAME,)),
    "delete": Verb(delete, (_NAME, YES)),
}
