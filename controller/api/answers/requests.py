"""Requests and the instances that come of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from controller.api.answers.base import AT, ID, Identified, Out, ReasonOut, Shaped


class DecisionOut(Out):
    """How a request was decided; by nobody: by the project's policy."""

    by: str | None = Field(examples=["li"])
    at: datetime | None = Field(examples=[AT])
    reason: str | None = Field(examples=["within this year's budget"])


class RequestOut(Identified):
    """An application for computing."""

    project: str = Field(examples=["hubei/health"])
    state: Literal["pending", "approved", "refused", "expired", "cancelled"]
    priority: Literal["batch", "normal", "critical"]
    reason: str = Field(examples=["挂号系统上线"])
    term_days: int | None = Field(examples=[365])
    ends: bool = Field(description="Its instances are given back at the end of the term.", examples=[False])
    starts_at: datetime | None = Field(description="When its instances begin; null: when it is approved.", examples=[None])
    items: list[dict[str, Any]] = Field(
        description="As handed in, but for user data, which may hold secrets: only its size (`user_data_bytes`) is told; of a container's"
        " secrets the names.",
        examples=[[{"kind": "vm", "name": "web", "flavor": "small", "image": "debian-12", "count": 3, "user_data_bytes": 412}]],
    )
    instances: list[str] = Field(examples=[[ID]])
    decision: DecisionOut | None
    expires_at: datetime | None = Field(description="When what it holds is let go, unless it is decided before.", examples=[AT])
    created_by: str = Field(examples=["zhang"])


class InstanceOut(Shaped):
    """What a project has running.

    `goal` was asked, `state` is recorded, `condition` was last seen (`unknown`: its host does not answer).
    """

    name: str = Field(examples=["web-1"])
    project: str = Field(examples=["hubei/health"])
    kind: str = Field(examples=["vm"])
    flavor: str = Field(examples=["small"])
    image: str | None = Field(description="Null where it was adopted, and nobody knows.", examples=["debian-12"])
    container: dict[str, Any] | None = Field(description="What it runs, as asked for; of secrets only the names.", examples=[None])
    arch: str = Field(examples=["x86_64"])
    goal: Literal["running", "stopped", "gone"]
    state: Literal["pending", "building", "active", "stopped", "migrating", "deleting", "deleted", "error"] = Field(examples=["active"])
    condition: Literal["running", "stopped", "busy", "absent", "failed", "finished", "unknown"]
    reason: ReasonOut | None = Field(examples=[None])
    host: str | None = Field(description="For operators; null for others.", examples=[None])
    zone: str = Field(examples=["wuhan-a"])
    addresses: list[str] = Field(examples=[["192.168.150.17"]])
    protected: bool
    priority: Literal["batch", "normal", "critical"]
    preemptible: bool = Field(description="It agreed to be deleted when a request of a higher class needs its place.")
    hypervisor: str | None = Field(description="The pool that it joins, or has joined, as a hypervisor.", examples=[None])
    adopted: str | None = Field(
        description="For operators: the id that its backend gave what it was adopted from; null: it was made by us.", examples=[None]
    )
    disowned: bool = Field(description="It is being given back to its backend's people, or was, and goes on there.", examples=[False])
    request_id: str = Field(examples=[ID])
    observed_generation: int = Field(
        description="The newest generation that has come to an end; when it equals `generation`, nothing is under way.", examples=[1]
    )
    since: datetime = Field(description="Since when it is in this state.", examples=[AT])
    starts_at: datetime | None = Field(description="When it begins, where that was asked for; built then.", examples=[None])
    term_ends_at: datetime | None = Field(examples=[AT])
    ends: bool = Field(description="It is given back, that is deleted, at the end of its term, unless it is protected.", examples=[False])
