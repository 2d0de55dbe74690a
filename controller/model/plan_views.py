"""Plans as operators read them: names instead of ids, sentences instead of codes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from controller.messages import render
from controller.model.views import Reader
from scheduler.plans.types import Plan, Summary, Survival
from scheduler.plans.whatif import Outcome
from scheduler.types import NoValidHost

Row = Mapping[str, Any]
_MOST = 1000
_PERCENT = 100


def plan(kind: str, what: str, made: Plan, who: Mapping[str, Row], host: Callable[[str], str], reader: Reader) -> dict[str, Any]:
    """A plan. `what`: the host or pool that it is about; `who`: rows by key; `host`: a host's name by its id."""
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
    return {"id": who[key]["instance_id"] or key, "name": who[key]["name"], "project": who[key]["path"]}


def _nowhere(key: str, refusal: NoValidHost, who: Mapping[str, Row], reader: Reader) -> dict[str, Any]:
    return {**_named(key, who), "host": who[key]["host"], "rules": _rules(refusal, reader)}


def _rules(refusal: NoValidHost, reader: Reader) -> list[dict[str, Any]]:
    return [{"rule": one.rule, "excluded": one.excluded, "text": render(f"rule.{one.rule}", {}, reader.lang)} for one in refusal.rules]


def _lack(of: Survival, host: Callable[[str], str]) -> dict[str, Any]:
    short = {name: amount for name, amount in asdict(of.short).items() if amount}
    return {"pool": of.pool, "hosts": [host(one) for one in of.lost], "certain": of.certain, "short": short}


def _summary(of: Summary) -> dict[str, Any]:
    return {**asdict(of), "peak": round(of.peak, 4), "spread": round(of.spread, 4)}
