"""Plans, and what would be if."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from controller.api.answers.base import ID, Out, VictimOut


class MoveOut(Out):
    """One live migration. Moves of one step start together; each step begins when the one before has ended."""

    step: int = Field(examples=[0])
    id: str = Field(description="Of the instance, or of what a request holds.", examples=[ID])
    name: str = Field(examples=["web-1"])
    project: str = Field(examples=["hubei/health"])
    source: str = Field(examples=["kvm-01"])
    target: str = Field(examples=["kvm-02"])


class SummaryOut(Out):
    """Hosts at a glance."""

    hosts: int = Field(description="That take new instances.", examples=[40])
    in_use: int = Field(description="With anything on them.", examples=[31])
    largest_vcpus: int = Field(description="The most that one host has free.", examples=[120])
    largest_memory_mib: int = Field(examples=[524288])
    fill_mean: dict[str, float] = Field(description="Used / capacity, by resource.", examples=[{"vcpus": 0.61, "memory_mib": 0.58}])
    fill_max: dict[str, float] = Field(examples=[{"vcpus": 0.97, "memory_mib": 0.9}])
    peak: float = Field(description="The fullest host, by the fuller of vCPUs and memory.", examples=[0.97])
    spread: float = Field(description="The standard deviation of that over hosts.", examples=[0.17])
    fits: int | None = Field(description="How many more of the flavor fit, where one was named.", examples=[12])
    resilient: bool | None = Field(description="Whether the spare hosts asked for are there.", examples=[True])


class NowhereOut(Out):
    """Somebody without a place, and why: hosts left out by each rule."""

    id: str | None = Field(description="Null for what does not exist yet.", examples=[ID])
    name: str = Field(examples=["web-1"])
    project: str | None = Field(examples=["hubei/health"])
    host: str | None = Field(examples=["kvm-01"])
    rules: list[dict[str, Any]] = Field(examples=[[{"rule": "vcpus", "excluded": 39, "text": "have too few free vCPUs"}]])


class LackOut(Out):
    """A pool that could not lose so many hosts."""

    pool: str = Field(examples=["general"])
    hosts: list[str] = Field(description="Whose loss is not covered.", examples=[["kvm-01"]])
    certain: bool = Field(description="False: no way was found, though there may be one.")
    short: dict[str, int] = Field(description="What is lacking even if all that is free were in one piece.", examples=[{"vcpus": 32}])


class IdleOut(Out):
    """A host that could be switched off. Nobody switches it."""

    host: str = Field(examples=["kvm-01"])
    watts: int | None = Field(description="`idle_watts` of the host.", examples=[180])


class PlanOut(Out):
    """What should move where, or who should make way. Nothing has been done."""

    kind: Literal["drain", "consolidate", "rebalance", "defragment", "preempt"]
    reason: Literal["done", "nothing_to_move", "no_beneficial_move", "unsolvable", "not_resilient", "fits", "no_room"]
    text: str = Field(examples=["12 instances move off kvm-01."])
    benefit: float = Field(examples=[12.0])
    moves: list[MoveOut]
    before: SummaryOut
    after: SummaryOut
    unsolvable: list[NowhereOut]
    lacks: list[LackOut]
    victims: list[VictimOut] = Field(description="Who is preempted, for `preempt`.")
    places: list[str] = Field(description="The hosts that take what comes instead, one for each copy.", examples=[["kvm-01"]])
    switch_off: list[IdleOut] = Field(description="For `consolidate`: hosts that are on and empty at its end, and not needed to spare.")
    saves_watts: int | None = Field(
        description="What those draw with nothing on them, of which it is known; null: of none it is.", examples=[360]
    )


class WhatIfOut(Out):
    """What would be. Nothing has been done."""

    restarted: int = Field(description="Of those whose hosts are gone, that find another.", examples=[310])
    stranded: list[NowhereOut] = Field(description="Those that do not; a thousand at most.")
    stranded_count: int = Field(examples=[0])
    placed: int = Field(description="Of the instances asked for.", examples=[10])
    refused: list[NowhereOut] = Field(description="Of what was asked for, that finds no place; named by its flavor.")
    before: SummaryOut
    after: SummaryOut
