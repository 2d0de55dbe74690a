"""Instances that were adopted: what they are at their backend, and whether they are being given back to it.

What is adopted may have booted from anything, so its image may be unknown. The index keeps one thing from being adopted twice.
"""

from alembic import op

revision = "0019"
down_revision = "0018"

CHANGES = """
ALTER TABLE instances ADD COLUMN adopted text, ADD COLUMN disowned boolean NOT NULL DEFAULT false;
ALTER TABLE instances ADD CHECK (adopted IS NOT NULL OR NOT disowned);
ALTER TABLE instances DROP CONSTRAINT instances_check1;  -- what has an image, and what has a container: of 0010
ALTER TABLE instances ADD CHECK ((kind = 'container') = (container IS NOT NULL)
    AND (container IS NULL OR image_id IS NULL) AND (image_id IS NOT NULL OR container IS NOT NULL OR adopted IS NOT NULL));
CREATE UNIQUE INDEX instances_adopted ON instances (adopted) WHERE adopted IS NOT NULL AND state <> 'deleted';
"""


def upgrade() -> None:
    """Make them."""
    op.get_bind().exec_driver_sql(CHANGES)
