"""What enters of plans and what-ifs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from controller.api.fields import In, Int, Name, Priority, Reference


class PlanIn(In):
    """What is to be planned; nothing is done: `{"kind": "drain", "host": "kvm-01"}`, or one of the others for a pool."""

    kind: Literal["drain", "consolidate", "rebalance", "defragment", "preempt"] = Field(examples=["rebalance"])
    host: Reference | None = Field(None, description="The host to be emptied, for `drain` alone.", examples=[None])
    pool: Reference | None = Field(None, description="The pool, for all others.", examples=["general"])
    flavor: Reference | None = Field(
        None,
        description="What is to fit more often, for `defragment`; what is to find a place, for `preempt`; else what copies are counted of.",
        examples=["large"],
    )
    copies: Int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="How many more of it are enough, for `defragment`; how many are to find a place, all or none, for `preempt`.",
        examples=[10],
    )
    priority: Priority = Field("critical", description="The class of what is to find a place, for `preempt`.")
    spare_hosts: Int | None = Field(
        None,
        ge=0,
        le=5,
        description="So many hosts of the pool may be lost at any moment, and all is restarted; as many as the pool keeps, if left out.",
        examples=[1],
    )


class MoreIn(In):
    """Hosts to be added."""

    like: Reference = Field(examples=["kvm-01"])
    count: Int = Field(1, ge=1, le=10_000, examples=[5])


class PlaceIn(In):
    """Instances to be placed, all or none."""

    flavor: Reference = Field(examples=["large"])
    count: Int = Field(1, ge=1, le=1000, examples=[10])
    arch: Name | None = Field(None, examples=["aarch64"])
    zone: Name | None = Field(None, examples=["wuhan-a"])
    pool: Name | None = Field(None, examples=["general"])


class WhatIfIn(In):
    """What might happen, all of it together."""

    lose: list[Reference] = Field([], max_length=10_000, description="Hosts that are lost.", examples=[["kvm-01"]])
    add: list[MoreIn] = Field([], max_length=100)
    retire: list[Name] = Field([], max_length=20, description="Architectures whose hosts go.", examples=[["aarch64"]])
    place: list[PlaceIn] = Field([], max_length=100)
    spare_hosts: Int = Field(0, ge=0, le=5, description="Whether so many hosts of each pool could be lost is told as well.", examples=[1])
