"""`chutian plan`: what should move where, and what if; nothing is done."""

from __future__ import annotations

import click

from console import render
from console.app import App, tell
from console.cells import cell, clean
from console.client import Body, at
from console.exits import CONFLICT, OK
from console.pairs import numbers
from console.verbs import PRIORITIES, Verb, arg, opt

_SHOWN = 50  # moves, and instances without a place, that a person is shown
_FINE = ("done", "nothing_to_move", "no_beneficial_move", "fits")


def drain(app: App, host: str, spare_hosts: int | None) -> int:
    """Empty a host."""
    return _show(app, {"kind": "drain", "host": host, "spare_hosts": spare_hosts})


def consolidate(app: App, pool: str, spare_hosts: int | None) -> int:
    """Empty as many hosts as can be."""
    return _show(app, {"kind": "consolidate", "pool": pool, "spare_hosts": spare_hosts})


def rebalance(app: App, pool: str, spare_hosts: int | None) -> int:
    """Level a pool."""
    return _show(app, {"kind": "rebalance", "pool": pool, "spare_hosts": spare_hosts})


def defragment(app: App, pool: str, flavor: str, copies: int | None, spare_hosts: int | None) -> int:
    """Make room for more of a flavor."""
    body: Body = {"kind": "defragment", "pool": pool, "flavor": flavor, "spare_hosts": spare_hosts}
    return _show(app, body | {"copies": copies})


def preempt(app: App, pool: str, flavor: str, copies: int, priority: str | None, spare_hosts: int | None) -> int:
    """Who would make way."""
    body: Body = {"kind": "preempt", "pool": pool, "flavor": flavor, "copies": copies, "spare_hosts": spare_hosts}
    return _show(app, body | {"priority": priority})


def what_if(
    app: App, lose: tuple[str, ...], add: tuple[str, ...], retire_arch: tuple[str, ...], place: tuple[str, ...], spare_hosts: int
) -> int:
    """What would be."""
    body: Body = {
        "lose": list(lose),
        "add": [{"like": name, "count": count} for name, count in numbers(app, add, ()).items()],
        "retire": list(retire_arch),
        "place": [{"flavor": name, "count": count} for name, count in numbers(app, place, ()).items()],
        "spare_hosts": spare_hosts,
    }
    found = app.client().post(at("what-if"), body)
    if not app.for_people:
        render.programs(app, found)
        return OK
    tell(app.say("whatif.found", restarted=found["restarted"], stranded=found["stranded_count"], placed=found["placed"]))
    _nowhere(app, [*found["stranded"], *found["refused"]])
    _summaries(app, found)
    return CONFLICT if found["stranded_count"] or found["refused"] else OK


def _show(app: App, body: Body) -> int:
    """A plan; exit code 0 unless there is something that stands in its way."""
    plan = app.client().post(at("plans"), {name: value for name, value in body.items() if value is not None})
    code = OK if plan["reason"] in _FINE else CONFLICT
    if not app.for_people:
        render.programs(app, plan)
        return code
    tell(clean(str(plan["text"])))
    columns = ("step", "name", "project", "source", "target")
    rows = [[clean(str(move[name])) for name in columns] for move in plan["moves"]]
    render.table([app.say(f"col.{name}") for name in columns], rows if app.output == "wide" else rows[:_SHOWN])
    if len(rows) > _SHOWN and app.output != "wide":
        tell(app.say("plan.more", count=len(rows) - _SHOWN))
    render.victims(app, plan["victims"])
    if plan["places"]:
        tell(app.say("plan.places", hosts=clean(", ".join(dict.fromkeys(plan["places"])))))
    _switch_off(app, plan)
    _nowhere(app, plan["unsolvable"])
    for lack in plan["lacks"]:
        short = ", ".join(cell(app.say, name, {name: amount}, True) for name, amount in lack["short"].items())
        tell(app.say("plan.lack", pool=clean(lack["pool"]), hosts=clean(", ".join(lack["hosts"]) or "-"), short=short or "-"))
    if plan["moves"] or plan["victims"]:
        _summaries(app, plan)
    return code


def _switch_off(app: App, plan: Body) -> None:
    """Which hosts could be off, and what that saves as far as anybody said."""
    idle = plan["switch_off"]
    if not idle:
        return
    tell(app.say("plan.switch_off", count=len(idle), hosts=clean(", ".join(one["host"] for one in idle))))
    if plan["saves_watts"] is not None:
        tell(app.say("plan.saves", watts=plan["saves_watts"], known=sum(one["watts"] is not None for one in idle), count=len(idle)))


def _nowhere(app: App, those: list[Body]) -> None:
    for one in those[:_SHOWN]:
        tell("  " + app.say("plan.nowhere", name=clean(str(one["name"])), project=clean(str(one["project"] or "-"))))
        for rule in one["rules"]:
            tell("    " + app.say("refusal.rule", rule=clean(str(rule["text"])), count=rule["excluded"]))
    if len(those) > _SHOWN:
        tell(app.say("plan.more", count=len(those) - _SHOWN))


def _summaries(app: App, body: Body) -> None:
    """Before and after, side by side."""
    before, after = body["before"], body["after"]
    rows = [
        [app.say(f"summary.{name}"), _part(name, before[name]), _part(name, after[name])] for name in _SUMMARY if before[name] is not None
    ]
    render.table(["", app.say("summary.before"), app.say("summary.after")], rows)


_SUMMARY = ("hosts", "in_use", "largest_vcpus", "largest_memory_mib", "peak", "spread", "fits", "resilient")


def _part(name: str, value: float | bool) -> str:
    if isinstance(value, bool):
        return "✓" if value else "✗"
    return f"{value:.1%}" if name in ("peak", "spread") else f"{value:,}"


_SPARE = opt("--spare-hosts", type=click.IntRange(0, 5))

VERBS = {
    "drain": Verb(drain, (arg("host"), _SPARE)),
    "consolidate": Verb(consolidate, (arg("pool"), _SPARE)),
    "rebalance": Verb(rebalance, (arg("pool"), _SPARE)),
    "defragment": Verb(defragment, (arg("pool"), arg("flavor"), opt("--copies", type=click.IntRange(min=1)), _SPARE)),
    "preempt": Verb(
        preempt,
        (
            arg("pool"),
            arg("flavor"),
            opt("--copies", text="preempt-copies", type=click.IntRange(1, 500), default=1, show_default=True),
            opt("--priority", text="preempt-priority", type=PRIORITIES),
            _SPARE,
        ),
    ),
    "what-if": Verb(
        what_if,
        (
            opt("--lose", multiple=True, metavar="HOST"),
            opt("--add", multiple=True, metavar="HOST=N"),
            opt("--retire-arch", multiple=True, metavar="ARCH"),
            opt("--place", multiple=True, metavar="FLAVOR=N"),
            opt("--spare-hosts", text="whatif-spare-hosts", type=click.IntRange(0, 5), default=0, show_default=True),
        ),
    ),
}
