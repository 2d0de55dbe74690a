"""`chutian explain`: why it is so, or what would happen."""

from __future__ import annotations

from console import listing, lookup, plans, render
from console.app import App, note, tell
from console.cells import cell, clean
from console.client import Body, at
from console.commands.events import line
from console.commands.request import load
from console.verbs import LISTING, Verb, arg, opt


def request(app: App, file: str, project: str | None) -> int:
    """Whether the request in a file would fit, without making it."""
    return plans.show(app, at("requests"), load(app, file) | ({"project": project} if project else {}))


def instance(app: App, instance: str, project: str | None, host: str | None) -> None:
    """Why an instance is where it is and as it is, and why not on another host."""
    wanted = {} if host is None else {"host": host}
    body = app.client().get(at("instances", lookup.instance(app, instance, project), "explain"), **wanted)
    if not app.for_people:
        render.programs(app, body)
        return
    tell(clean(str(body.get("text", ""))))
    placement = body.get("placement")
    if placement:
        tell("  " + app.say("explain.placed", at=cell(app.say, "at", placement.get("at")), **_counts(placement)))
        _placement(app, placement)
        _given(app, placement, body["instance"]["name"])
    if body.get("not_there"):
        _not_there(app, body["not_there"], body["instance"].get("host"))
    for event in body.get("events") or []:
        tell("  " + line(event))


def _counts(placement: Body) -> Body:
    return {name: placement[name] for name in ("hosts", "fits")}


def _given(app: App, placement: Body, name: str) -> None:
    """The GPUs and NUMA nodes that one of the instances was given, for those who may see them."""
    for each, host, given in zip(placement.get("names") or [], placement.get("chosen") or [], placement.get("given") or [], strict=False):
        parts = [app.say(f"explain.given.{part}", names=cell(app.say, part, those)) for part, those in given.items() if those]
        if each == name and parts:
            tell("  " + app.say("explain.given", host=clean(host), parts=app.say("explain.and").join(parts)))


def _not_there(app: App, miss: Body, mine: str | None) -> None:
    host = clean(str(miss["host"]))
    if miss["rules"]:
        tell("  " + app.say("explain.not_there", host=host, rules=_lacking(app, miss)))
    else:
        tell("  " + app.say("explain.is_there" if miss["host"] == mine else "explain.would_do", host=host))


def _lacking(app: App, miss: Body) -> str:
    """What stands in the way on a host, and how much is lacking."""
    told = []
    for rule in miss["rules"]:
        text, short = clean(str(rule["text"])), miss["short"].get(rule["rule"])
        told.append(app.say("explain.lacking", rule=text, amount=cell(app.say, rule["rule"], short)) if short else text)
    return app.say("explain.and").join(told)


def refusals(app: App, project: str | None, limit: int | None, cursor: str | None, everything: bool) -> None:
    """What was refused for lack of room, and why."""
    body = listing.fetch(app, at("placements"), limit, cursor, everything, project=project, placed=False)
    if not app.for_people:
        render.programs(app, body)
        return
    for placement in body["items"]:
        names = ", ".join(placement["names"])
        tell(app.say("explain.refused", at=cell(app.say, "at", placement["at"]), project=placement["project"], names=clean(names)))
        room = placement.get("room")
        said = app.say("explain.room", room=room, count=len(placement["names"]), hosts=placement["hosts"]) if room else None
        tell("  " + (said or app.say("explain.nowhere", hosts=placement["hosts"])))
        _placement(app, placement)
    if not body["items"]:
        tell(app.say("message.nothing_found"))
    elif body.get("next"):
        note(app.say("message.more", cursor=body["next"]))


def _placement(app: App, placement: Body) -> None:
    """Which rule left out how many hosts; for those who may see them, the best and the nearest."""
    expected = placement["asked"].get("expected_days")
    if expected is not None:
        tell("  " + app.say("explain.expected", days=f"{expected:.1f}"))
    for rule in placement["rules"]:
        tell("    " + app.say("refusal.rule", rule=clean(str(rule["text"])), count=rule["excluded"]))
    if placement.get("chosen"):
        tell("  " + app.say("explain.chosen", hosts=clean(", ".join(dict.fromkeys(placement["chosen"])))))
    if placement.get("promised"):
        names = clean(", ".join(placement.get("after") or []))
        tell("  " + app.say("explain.promised") + (f" ({names})" if names else ""))
    if placement.get("preempted"):
        tell("  " + app.say("explain.preempted", names=clean(", ".join(placement["preempted"]))))
    for host in placement.get("best") or []:
        days = host.get("kept_days")
        kept = app.say("explain.kept", days=f"{days:.1f}") if days is not None else ""
        minus = "".join(app.say(f"explain.minus.{name}", points=f"{points:g}") for name, points in (host.get("minus") or {}).items())
        tell("    " + app.say("explain.best", host=clean(str(host["host"])), points=f"{host['points']:.3f}", kept=minus + kept))
    for host in placement.get("nearest") or []:
        tell("    " + app.say("explain.nearest", host=clean(str(host["host"])), rules=_lacking(app, host)))


VERBS = {
    "request": Verb(request, (arg("file"), opt("--project", "-p"))),
    "refusals": Verb(refusals, (opt("--project", "-p"), *LISTING)),
    "instance": Verb(instance, (arg("instance"), opt("--project", "-p", text="in-project"), opt("--host", text="why-not-host"))),
}
