"""How many hosts of a pool may be lost at once, with all that they run restarted on the others (N+k)."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add it."""
    op.get_bind().exec_driver_sql("ALTER TABLE pools ADD COLUMN spare_hosts integer NOT NULL DEFAULT 0 CHECK (spare_hosts BETWEEN 0 AND 5)")
