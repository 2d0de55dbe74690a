"""`chutian instance`: what a project has running."""

from __future__ import annotations

import time
import uuid

import click

from console import listing, lookup, plans, progress, render
from console.app import App, note, sure
from console.cells import cell
from console.client import TIMEOUT_S, Body, at
from console.documents import document, text
from console.guest_console import follow, stream, whole, write
from console.moments import moment
from console.verbs import LISTING, OF_PRIORITY, PREEMPT, PRIORITY, WAITING, YES, Param, Verb, arg, flag, opt

STATES = ("pending", "building", "active", "stopped", "migrating", "deleting", "deleted", "error")
COLUMNS = (
    "name",
    "project",
    "state",
    "priority",
    "flavor",
    "image",
    "addresses",
    "zone",
    "+host",
    "+condition",
    "reason",
    "+preemptible",
    "+hypervisor",
    "+vcpus",
    "+memory_mib",
    "+disk_gib",
    "+starts_at",
    "+term_ends_at",
    "+created_at",
    "+id",
)
TARGETS = {"start": "active", "stop": "stopped", "reboot": "active", "resize": "", "rebuild": "active"}  # "": whatever its goal is
OF_GOAL = {"running": "active", "stopped": "stopped", "gone": "deleted"}


def create(  # noqa: PLR0913 - one argument per option
    app: App,
    *,
    ssh_key: tuple[str, ...],
    user_data: str | None,
    container: str | None,
    spread: str | None,
    domain: str,
    preemptible: bool,
    preempt: bool,
    ends: bool,
    starts_at: str | None,
    explain: bool,
    wait: bool,
    timeout: int,
    idempotency_key: str | None,
    **fields: str | int | None,
) -> int | None:
    """Ask for one instance, decided at once by the project's policy."""
    body: Body = {key: value for key, value in fields.items() if value is not None}
    body |= ({"ends": True} if ends else {}) | ({"starts_at": moment(app, starts_at)} if starts_at else {})
    body |= {"user_data": text(app, user_data)} if user_data else {}
    body |= _container(app, container, body) if container or body.get("kind") == "container" else {}
    body |= {"ssh_keys": [_key(app, file) for file in ssh_key]} if ssh_key else {}
    body |= {"spread": {"mode": spread, "domain": domain}} if spread else {}
    body |= {name: True for name, said in (("preemptible", preemptible), ("preempt", preempt)) if said}
    if explain:
        return plans.show(app, at("instances"), body)
    deadline = time.monotonic() + timeout
    made = plans.post_once(app, at("instances"), body, idempotency_key or str(uuid.uuid4()))
    return _after(app, made, "instance.created", "active" if wait else None, deadline)


def _container(app: App, file: str | None, body: Body) -> Body:
    """What a container runs: a file, or an image that needs to be told nothing more."""
    runs = document(app, file) if file else {}
    image = body.pop("image", None)
    return {"kind": body.get("kind", "container"), "container": runs | ({"image": image} if image else {})}


def _key(app: App, file: str) -> str:
    """A public key; a private one chosen by mistake never leaves this machine."""
    key = text(app, file).strip()
    if "PRIVATE KEY" in key or "\n" in key:
        raise click.UsageError(app.say("instance.not_a_public_key", file=file))
    return key


def _after(app: App, body: Body, key: str, target: str | None, deadline: float) -> int:
    """Say what was asked, wait where wanted, print what became of it."""
    if target is None:
        render.done(app, key, body, name=body.get("name", ""), id=body["id"])
        return 0
    if app.for_people:
        note(app.say(key, name=body.get("name", ""), id=body["id"]))
    code, found = progress.instances(app, [body["id"]], target, deadline)
    last = found.get(body["id"], body)
    if target == "deleted" and code == 0:
        render.done(app, "message.deleted", last, name=body.get("name", ""))
    else:
        render.detail(app, last)
    return code


def list_(app: App, limit: int | None, cursor: str | None, everything: bool, **filters: str | None) -> None:
    """Instances, newest first."""
    listing.show(app, at("instances"), COLUMNS, limit, cursor, everything, **filters)


def show(app: App, instance: str, project: str | None) -> None:
    """One instance."""
    render.detail(app, app.client().get(at("instances", lookup.instance(app, instance, project))))


def _change(
    app: App, verb: str, body: Body | None, instance: str, project: str | None, generation: int | None, wait: bool, timeout: int
) -> int:
    deadline = time.monotonic() + timeout
    found = lookup.instance(app, instance, project)
    answer = app.client().post(at("instances", found, verb), body, generation=generation)
    target = TARGETS[verb] or OF_GOAL.get(answer.get("goal", ""), "active")
    return _after(app, answer, f"instance.{verb}", target if wait else None, deadline)


def start(app: App, instance: str, project: str | None, generation: int | None, wait: bool, timeout: int) -> int:
    """Let it run."""
    return _change(app, "start", None, instance, project, generation, wait, timeout)


def stop(app: App, instance: str, project: str | None, generation: int | None, wait: bool, timeout: int) -> int:
    """Shut it down, politely first."""
    return _change(app, "stop", None, instance, project, generation, wait, timeout)


def reboot(app: App, instance: str, project: str | None, generation: int | None, wait: bool, timeout: int) -> int:
    """Once, now."""
    return _change(app, "reboot", None, instance, project, generation, wait, timeout)


def resize(app: App, instance: str, flavor: str, project: str | None, generation: int | None, wait: bool, timeout: int) -> int:
    """Another flavor, where it is."""
    return _change(app, "resize", {"flavor": flavor}, instance, project, generation, wait, timeout)


def rebuild(
    app: App, instance: str, image: str | None, project: str | None, generation: int | None, wait: bool, timeout: int, yes: bool
) -> int:
    """Same identity, fresh disk."""
    sure(app, yes, "confirm.rebuild", what=instance)
    return _change(app, "rebuild", {"image": image} if image else {}, instance, project, generation, wait, timeout)


def protect(app: App, instance: str, project: str | None) -> None:
    """It can't be deleted until unprotected."""
    _mark(app, "protect", instance, project)


def unprotect(app: App, instance: str, project: str | None) -> None:
    """It can be deleted again."""
    _mark(app, "unprotect", instance, project)


def _mark(app: App, verb: str, instance: str, project: str | None) -> None:
    body = app.client().post(at("instances", lookup.instance(app, instance, project), verb))
    render.done(app, f"instance.{verb}", body, name=body.get("name", ""), id=body["id"])


def extend(app: App, instance: str, days: int, project: str | None, generation: int | None) -> None:
    """The end of its term moves."""
    body = app.client().post(at("instances", lookup.instance(app, instance, project), "extend"), {"days": days}, generation=generation)
    render.done(app, "instance.extend", body, name=body.get("name", ""), until=cell(app.say, "term_ends_at", body.get("term_ends_at")))


def delete(app: App, instance: str, project: str | None, generation: int | None, wait: bool, timeout: int, yes: bool) -> int:
    """Gone for good, its disk too."""
    deadline = time.monotonic() + timeout
    found = lookup.instance(app, instance, project)
    sure(app, yes, "confirm.delete_instance", what=instance)
    answer = app.client().delete(at("instances", found), generation=generation)
    return _after(app, {"id": found, "name": instance, **answer}, "instance.delete", "deleted" if wait else None, deadline)


def disown(app: App, instance: str, project: str | None, generation: int | None, wait: bool, timeout: int, yes: bool) -> int:
    """No instance any more, and what it was runs on."""
    deadline = time.monotonic() + timeout
    found = lookup.instance(app, instance, project)
    sure(app, yes, "confirm.disown", what=instance)
    answer = app.client().post(at("instances", found, "disown"), generation=generation)
    return _after(app, answer, "instance.disown", "deleted" if wait else None, deadline)


def console(app: App, instance: str, project: str | None, max_bytes: int, follow_: bool, raw: bool) -> None:
    """What the guest wrote to its console."""
    found = lookup.instance(app, instance, project)
    (follow if follow_ else whole)(app, found, max_bytes, raw)


def logs(app: App, instance: str, project: str | None, max_bytes: int, follow_: bool, raw: bool) -> None:
    """What a container printed, and prints."""
    found = lookup.instance(app, instance, project)
    (stream if follow_ else whole)(app, found, max_bytes, raw)


def exec_(app: App, instance: str, command: tuple[str, ...], project: str | None, stdin: str | None, within: int) -> int:
    """Run a command in a container; its exit code is ours."""
    body: Body = {"command": list(command), "timeout_s": within}
    body |= {"stdin": text(app, stdin)} if stdin else {}
    address = at("instances", lookup.instance(app, instance, project), "exec")
    done = app.client().post(address, body, once=True, timeout_s=within + TIMEOUT_S)
    if not app.for_people:
        render.programs(app, done)
        return int(done["exit_code"])
    write(done["stdout"])
    write(done["stderr"], err=True)
    if done["truncated"]:
        note(app.say("instance.truncated"))
    return int(done["exit_code"])


def wait(app: App, instance: str, project: str | None, target: str, timeout: int) -> int:
    """Until it is in a state."""
    deadline = time.monotonic() + timeout
    found = lookup.instance(app, instance, project)
    code, seen = progress.instances(app, [found], target, deadline)
    if found in seen:
        render.detail(app, seen[found])
    return code


_INSTANCE = arg("instance")
_PROJECT = opt("--project", "-p", text="in-project")
_FILE = click.Path(exists=True, dir_okay=False)
_GENERATION = opt("--if-generation", "generation", type=int)
_CHANGE: tuple[Param, ...] = (_PROJECT, _GENERATION, *WAITING)
_LISTENING: tuple[Param, ...] = (
    opt("--max-bytes", type=click.IntRange(1, 1 << 20), default=65536),
    flag("--follow", "-f", "follow_"),
    flag("--raw"),
)

VERBS = {
    "create": Verb(
        create,
        (
            opt("--project", "-p", required=True),
            opt("--flavor", required=True),
            opt("--image"),
            opt("--container", type=_FILE),
            opt("--name", text="instance-name"),
            opt("--pool", text="into-pool"),
            opt("--zone", text="into-zone"),
            opt("--site", text="into-site"),
            opt("--kind", text="instance-kind", type=click.Choice(("vm", "container", "bare_metal"))),
            opt("--hypervisor"),
            opt("--spread", type=click.Choice(("pack", "spread", "affinity", "anti_affinity"))),
            opt("--domain", type=click.Choice(("host", "rack", "zone", "site")), default="host", show_default=True),
            opt("--user-data", type=_FILE),
            opt("--ssh-key", type=_FILE, multiple=True),
            opt("--reason"),
            opt("--term-days", type=click.IntRange(min=1)),
            PRIORITY,
            flag("--preemptible"),
            PREEMPT,
            flag("--ends"),
            opt("--starts-at"),
            flag("--explain"),
            *WAITING,
            opt("--idempotency-key"),
        ),
    ),
    "list": Verb(
        list_,
        (
            _PROJECT,
            opt("--state", text="in-state", type=click.Choice(STATES)),
            opt("--host", text="on-host"),
            opt("--name", text="named"),
            OF_PRIORITY,
            *LISTING,
        ),
    ),
    "show": Verb(show, (_INSTANCE, _PROJECT)),
    "start": Verb(start, (_INSTANCE, *_CHANGE)),
    "stop": Verb(stop, (_INSTANCE, *_CHANGE)),
    "reboot": Verb(reboot, (_INSTANCE, *_CHANGE)),
    "resize": Verb(resize, (_INSTANCE, opt("--flavor", required=True), *_CHANGE)),
    "rebuild": Verb(rebuild, (_INSTANCE, opt("--image", text="other-image"), *_CHANGE, YES)),
    "protect": Verb(protect, (_INSTANCE, _PROJECT)),
    "unprotect": Verb(unprotect, (_INSTANCE, _PROJECT)),
    "extend": Verb(
        extend, (_INSTANCE, opt("--days", text="more-days", type=click.IntRange(1, 3650), required=True), _PROJECT, _GENERATION)
    ),
    "delete": Verb(delete, (_INSTANCE, *_CHANGE, YES)),
    "disown": Verb(disown, (_INSTANCE, *_CHANGE, YES)),
    "console": Verb(console, (_INSTANCE, _PROJECT, *_LISTENING)),
    "logs": Verb(logs, (_INSTANCE, _PROJECT, *_LISTENING)),
    "exec": Verb(
        exec_,
        (
            _INSTANCE,
            arg("command", nargs=-1, required=True, type=click.UNPROCESSED),
            _PROJECT,
            opt("--stdin", type=_FILE),
            opt("--within", "within", type=click.IntRange(1, 300), default=30, show_default=True),
        ),
    ),
    "wait": Verb(
        wait,
        (
            _INSTANCE,
            _PROJECT,
            opt("--for", "target", type=click.Choice(("active", "stopped", "deleted")), default="active", show_default=True),
            WAITING[1],
        ),
    ),
}
