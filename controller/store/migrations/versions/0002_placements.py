"""Placements: what the scheduler decided for each item of a request, and why; kept as facts."""

from alembic import op

revision = "0002"
down_revision = "0001"

# `record` has counts and names as they were then: hosts, pools and flavors may be long gone when somebody asks.
TABLES = """
CREATE TABLE placements (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    request_id uuid,
    item integer NOT NULL,
    actor text NOT NULL,
    placed boolean NOT NULL,
    record jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX placements_request ON placements (request_id, item);
CREATE INDEX placements_project ON placements (project_id, id);
CREATE INDEX placements_refused ON placements (project_id, id) WHERE NOT placed;
CREATE INDEX placements_refused_age ON placements (created_at) WHERE NOT placed;
"""


def upgrade() -> None:
    """Make them."""
    op.get_bind().exec_driver_sql(TABLES)
