"""Hosts that are to be switched on or off by their BMCs: what was asked for and did not take effect yet.

`fences`: the host that this is about, which is on the same machine and silent: it is switched off for that host's sake alone.
"""

from alembic import op

revision = "0017"
down_revision = "0016"

CHANGES = """
CREATE TABLE switching (
    host_id uuid PRIMARY KEY REFERENCES hosts,
    wanted text NOT NULL CHECK (wanted IN ('on', 'off')),
    fences uuid REFERENCES hosts CHECK (fences IS NULL OR wanted = 'off'),
    asked_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX switching_fences ON switching (fences) WHERE fences IS NOT NULL;
"""


def upgrade() -> None:
    """Make it."""
    op.get_bind().exec_driver_sql(CHANGES)
