"""Events, and how the controller is."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from controller.api.answers.base import AT, ID, Out


class EventOut(Out):
    """One past fact about one object. `id` is the cursor to go on from."""

    id: str = Field(examples=["1042.77"])
    at: datetime = Field(examples=[AT])
    kind: str = Field(examples=["instance.active"])
    object_kind: str = Field(examples=["instance"])
    object_id: str = Field(examples=[ID])
    object_name: str = Field(examples=["web-1"])
    project: str | None = Field(examples=["hubei/health"])
    actor: str = Field(examples=["zhang"])
    text: str = Field(examples=["web-1 is active."])
    details: dict[str, Any] = Field(examples=[{"flavor": "small"}])


class HealthOut(Out):
    """The controller's own state."""

    status: Literal["ok"]
