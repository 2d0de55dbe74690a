"""How machines of a pool are cleared, and those made that become hypervisors of it; and one column less.

A look that is older than a machine's journal changes nothing of its host, so why that is closed needn't be kept beside the journal.
"""

from alembic import op

revision = "0018"
down_revision = "0017"

CHANGES = """
ALTER TABLE pools
    ADD COLUMN wipe text NOT NULL DEFAULT '',
    ADD COLUMN hypervisor_options jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN hypervisor_bridge text NOT NULL DEFAULT '';
ALTER TABLE machines DROP COLUMN closed;
"""


def upgrade() -> None:
    """Make and remove them."""
    op.get_bind().exec_driver_sql(CHANGES)
