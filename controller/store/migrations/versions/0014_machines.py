"""Bare machines: what is remembered of each (its BMC can't), the runs of playbooks, and the proofs that disks were cleared.

`machines.document` is the driver's own; it is replaced by who names the version that he saw. `confirmed_at` says that the run on record
goes on. A run is written while it goes on, and is a fact once it has ended; a certificate is one from the beginning. Certificates are
signed with `cloud.signing_key` (sealed), of which `verify_key` is the public half.
"""

from alembic import op

revision = "0014"
down_revision = "0013"

CHANGES = """
CREATE TABLE machines (
    endpoint_id uuid PRIMARY KEY REFERENCES endpoints,
    document jsonb NOT NULL DEFAULT '{}',
    closed jsonb,
    version bigint NOT NULL DEFAULT 0,
    confirmed_at timestamptz NOT NULL DEFAULT now(),
    progress jsonb NOT NULL DEFAULT '{}',
    asked jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 60);

CREATE TABLE runs (
    id uuid PRIMARY KEY,
    endpoint_id uuid NOT NULL REFERENCES endpoints,
    instance_id uuid,
    project_id uuid,
    step text NOT NULL,
    playbook text NOT NULL,
    digest text NOT NULL DEFAULT '',
    state text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled', 'interrupted')),
    reason jsonb,
    tasks jsonb NOT NULL DEFAULT '[]',
    progress jsonb NOT NULL DEFAULT '{}',
    began_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
) WITH (fillfactor = 60);
CREATE INDEX runs_endpoint ON runs (endpoint_id, id);
CREATE INDEX runs_instance ON runs (instance_id, id) WHERE instance_id IS NOT NULL;

CREATE TABLE certificates (
    id uuid PRIMARY KEY,
    endpoint_id uuid NOT NULL REFERENCES endpoints,
    run_id uuid NOT NULL REFERENCES runs,
    instance_id uuid,
    project_id uuid,
    disk_serial text NOT NULL,
    document jsonb NOT NULL,
    signature text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX certificates_endpoint ON certificates (endpoint_id, id);
CREATE INDEX certificates_project ON certificates (project_id, id) WHERE project_id IS NOT NULL;

ALTER TABLE cloud ADD COLUMN signing_key text, ADD COLUMN verify_key text;

CREATE FUNCTION ended_runs_are_facts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'runs that have ended are facts: they are never changed or removed';
END $$;
CREATE TRIGGER ended_runs_are_facts BEFORE UPDATE OR DELETE ON runs
    FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION ended_runs_are_facts();
CREATE FUNCTION certificates_are_facts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'certificates are facts: they are never changed or removed';
END $$;
CREATE TRIGGER certificates_are_facts BEFORE UPDATE OR DELETE OR TRUNCATE ON certificates
    FOR EACH STATEMENT EXECUTE FUNCTION certificates_are_facts();
"""


def upgrade() -> None:
    """Make them."""
    op.get_bind().exec_driver_sql(CHANGES)
