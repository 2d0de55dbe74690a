"""Users, roles and tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from controller.api.answers.base import AT, ID, Identified, Out


class RoleOut(Out):
    """A role that a user has on a project."""

    user: str = Field(examples=["zhang"])
    role: Literal["member", "approver", "operator", "admin", "auditor"]
    project: str = Field(examples=["hubei/health"])


class UserOut(Identified):
    """A user."""

    name: str = Field(examples=["zhang"])
    display_name: str = Field(examples=["张工"])
    disabled: bool = Field(examples=[False])


class TokenOut(Out):
    """A token, without its text."""

    id: str = Field(examples=[ID])
    name: str = Field(examples=["laptop"])
    expires_at: datetime = Field(examples=[AT])
    revoked_at: datetime | None = Field(None, examples=[None])
    created_at: datetime = Field(examples=[AT])


class NewTokenOut(TokenOut):
    """A new token, with its text: it is shown only here."""

    token: str = Field(examples=["ct_…"])


class WhoOut(Out):
    """Who calls."""

    user: dict[str, str] = Field(examples=[{"id": ID, "name": "zhang"}])
    roles: list[dict[str, str]] = Field(examples=[[{"project": "hubei/health", "role": "member"}]])
    token: TokenOut | None
