"""The authority that hypervisors and the controller know each other by, and the controller's own certificate; their keys are sealed.

In the database, since all controllers on it are one client to the hypervisors. Which authority signs follows from their ages alone.
"""

from alembic import op

revision = "0015"
down_revision = "0014"

CHANGES = """
CREATE TABLE trust (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('authority', 'client')),
    certificate text NOT NULL,
    sealed_key text NOT NULL,
    begins timestamptz NOT NULL,
    ends timestamptz NOT NULL CHECK (ends > begins)
);
"""


def upgrade() -> None:
    """Make it."""
    op.get_bind().exec_driver_sql(CHANGES)
