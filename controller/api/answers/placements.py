"""Why something is where it is, or nowhere."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from controller.api.answers.base import AT, ID, Out
from controller.api.answers.requests import InstanceOut
from controller.api.answers.state import EventOut


class MissOut(Out):
    """A host, the rules that it fails, and how much it has too little of; no rules where it would do."""

    host: str = Field(examples=["kvm-02"])
    rules: list[dict[str, Any]] = Field(examples=[[{"rule": "vcpus", "text": "have too few free vCPUs"}]])
    short: dict[str, int | float] = Field(description="Of GPUs in parts of one.", examples=[{"vcpus": 2}])


class PlacementOut(Out):
    """What the scheduler decided for one item of a request, and why, as the fleet was then. Hosts are named to operators alone."""

    id: str = Field(examples=[ID])
    project: str = Field(examples=["hubei/health"])
    request_id: str | None = Field(description="Null where it was refused.", examples=[ID])
    actor: str = Field(description="Who asked.", examples=["zhang"])
    placed: bool
    names: list[str] = Field(description="Of the instances asked for.", examples=[["web-1", "web-2"]])
    flavor: str = Field(examples=["small"])
    asked: dict[str, Any] = Field(
        description="`expected_days`: on how many of the 14 days after it is expected to run, by what the past teaches.",
        examples=[{"arch": "x86_64", "pools": [], "zones": ["wuhan-a"], "traits": [], "spread": None, "expected_days": 11.2}],
    )
    hosts: int = Field(description="Hosts looked at.", examples=[1000])
    fits: int = Field(description="Those that passed every rule.", examples=[18])
    room: int | None = Field(
        description="Where only some of several would find a place: how many; `rules` tells what stopped the next.", examples=[None]
    )
    rules: list[dict[str, Any]] = Field(
        description="In order: hosts that pass all rules before this one, and fail it.",
        examples=[[{"rule": "zone", "excluded": 863, "text": "are in another zone"}]],
    )
    chosen: list[str] | None = Field(description="The hosts given, one for each name.", examples=[None])
    given: list[dict[str, Any]] | None = Field(
        description="The `gpus` and `numa_nodes` given there, for each name, as the host's list has them; null where none were asked for.",
        examples=[[{"gpus": ["0000:41:00.0"], "numa_nodes": [0]}]],
    )
    promised: bool = Field(description="Whether any has a place that others leave by its start; `fits` counts those free at once.")
    after: list[str] | None = Field(description="Whose places were promised, for when they have gone.", examples=[None])
    best: list[dict[str, Any]] | None = Field(
        description="The best of those that fit: `points`, and in them `kept_days`, for which it alone is expected to keep the host from"
        " running empty, and `minus`: what it costs that the host is `off`, the order of its `pool`, and each `licence` nobody asked for.",
        examples=[None],
    )
    nearest: list[MissOut] | None = Field(description="Some that did not fit.", examples=[None])
    preempted: list[str] | None = Field(description="Who made way, where anybody did.", examples=[None])
    at: datetime = Field(examples=[AT])


class WhyOut(Out):
    """Why an instance is where and as it is."""

    instance: InstanceOut
    text: str = Field(examples=["web-1 is active."])
    placement: PlacementOut | None = Field(description="The decision that put it where it began.")
    not_there: MissOut | None = Field(description="What stands between it and the host that was asked about, as things are now.")
    events: list[EventOut]
