"""Which hosts are on; pools whose hosts may be woken, the order in which they are filled, what is licensed there."""

from alembic import op

revision = "0012"
down_revision = "0010"

# What a driver sees wins over what an operator says; `idle_watts`: what the host draws with nothing on it, null where nobody says.
CHANGES = """
ALTER TABLE hosts ADD COLUMN power_seen text NOT NULL DEFAULT 'unknown' CHECK (power_seen IN ('on', 'off', 'unknown'));
ALTER TABLE hosts ADD COLUMN power_told text NOT NULL DEFAULT 'unknown' CHECK (power_told IN ('on', 'off', 'unknown'));
ALTER TABLE hosts ADD COLUMN power text NOT NULL GENERATED ALWAYS AS
    (CASE WHEN power_seen <> 'unknown' THEN power_seen ELSE power_told END) STORED;
ALTER TABLE hosts ADD COLUMN idle_watts integer CHECK (idle_watts BETWEEN 0 AND 100000);
ALTER TABLE pools ADD COLUMN fill_order integer NOT NULL DEFAULT 0 CHECK (fill_order BETWEEN 0 AND 100);
ALTER TABLE pools ADD COLUMN licences text[] NOT NULL DEFAULT '{}';
ALTER TABLE pools ADD COLUMN may_wake boolean NOT NULL DEFAULT false;
"""


def upgrade() -> None:
    """Add them."""
    op.get_bind().exec_driver_sql(CHANGES)
