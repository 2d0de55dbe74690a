"""Emptying one host for good: places elsewhere for as many as find one, those of higher classes first.

In: a fleet, its residents, a host. Out: who goes where, and who finds no place and why. Unlike a drain, which is all or nothing, what
finds no place now waits for it: the host is dead or closed already, so each that is restarted is a gain. The targets are taken one after
another, members that must share a domain together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scheduler.fleet import Fleet
from scheduler.plans.scene import Scene
from scheduler.plans.types import Move, Resident
from scheduler.types import NoValidHost


@dataclass(frozen=True, slots=True)
class Evacuation:
    """`moves`: who goes where, in the order in which places were taken; `refused`: why not, by key of resident."""

    moves: tuple[Move, ...]
    refused: Mapping[str, NoValidHost]


def evacuate(fleet: Fleet, residents: Iterable[Resident], host_id: str) -> Evacuation:
    """Places for those of the host that may be moved. Raises KeyError for a host that the fleet does not know."""
    scene = Scene(fleet, residents)
    scene.close([host_id])
    leaving = [key for key in scene.running.get(host_id, ()) if scene.residents[key].movable]
    units = sorted(scene.units(leaving), key=lambda unit: -max(scene.residents[key].rank for key in unit))
    refused: dict[str, NoValidHost] = {}
    for unit in units:
        (found,) = scene.find([unit])
        if isinstance(found, NoValidHost):
            refused |= dict.fromkeys(unit, found)
        else:
            scene.shift(unit, [one.host_id for one in found])
    return Evacuation(tuple(scene.moves), refused)
