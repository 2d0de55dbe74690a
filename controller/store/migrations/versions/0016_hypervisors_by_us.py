"""Bare machines that the controller makes hypervisors: of which pool, as whom its playbooks call the API, and its key for their systems.

`instances.hypervisor`: the pool. `machines.asked_by`: who asked last, by what was asked. `cloud.login_key` is sealed, `login_public` its
public half, as OpenSSH writes it.
"""

from alembic import op

revision = "0016"
down_revision = "0015"

CHANGES = """
ALTER TABLE instances ADD COLUMN hypervisor text;
ALTER TABLE machines ADD COLUMN asked_by jsonb NOT NULL DEFAULT '{}';
ALTER TABLE cloud ADD COLUMN login_key text, ADD COLUMN login_public text;
"""


def upgrade() -> None:
    """Add them."""
    op.get_bind().exec_driver_sql(CHANGES)
