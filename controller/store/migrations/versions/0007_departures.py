"""Departures: when instances ended, the latest found without looking at all of them."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make it."""
    op.get_bind().exec_driver_sql("CREATE INDEX instances_departed ON instances (deleted_at) WHERE deleted_at IS NOT NULL")
