"""Which machine a host is: one that is enrolled by two addresses would count twice."""

from alembic import op

revision = "0009"
down_revision = "0008"

CHANGES = """
ALTER TABLE hosts ADD COLUMN machine text NOT NULL DEFAULT '';
CREATE UNIQUE INDEX hosts_machine ON hosts (machine) WHERE machine <> '' AND state <> 'retired';
"""


def upgrade() -> None:
    """Make it."""
    op.get_bind().exec_driver_sql(CHANGES)
