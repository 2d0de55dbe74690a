"""What is behind an endpoint and isn't ours."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from controller.api.answers.base import AT, ID, Error, Out, ReasonOut


class ForeignOut(Out):
    """Something that bears no mark of ours, as its backend tells of it."""

    id: str = Field(description="Its backend's.", examples=[ID])
    name: str = Field(examples=["Web server"])
    status: str = Field(description="In its backend's words.", examples=["active"])
    power: Literal["running", "stopped"] | None
    host: str = Field(examples=["c0001"])
    group: str = Field(description="Whose it is there: of OpenStack its project's id.", examples=["6f1f2b0c5f1e4d6a9b1c2d3e4f5a6b7c"])
    vcpus: int = Field(examples=[2])
    memory_mib: int = Field(examples=[4096])
    disk_gib: int = Field(examples=[40])
    flavor: str = Field(description="How its size is called there.", examples=["m1.medium"])
    image: str = Field(description="What it booted from, as that is called there; its id where it has no name.", examples=["ubuntu-22.04"])
    addresses: list[str] = Field(examples=[["10.0.0.17"]])
    created_at: datetime | None = Field(examples=[AT])
    counts: dict[str, int] = Field(
        description="What it would count against limits.",
        examples=[{"instances": 1, "vcpus": 2, "memory_mib": 4096, "disk_gib": 40}],
    )
    obstacle: ReasonOut | None = Field(description="Why it can't be adopted as it is.", examples=[None])
    fits: bool | None = Field(
        description="Whether the limits of the project that was named leave that; null: none was named.", examples=[True]
    )
    refusal: Error | None = Field(description="What adopting it would be refused with, for want of quota.", examples=[None])
