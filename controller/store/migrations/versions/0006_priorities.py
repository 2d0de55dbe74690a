"""Priority classes of requests and instances, who agreed to be preempted and was, and what a project's policy allows of both."""

from alembic import op

revision = "0006"
down_revision = "0005"

# `max_priority`, `may_preempt` of a project: null where that of the nearest project above holds. `preempted_for`: the request that was
# given the place of an instance; its own instances are not built before those are gone.
CHANGES = """
ALTER TABLE projects ADD COLUMN max_priority text CHECK (max_priority IN ('batch', 'normal', 'critical'));
ALTER TABLE projects ADD COLUMN may_preempt boolean;
ALTER TABLE requests ADD COLUMN priority text NOT NULL DEFAULT 'normal' CHECK (priority IN ('batch', 'normal', 'critical'));
ALTER TABLE instances ADD COLUMN priority text NOT NULL DEFAULT 'normal' CHECK (priority IN ('batch', 'normal', 'critical'));
ALTER TABLE instances ADD COLUMN preemptible boolean NOT NULL DEFAULT false;
ALTER TABLE instances ADD COLUMN preempted_for uuid REFERENCES requests DEFERRABLE INITIALLY DEFERRED;
CREATE INDEX instances_preemptible ON instances (priority) WHERE preemptible AND goal <> 'gone';
CREATE INDEX instances_preempted ON instances (preempted_for) WHERE preempted_for IS NOT NULL AND state <> 'deleted';
"""


def upgrade() -> None:
    """Make them."""
    op.get_bind().exec_driver_sql(CHANGES)
