"""What a request that found no room may be offered: the catalogue's other flavors, and of all changes those that N+k lets be.

In: the draft and the unit that was refused. Out: `refusals.Offers`. A department can't ask for a size that no flavor has, so that what it
can send again is another flavor: of the same kind, with room for the same image, and larger in nothing, which keeps it within the limits
and bounds that held for the first. Rejected: sizes in requests (the catalogue is the operators'), and proving N+k for every step of a
search (a tenth of a second each, under locks: only what was found is proved).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from controller import errors
from controller.actions import spare
from controller.actions.draft import Draft, Row, Unit
from controller.actions.fit import check_fit
from controller.actions.refusals import Offers
from controller.model import devices
from controller.store import catalogue, fleet
from scheduler.fleet import Fleet
from scheduler.place import place
from scheduler.search import sort_of
from scheduler.types import Item, NoValidHost

_TRIED = 16  # flavors that are tried, the nearest first


def offers(conn: Connection, view: Fleet, draft: Draft, key: str, others: Sequence[Draft], advised: bool) -> Offers:
    """For a draft whose unit `key` was refused. `others`: placed before in this transaction; `advised`: N+k is proved for what is offered,
    else nothing is offered in pools that keep hosts to spare."""
    refused = next(unit for unit in draft.units if unit.id == key)
    sort = sort_of(refused.wish)
    alike = {unit.id for unit in draft.units if sort_of(unit.wish) == sort}
    near = _near(refused, catalogue.of_kind(conn, refused.flavor["kind"]))
    return Offers(
        [(flavor["name"], [_with(unit, flavor) if unit.id in alike else unit.wish for unit in draft.units]) for flavor in near[:_TRIED]],
        _stands(conn, view, draft, others, advised),
        sorted({unit.item + 1 for unit in draft.units if unit.id in alike}),
    )


def _with(unit: Unit, flavor: Row) -> Item:
    wish: dict[str, Any] = devices.wish(flavor)
    return replace(unit.wish, traits=devices.traits(unit.wish.kind, flavor), **wish)


def _near(refused: Unit, flavors: Sequence[Row]) -> list[Row]:
    """Flavors that could stand in, those first that give up the fewest demands, then the largest."""
    asked = refused.flavor
    fit = [one for one in flavors if one["id"] != asked["id"] and _no_larger(one, asked) and _boots(refused, one)]
    return sorted(fit, key=lambda one: (_given_up(one, asked), -_share(one, asked), one["name"]))


def _no_larger(one: Row, asked: Row) -> bool:
    return all(one[name] <= asked[name] for name in devices.SIZES) and devices.gpus(one) <= devices.gpus(asked)


def _boots(refused: Unit, flavor: Row) -> bool:
    try:
        check_fit(refused.item, refused.wish.kind, flavor, refused.image)
    except errors.InvalidRequest:
        return False
    return True


def _given_up(one: Row, asked: Row) -> int:
    lost = [asked[name] and one[name] != asked[name] for name in ("cpu_baseline", "numa_nodes", "gpu_model")]
    return sum(map(bool, (*lost, asked["gpus"] and not one["gpus"], set(asked["traits"]) - set(one["traits"]))))


def _share(one: Row, asked: Row) -> float:
    sizes = [(one[name], asked[name]) for name in devices.SIZES[:3]] + [(float(devices.gpus(one)), float(devices.gpus(asked)))]
    return float(sum(have / want for have, want in sizes if want))


def _stands(conn: Connection, view: Fleet, draft: Draft, others: Sequence[Draft], advised: bool) -> Callable[[Sequence[Item]], bool]:
    """Whether a gang that has room may have it, as admission would see it."""
    kept = fleet.spare_pools(conn)

    def stands(gang: Sequence[Item]) -> bool:
        if not kept:
            return True
        wishes = {wish.key: wish for wish in gang}
        units = [replace(unit, wish=wishes[unit.id]) for unit in draft.units if unit.id in wishes]
        trial = replace(draft, units=units, elsewhere=None)
        if advised:
            results = spare.places(conn, view, [trial], others, lambda: place(view, [trial.wishes()]))
            return not isinstance(results[0], NoValidHost)
        (result,) = place(view, [gang])
        return not isinstance(result, NoValidHost) and not any(view.labels(to.host_id).pool in kept for to in result)

    return stands
