"""Containers: what they run in place of an image; endpoints with credentials; hosts whose backend names a zone, or wants nothing new."""

from alembic import op

revision = "0010"
down_revision = "0009"

CHANGES = """
ALTER TABLE instances ALTER COLUMN image_id DROP NOT NULL;
ALTER TABLE instances ADD COLUMN container jsonb;
ALTER TABLE instances ADD CHECK ((kind = 'container') = (image_id IS NULL) AND (image_id IS NULL) = (container IS NOT NULL));
ALTER TABLE endpoints ADD COLUMN credentials text NOT NULL DEFAULT '';
ALTER TABLE hosts ADD COLUMN own_zone text NOT NULL DEFAULT '', ADD COLUMN closed jsonb,
    ADD COLUMN draining boolean NOT NULL DEFAULT false;
CREATE INDEX hosts_own_zone ON hosts (own_zone) WHERE own_zone <> '';
ALTER TABLE hosts DROP CONSTRAINT hosts_state_check;
ALTER TABLE hosts ADD CONSTRAINT hosts_state_check CHECK (state IN ('up', 'unreachable', 'fenced', 'retired'));
"""


def upgrade() -> None:
    """Make it."""
    op.get_bind().exec_driver_sql(CHANGES)
