"""Plans as operators read them: names instead of ids, sentences instead of codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from controller.messages import render
from controller.model.views import Reader
from scheduler.plans.preempting import Preemption
from scheduler.plans.types import Plan, Resident, Summary, Survival
from scheduler.plans.whatif import Outcome
from scheduler.types import NoValidHost

Row = Mapping[str, Any]
_MOST = 1000
_PERCENT = 100


def plan(
    kind: str, what: str, made: Plan, who: Mapping[str, Row], host: Callable[[str], str], watts: Mapping[str, int | None], reader: Reader
) -> dict[str, Any]:
    """A plan. `what`: the host or pool that it is about; `who`: rows by key; `host`: a host's name by its id; `watts`: its draw, idle."""
    known = [drawn for one in made.idle if (drawn := watts.get(one)) is not None]
    moves = [
        {"step": one.step, **_named(one.key, who), "source": host(one.source), "target": host(one.target)}
        for one in made.moves
    ]  # fmt: skip
    told = {
        "what": what,
        "count": len(moves),
        "benefit": round(made.benefit),
        "unsolvable": len(made.unsolvable),
        "peak": round(made.before.peak * _PERCENT),
        "then": round(made.after.peak * _PERCENT),
        "victims": len(made.victims),
        "places": len(made.places),
    }
    return {
        "kind": kind,
        "reason": made.reason,
        "text": render(f"plan.{kind if made.reason == 'done' else made.reason}", told, reader.lang),
        "benefit": round(made.benefit, 4),
        "moves": moves,
        "before": _summary(made.before),
        "after": _summary(made.after),
        "unsolvable": [_nowhere(key, refusal, who, reader) for key, refusal in made.unsolvable[:_MOST]],
        "lacks": [_lack(one, host) for one in made.lacks],
        "victims": victims(made.victims, who),
        "places": [host(where) for _, where in made.places],
        "switch_off": [{"host": host(one), "watts": watts.get(one)} for one in made.idle],
        "saves_watts": sum(known) if known else None,
    }


def victims(of: Sequence[Resident], who: Mapping[str, Row]) -> list[dict[str, Any]]:
    """Those who are preempted, with what each frees; rows as `store.residents` has them."""
    return [
        {
            **_named(one.key, who),
            "host": who[one.key]["host"],
            "priority": who[one.key]["priority"],
            "frees": {name: amount for name, amount in asdict(one.item.resources).items() if amount},
        }
        for one in of
    ]


def preemption(found: Preemption, who: Mapping[str, Row], host: Callable[[str], str], reader: Reader) -> dict[str, Any]:
    """That there would be room by preempting; for operators also who would go, and where the newcomers would be."""
    if not reader.fleet:
        return {"text": render("preemption.would_do", {}, reader.lang), "victims": None, "places": None}
    return {
        "text": render("preemption.of", {"victims": len(found.victims)}, reader.lang),
        "victims": victims(found.victims, who),
        "places": [host(to.host_id) for to in found.placements],
    }


def outcome(of: Outcome, flavors: list[str], who: Mapping[str, Row], reader: Reader) -> dict[str, Any]:
    """What would be. `flavors`: of what was asked for, in order."""
    refused = [
        {"id": None, "name": flavors[number], "project": None, "host": None, "rules": _rules(refusal, reader)}
        for number, refusal in of.refused
    ]
    return {
        "restarted": len(of.restarted),
        "stranded": [_nowhere(key, refusal, who, reader) for key, refusal in of.stranded[:_MOST]],
        "stranded_count": len(of.stranded),
        "placed": len(of.approved),
        "refused": refused,
        "before": _summary(of.before),
        "after": _summary(of.after),
    }


def _named(key: str, who: Mapping[str, Row]) -> dict[str, Any]:
    if key not in who:  # it does not exist yet
        return {"id": None, "name": key, "project": None}
    return {"id": who[key]["instance_id"] or key, "name": who[key]["name"], "project": who[key]["path"]}


def _nowhere(key: str, refusal: NoValidHost, who: Mapping[str, Row], reader: Reader) -> dict[str, Any]:
    return {**_named(key, who), "host": who[key]["host"] if key in who else None, "rules": _rules(refusal, reader)}


def _rules(refusal: NoValidHost, reader: Reader) -> list[dict[str, Any]]:
    return [{"rule": one.rule, "excluded": one.excluded, "text": render(f"rule.{one.rule}", {}, reader.lang)} for one in refusal.rules]


def _lack(of: Survival, host: Callable[[str], str]) -> dict[str, Any]:
    short = {name: amount for name, amount in asdict(of.short).items() if amount}
    return {"pool": of.pool, "hosts": [host(one) for one in of.lost], "certain": of.certain, "short": short}


def _summary(of: Summary) -> dict[str, Any]:
    return {**asdict(of), "peak": round(of.peak, 4), "spread": round(of.spread, 4)}
