"""What admission works on: submissions on their way, the instances they would become, and what comes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller import errors
from controller.actions.fleet_view import FleetView
from controller.model.request import Submission
from controller.sealing import Seal
from scheduler import types as scheduler

Row = Mapping[str, Any]
NewId = Callable[[], str]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A submission that was taken: the request's and instances' rows as written, and the answer (status, JSON) to give now and again."""

    request: Row
    instances: tuple[Row, ...] = ()
    answer: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """What would happen: nothing did."""

    refusal: errors.ControllerError | None
    preemption: Mapping[str, Any] | None = None  # who would make room, as the caller may know it


Outcome = Accepted | Explained | errors.ControllerError
Render = Callable[[Submission, Accepted], tuple[int, str]]


@dataclass(slots=True)
class Draft:
    """A submission on its way: what its names mean, what it asks for, where its instances would go."""

    submission: Submission
    project: Row
    auto: bool
    request_id: str
    policy: Mapping[str, Any] = field(default_factory=dict)  # that holds for the project
    units: list[Unit] = field(default_factory=list)
    asked: dict[tuple[str, str], int] = field(default_factory=dict)
    placements: list[scheduler.Placement] = field(default_factory=list)
    records: list[Row] = field(default_factory=list)  # why there, or why not
    outcome: Outcome | None = None
    after: Mapping[str, Row] = field(default_factory=dict)  # by unit, whose place it is promised: on no host before that one has gone
    elsewhere: list[scheduler.Item] | None = None  # the wishes without pools that need the hosts they keep to spare, where that was tried

    victims: Sequence[Row] = ()  # who makes way for it

    def wishes(self) -> list[scheduler.Item]:
        """What the scheduler is asked for."""
        return self.elsewhere or [unit.wish for unit in self.units]


@dataclass(frozen=True, slots=True)
class Unit:
    """One instance-to-be."""

    id: str
    item: int
    name: str
    flavor: Row
    image: Row
    wish: scheduler.Item
    hypervisor: str | None = None  # the pool's name


@dataclass(frozen=True, slots=True)
class Admission:
    """What admission needs beside a connection."""

    view: FleetView
    new_id: NewId
    request_ttl_s: int
    build_deadline_s: int
    render: Render
    seal: Seal


def pairs(draft: Draft) -> list[tuple[Unit, scheduler.Placement]]:
    """Each instance-to-be with its place."""
    return list(zip(draft.units, draft.placements, strict=True))


def held(draft: Draft, placements: Sequence[scheduler.Placement]) -> list[tuple[scheduler.Item, scheduler.Placement]]:
    """What is asked for of hosts now, with the places for it: all but what is promised."""
    wishes = {wish.key: wish for wish in draft.wishes()}
    return [(wishes[placement.key], placement) for placement in placements if placement.key not in draft.after]
