"""Projects, their policies, limits and usage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from controller.api.answers.base import ID, Identified, Out


class PolicyOut(Out):
    """How requests are decided."""

    max_priority: Literal["batch", "normal", "critical"] | None = Field(description="Null: as in the project above.")
    may_preempt: bool | None = Field(description="Null: as in the project above.")
    auto_approve: dict[str, int] | None = Field(examples=[{"instances": 3, "vcpus": 8, "memory_mib": 16384, "disk_gib": 200, "gpus": 0}])


class ProjectOut(Identified):
    """A project."""

    name: str = Field(examples=["health"])
    path: str = Field(examples=["hubei/health"])
    parent_id: str | None = Field(examples=[ID])
    description: str = Field(examples=["湖北省卫生健康委员会"])
    policy: PolicyOut
    level: int | None = Field(description="Protection level (等保定级); null: that of the project above.", examples=[3])


class QuotaRowOut(Out):
    """One limit, or one resource in use. Rows of ancestors are there only where they limit and the caller may read them."""

    project: str = Field(examples=["hubei/health"])
    kind: Literal["any", "vm", "container", "bare_metal"]
    resource: Literal["instances", "vcpus", "memory_mib", "disk_gib", "gpus"]
    limit: int | None = Field(examples=[64])
    used: int | float = Field(description="Parts of GPUs count as what they are: four quarters are one.", examples=[12])
    held: int | float = Field(description="Held by requests that wait for approval.", examples=[4])
    free: int | float | None = Field(examples=[48])


class QuotaOut(Out):
    """Limits and usage, project first, then its ancestors."""

    project: str = Field(examples=["hubei/health"])
    rows: list[QuotaRowOut]
