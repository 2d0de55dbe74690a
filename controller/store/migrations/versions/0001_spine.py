"""The spine: projects and their ledger, people, catalogue, fleet, requests, instances, events.

Three things here are the database's own business, so that no code path can forget them:

* `usage` and the `used_*` columns of `hosts` follow `allocations` by trigger, in the same transaction and for every ancestor; they are
  counts of the ledger, not counters that a program keeps.
* every change of a host's row bumps its `generation` and notes the transaction that did it (`changed_xid`), so that a reader finds all rows
  changed since its last snapshot, late commits included.
* `events` can be added to and read, never changed.

Locks are always taken in the order usage rows (by project, kind), then hosts (by id): see `controller.actions.admit`.
"""

from alembic import op

revision = "0001"
down_revision = None

# Transaction numbers begin anew on a server that a dump is restored to; the offset (see `store.numbering`) lets ours go on growing.
NUMBERING = """
CREATE FUNCTION xid_offset() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 0::bigint';
CREATE FUNCTION this_xid() RETURNS bigint LANGUAGE sql VOLATILE
    AS 'SELECT pg_current_xact_id()::text::bigint + xid_offset()';
CREATE FUNCTION oldest_xid() RETURNS bigint LANGUAGE sql STABLE
    AS 'SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + xid_offset()';
"""

TABLES = """
CREATE TABLE cloud (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    owner uuid NOT NULL,
    sealed_sample text,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE projects (
    id uuid PRIMARY KEY,
    parent_id uuid REFERENCES projects,
    name text NOT NULL,
    path text NOT NULL UNIQUE,
    ancestors uuid[] NOT NULL,
    description text NOT NULL DEFAULT '',
    auto_approve jsonb,
    generation bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX projects_ancestors ON projects USING gin (ancestors);
CREATE INDEX projects_parent ON projects (parent_id);

CREATE TABLE limits (
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('any', 'vm', 'container', 'bare_metal')),
    resource text NOT NULL CHECK (resource IN ('instances', 'vcpus', 'memory_mib', 'disk_gib', 'gpus')),
    amount bigint NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (project_id, kind, resource)
);

CREATE TABLE usage (
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    kind text NOT NULL,
    instances bigint NOT NULL DEFAULT 0, vcpus bigint NOT NULL DEFAULT 0, memory_mib bigint NOT NULL DEFAULT 0,
    disk_gib bigint NOT NULL DEFAULT 0, gpus bigint NOT NULL DEFAULT 0,
    held_instances bigint NOT NULL DEFAULT 0, held_vcpus bigint NOT NULL DEFAULT 0, held_memory_mib bigint NOT NULL DEFAULT 0,
    held_disk_gib bigint NOT NULL DEFAULT 0, held_gpus bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (project_id, kind)
) WITH (fillfactor = 20);

CREATE TABLE users (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    display_name text NOT NULL DEFAULT '',
    disabled boolean NOT NULL DEFAULT false,
    generation bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tokens (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    name text NOT NULL,
    hash bytea NOT NULL UNIQUE,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tokens_user ON tokens (user_id);

CREATE TABLE roles (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    project_id uuid NOT NULL REFERENCES projects ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('member', 'approver', 'operator', 'admin', 'auditor')),
    PRIMARY KEY (user_id, project_id, role)
);
CREATE INDEX roles_project ON roles (project_id);

CREATE TABLE flavors (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    kind text NOT NULL,
    vcpus bigint NOT NULL, memory_mib bigint NOT NULL, disk_gib bigint NOT NULL, gpus bigint NOT NULL,
    arch text,
    traits text[] NOT NULL DEFAULT '{}',
    generation bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE images (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    arch text NOT NULL,
    format text NOT NULL CHECK (format IN ('qcow2', 'raw')),
    os text NOT NULL DEFAULT '',
    min_disk_gib bigint NOT NULL DEFAULT 0,
    min_memory_mib bigint NOT NULL DEFAULT 0,
    state text NOT NULL CHECK (state IN ('waiting', 'importing', 'ready', 'failed')),
    reason jsonb,
    url text,
    want_sha256 text,
    want_sm3 text,
    size_bytes bigint,
    virtual_size_bytes bigint,
    sha256 text,
    sm3 text,
    generation bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE pools (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    zone text NOT NULL,
    site text NOT NULL DEFAULT '',
    overcommit jsonb NOT NULL,
    reserved jsonb NOT NULL,
    generation bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE endpoints (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    driver text NOT NULL,
    uri text NOT NULL,
    options jsonb NOT NULL DEFAULT '{}',
    pool_id uuid NOT NULL REFERENCES pools,
    state text NOT NULL CHECK (state IN ('connected', 'unreachable', 'retired')),
    reason jsonb,
    since timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz,
    generation bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE hosts (
    id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    backend_name text NOT NULL,
    endpoint_id uuid NOT NULL REFERENCES endpoints,
    pool_id uuid NOT NULL REFERENCES pools,
    arch text NOT NULL,
    kinds text[] NOT NULL,
    traits text[] NOT NULL,
    notes jsonb NOT NULL DEFAULT '[]',
    inventory jsonb NOT NULL,
    vcpus bigint NOT NULL, memory_mib bigint NOT NULL, disk_gib bigint NOT NULL, gpus bigint NOT NULL,
    used_vcpus bigint NOT NULL DEFAULT 0, used_memory_mib bigint NOT NULL DEFAULT 0, used_disk_gib bigint NOT NULL DEFAULT 0,
    used_gpus bigint NOT NULL DEFAULT 0, used_instances bigint NOT NULL DEFAULT 0,
    cordoned boolean NOT NULL DEFAULT false,
    state text NOT NULL CHECK (state IN ('up', 'unreachable', 'retired')),
    generation bigint NOT NULL DEFAULT 1,
    changed_xid bigint NOT NULL DEFAULT this_xid(),
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (endpoint_id, backend_name)
) WITH (fillfactor = 50);
CREATE INDEX hosts_changed ON hosts (changed_xid);
CREATE INDEX hosts_pool ON hosts (pool_id);

CREATE TABLE requests (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects,
    created_by uuid NOT NULL REFERENCES users,
    state text NOT NULL CHECK (state IN ('pending', 'approved', 'refused', 'expired', 'cancelled')),
    reason text NOT NULL DEFAULT '',
    term_days integer,
    items jsonb NOT NULL,
    expires_at timestamptz,
    decided_by uuid REFERENCES users,
    decided_at timestamptz,
    decision_reason text,
    generation bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX requests_project ON requests (project_id, id);
CREATE INDEX requests_state ON requests (state, id) WHERE state = 'pending';
CREATE INDEX requests_expiry ON requests (expires_at) WHERE state = 'pending';

CREATE TABLE instances (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects,
    request_id uuid NOT NULL REFERENCES requests,
    created_by uuid NOT NULL REFERENCES users,
    name text NOT NULL,
    kind text NOT NULL,
    flavor text NOT NULL,
    vcpus bigint NOT NULL, memory_mib bigint NOT NULL, disk_gib bigint NOT NULL, gpus bigint NOT NULL,
    arch text NOT NULL,
    image_id uuid NOT NULL REFERENCES images,
    host_id uuid NOT NULL REFERENCES hosts,
    spread jsonb,
    user_data text NOT NULL DEFAULT '',
    ssh_keys text[] NOT NULL DEFAULT '{}',
    goal text NOT NULL CHECK (goal IN ('running', 'stopped', 'gone')),
    state text NOT NULL CHECK (state IN ('pending', 'building', 'active', 'stopped', 'migrating', 'deleting', 'deleted', 'error')),
    condition text NOT NULL DEFAULT 'absent',
    reason jsonb,
    addresses text[] NOT NULL DEFAULT '{}',
    protected boolean NOT NULL DEFAULT false,
    built integer NOT NULL DEFAULT 0,
    build integer NOT NULL DEFAULT 1,
    reboots integer NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    generation bigint NOT NULL DEFAULT 1,
    observed_generation bigint NOT NULL DEFAULT 0,
    since timestamptz NOT NULL DEFAULT now(),
    asked_at timestamptz NOT NULL DEFAULT now(),
    deadline_at timestamptz,
    due_at timestamptz,
    leased_until timestamptz,
    term_ends_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
) WITH (fillfactor = 60);
CREATE INDEX instances_project ON instances (project_id, id) WHERE state <> 'deleted';
CREATE INDEX instances_live ON instances (id) WHERE state <> 'deleted';
CREATE INDEX instances_state ON instances (state, id) WHERE state NOT IN ('active', 'deleted');
CREATE INDEX instances_host ON instances (host_id) WHERE state <> 'deleted';
CREATE INDEX instances_request ON instances (request_id);
CREATE INDEX instances_due ON instances (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX instances_deadline ON instances (deadline_at) WHERE deadline_at IS NOT NULL;

CREATE TABLE allocations (
    id uuid PRIMARY KEY,
    project_id uuid NOT NULL REFERENCES projects,
    host_id uuid NOT NULL REFERENCES hosts,
    request_id uuid NOT NULL REFERENCES requests,
    item integer NOT NULL,
    instance_id uuid REFERENCES instances,
    name text NOT NULL,
    kind text NOT NULL,
    vcpus bigint NOT NULL, memory_mib bigint NOT NULL, disk_gib bigint NOT NULL, gpus bigint NOT NULL,
    counted boolean NOT NULL DEFAULT true,
    spread_group text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX allocations_name ON allocations (project_id, name) WHERE counted;
CREATE INDEX allocations_request ON allocations (request_id);
CREATE INDEX allocations_instance ON allocations (instance_id);
CREATE INDEX allocations_host ON allocations (host_id);
CREATE INDEX allocations_group ON allocations (spread_group) WHERE spread_group IS NOT NULL;

CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid bigint NOT NULL DEFAULT this_xid(),
    at timestamptz NOT NULL DEFAULT now(),
    kind text NOT NULL,
    object_kind text NOT NULL,
    object_id uuid NOT NULL,
    object_name text NOT NULL,
    project_id uuid,
    actor text NOT NULL,
    params jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX events_order ON events (xid, id);
CREATE INDEX events_object ON events (object_id, xid, id);
CREATE INDEX events_project ON events (project_id, xid, id);

CREATE TABLE answers (
    user_id uuid NOT NULL,
    key text NOT NULL,
    fingerprint text NOT NULL,
    status integer NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);
CREATE INDEX answers_age ON answers (created_at);
"""

# Statement-level, over transition tables: one upsert per ancestor and kind, one update per host, whatever the number of rows.
ACCOUNT = """
CREATE FUNCTION allocations_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO usage AS u (project_id, kind, instances, vcpus, memory_mib, disk_gib, gpus,
                            held_instances, held_vcpus, held_memory_mib, held_disk_gib, held_gpus)
    SELECT ancestor, d.kind,
           coalesce(sum(d.sign) FILTER (WHERE NOT d.held), 0),
           coalesce(sum(d.sign * d.vcpus) FILTER (WHERE NOT d.held), 0),
           coalesce(sum(d.sign * d.memory_mib) FILTER (WHERE NOT d.held), 0),
           coalesce(sum(d.sign * d.disk_gib) FILTER (WHERE NOT d.held), 0),
           coalesce(sum(d.sign * d.gpus) FILTER (WHERE NOT d.held), 0),
           coalesce(sum(d.sign) FILTER (WHERE d.held), 0),
           coalesce(sum(d.sign * d.vcpus) FILTER (WHERE d.held), 0),
           coalesce(sum(d.sign * d.memory_mib) FILTER (WHERE d.held), 0),
           coalesce(sum(d.sign * d.disk_gib) FILTER (WHERE d.held), 0),
           coalesce(sum(d.sign * d.gpus) FILTER (WHERE d.held), 0)
      FROM ({delta}) d
      JOIN projects p ON p.id = d.project_id
     CROSS JOIN LATERAL unnest(p.ancestors) AS ancestor
     WHERE d.counted
     GROUP BY ancestor, d.kind
     ORDER BY ancestor, d.kind
    ON CONFLICT (project_id, kind) DO UPDATE SET
        instances = u.instances + excluded.instances, vcpus = u.vcpus + excluded.vcpus,
        memory_mib = u.memory_mib + excluded.memory_mib, disk_gib = u.disk_gib + excluded.disk_gib, gpus = u.gpus + excluded.gpus,
        held_instances = u.held_instances + excluded.held_instances, held_vcpus = u.held_vcpus + excluded.held_vcpus,
        held_memory_mib = u.held_memory_mib + excluded.held_memory_mib, held_disk_gib = u.held_disk_gib + excluded.held_disk_gib,
        held_gpus = u.held_gpus + excluded.held_gpus;
    PERFORM 1 FROM hosts WHERE id IN (SELECT d.host_id FROM ({delta}) d) ORDER BY id FOR NO KEY UPDATE;
    UPDATE hosts h SET
        used_vcpus = h.used_vcpus + s.vcpus, used_memory_mib = h.used_memory_mib + s.memory_mib,
        used_disk_gib = h.used_disk_gib + s.disk_gib, used_gpus = h.used_gpus + s.gpus, used_instances = h.used_instances + s.instances
      FROM (SELECT d.host_id, sum(d.sign * d.vcpus) AS vcpus, sum(d.sign * d.memory_mib) AS memory_mib,
                   sum(d.sign * d.disk_gib) AS disk_gib, sum(d.sign * d.gpus) AS gpus, sum(d.sign) AS instances
              FROM ({delta}) d GROUP BY d.host_id) s
     WHERE h.id = s.host_id AND (s.vcpus, s.memory_mib, s.disk_gib, s.gpus, s.instances) <> (0, 0, 0, 0, 0);
    RETURN NULL;
END $$;
CREATE TRIGGER allocations_{name} AFTER {event} ON allocations {referencing}
    FOR EACH STATEMENT EXECUTE FUNCTION allocations_{name}();
"""
ADDED = "SELECT 1 AS sign, n.instance_id IS NULL AS held, n.* FROM new_rows n"
TAKEN = "SELECT -1 AS sign, o.instance_id IS NULL AS held, o.* FROM old_rows o"

TRIGGERS = """
CREATE FUNCTION hosts_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.generation := OLD.generation + 1;
    NEW.changed_xid := this_xid();
    RETURN NEW;
END $$;
CREATE TRIGGER hosts_changed BEFORE UPDATE ON hosts FOR EACH ROW EXECUTE FUNCTION hosts_changed();

CREATE FUNCTION events_are_facts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are facts: they are never changed or removed';
END $$;
CREATE TRIGGER events_are_facts BEFORE UPDATE OR DELETE OR TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION events_are_facts();
"""


def upgrade() -> None:
    """Make all of it."""
    op.get_bind().exec_driver_sql(NUMBERING)
    op.get_bind().exec_driver_sql(TABLES)
    for name, event, delta, referencing in (
        ("added", "INSERT", ADDED, "REFERENCING NEW TABLE AS new_rows"),
        ("changed", "UPDATE", f"{ADDED} UNION ALL {TAKEN}", "REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows"),
        ("taken", "DELETE", TAKEN, "REFERENCING OLD TABLE AS old_rows"),
    ):
        op.get_bind().exec_driver_sql(ACCOUNT.format(name=name, event=event, delta=delta, referencing=referencing))
    op.get_bind().exec_driver_sql(TRIGGERS)
    op.get_bind().exec_driver_sql("INSERT INTO cloud (owner) VALUES (gen_random_uuid())")
