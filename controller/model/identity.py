"""Who may do what: roles on a subtree of projects.

A role on a project holds for everything below it. What a role allows is one literal table. Things that belong to no project (hosts, pools,
endpoints, the catalogue) take the role on a *root* of the tree.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What somebody is on a subtree."""

    MEMBER = "member"
    APPROVER = "approver"
    OPERATOR = "operator"
    ADMIN = "admin"
    AUDITOR = "auditor"


class Right(StrEnum):
    """What an endpoint of the API needs."""

    READ = "read"  # see the project and what it owns
    USE = "use"  # hand in requests, act on instances
    DECIDE = "decide"  # approve and refuse requests
    SET_UP = "set_up"  # projects below, their policies, limits and roles
    PEOPLE = "people"  # users and tokens (on a root)
    OPERATE = "operate"  # hosts, pools, endpoints, the catalogue (on a root)
    SEE_FLEET = "see_fleet"  # hosts' names and fill (on a root)


RIGHTS: dict[Role, frozenset[Right]] = {
    Role.MEMBER: frozenset({Right.READ, Right.USE}),
    Role.APPROVER: frozenset({Right.READ, Right.DECIDE}),
    Role.OPERATOR: frozenset({Right.READ, Right.OPERATE, Right.SEE_FLEET}),
    Role.ADMIN: frozenset({Right.READ, Right.USE, Right.SET_UP, Right.PEOPLE, Right.OPERATE, Right.SEE_FLEET}),
    Role.AUDITOR: frozenset({Right.READ, Right.SEE_FLEET}),
}


@dataclass(frozen=True, slots=True)
class Grant:
    """One role on one project; `root` where that project has no parent."""

    project_id: str
    path: str
    role: Role
    root: bool


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody who showed a valid token."""

    user_id: str
    name: str
    token_id: str
    grants: tuple[Grant, ...]

    def may(self, right: Right, ancestors: Iterable[str]) -> bool:
        """Whether the right holds on a project, given by its ancestors (itself included)."""
        above = set(ancestors)
        return any(grant.project_id in above and right in RIGHTS[grant.role] for grant in self.grants)

    def may_overall(self, right: Right) -> bool:
        """Whether the right holds on a whole tree: for things that belong to no project."""
        return any(grant.root and right in RIGHTS[grant.role] for grant in self.grants)

    def tops(self, right: Right) -> tuple[str, ...]:
        """The projects below and at which the right holds."""
        return tuple(sorted({grant.project_id for grant in self.grants if right in RIGHTS[grant.role]}))
