"""A look that is older than a machine's journal changes nothing of its host, so why that is closed needn't be kept beside the journal."""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Take it away."""
    op.get_bind().exec_driver_sql("ALTER TABLE machines DROP COLUMN closed")
