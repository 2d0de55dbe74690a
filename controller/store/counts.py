"""Sums of the whole cloud, for metrics. Each reads an index or a table that does not grow with the number of instances at rest."""

from __future__ import annotations

from sqlalchemy import Connection

from controller.store import sql

Found = dict[str, tuple[str, str, dict[str, float]]]
"""By name: a text, the label's name, and values by label."""


def gather(conn: Connection) -> Found:
    """All of them."""
    return {
        "instances_unsettled": (
            "Instances that are neither active nor deleted, by state.",
            "state",
            _by(conn, "SELECT state AS k, count(*) AS v FROM instances WHERE state NOT IN ('active', 'deleted') GROUP BY 1"),
        ),
        "instances_used": (
            "Instances that count, by root project.",
            "project",
            _by(
                conn,
                "SELECT p.path AS k, sum(u.instances) AS v FROM usage u JOIN projects p ON p.id = u.project_id"
                " WHERE p.parent_id IS NULL GROUP BY 1",
            ),
        ),
        "hosts": ("Hosts, by state.", "state", _by(conn, "SELECT state AS k, count(*) AS v FROM hosts GROUP BY 1")),
        "endpoints": ("Endpoints, by state.", "state", _by(conn, "SELECT state AS k, count(*) AS v FROM endpoints GROUP BY 1")),
        "requests_pending": (
            "Requests that wait for a decision.",
            "state",
            _by(conn, "SELECT 'pending' AS k, count(*) AS v FROM requests WHERE state = 'pending'"),
        ),
        "overdue": (
            "Instances past their deadline.",
            "what",
            _by(conn, "SELECT 'instances' AS k, count(*) AS v FROM instances WHERE deadline_at < now()"),
        ),
        "vcpus": (
            "vCPUs of all hosts that are up and not switched off: what they may promise, and have promised.",
            "what",
            _by(
                conn,
                "SELECT 'capacity' AS k, coalesce(sum(vcpus), 0) AS v FROM hosts WHERE state = 'up' AND power <> 'off'"
                " UNION ALL SELECT 'used', coalesce(sum(used_vcpus), 0) FROM hosts WHERE state = 'up' AND power <> 'off'",
            ),
        ),
    }


def _by(conn: Connection, query: str) -> dict[str, float]:
    return {row["k"]: float(row["v"]) for row in sql.rows(conn, query)}
