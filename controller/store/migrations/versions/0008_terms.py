"""Instances that end with their term, requests that start later, and places promised from those who leave to those who come.

`after` of an allocation: the one whose leaving gives it room. While it is set, the row counts for its project and for no host; when the
other leaves the ledger, the trigger below sets it to null and counts the heir on the host, in the same transaction and under the same lock
of the host's row, so that nobody comes between them. It is no foreign key: one with ON DELETE SET NULL would forget the heir before the
trigger sees him.
"""

from alembic import op

revision = "0008"
down_revision = "0007"

# `term_due_at`: when the term is looked at next (first to warn, then to end it); null: never.
CHANGES = """
ALTER TABLE requests ADD COLUMN ends boolean NOT NULL DEFAULT false;
ALTER TABLE requests ADD COLUMN starts_at timestamptz;
ALTER TABLE instances ADD COLUMN ends boolean NOT NULL DEFAULT false;
ALTER TABLE instances ADD COLUMN starts_at timestamptz;
ALTER TABLE instances ADD COLUMN term_due_at timestamptz;
ALTER TABLE instances ADD CHECK (NOT ends OR term_ends_at IS NOT NULL);
ALTER TABLE allocations ADD COLUMN after uuid;
CREATE INDEX instances_term_due ON instances (term_due_at) WHERE term_due_at IS NOT NULL AND goal <> 'gone';
CREATE INDEX instances_ending ON instances (term_ends_at, id) WHERE ends AND NOT protected AND goal <> 'gone';
CREATE INDEX instances_starting ON instances (starts_at) WHERE starts_at IS NOT NULL AND state = 'pending';
CREATE INDEX allocations_after ON allocations (after) WHERE after IS NOT NULL;
CREATE INDEX allocations_waiting ON allocations (instance_id) WHERE after IS NOT NULL;
"""

# As in 0001, but that rows with `after` are on no host.
ACCOUNT = """
CREATE OR REPLACE FUNCTION allocations_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {first}
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
    PERFORM 1 FROM hosts WHERE id IN (SELECT d.host_id FROM ({delta}) d WHERE d.after IS NULL) ORDER BY id FOR NO KEY UPDATE;
    UPDATE hosts h SET
        used_vcpus = h.used_vcpus + s.vcpus, used_memory_mib = h.used_memory_mib + s.memory_mib,
        used_disk_gib = h.used_disk_gib + s.disk_gib, used_gpus = h.used_gpus + s.gpus, used_instances = h.used_instances + s.instances
      FROM (SELECT d.host_id, sum(d.sign * d.vcpus) AS vcpus, sum(d.sign * d.memory_mib) AS memory_mib,
                   sum(d.sign * d.disk_gib) AS disk_gib, sum(d.sign * d.gpus) AS gpus, sum(d.sign) AS instances
              FROM ({delta}) d WHERE d.after IS NULL GROUP BY d.host_id) s
     WHERE h.id = s.host_id AND (s.vcpus, s.memory_mib, s.disk_gib, s.gpus, s.instances) <> (0, 0, 0, 0, 0);
    {last}
    RETURN NULL;
END $$;
"""
ADDED = "SELECT 1 AS sign, n.instance_id IS NULL AS held, n.* FROM new_rows n"
TAKEN = "SELECT -1 AS sign, o.instance_id IS NULL AS held, o.* FROM old_rows o"
# Heirs are locked before any sum, as whoever changes them does.
LOCK_HEIRS = "PERFORM 1 FROM allocations WHERE after IN (SELECT o.id FROM old_rows o) ORDER BY id FOR NO KEY UPDATE;"
INHERIT = "UPDATE allocations SET after = NULL WHERE after IN (SELECT o.id FROM old_rows o);"


def upgrade() -> None:
    """Make them."""
    op.get_bind().exec_driver_sql(CHANGES)
    for name, delta, first, last in (
        ("added", ADDED, "", ""),
        ("changed", f"{ADDED} UNION ALL {TAKEN}", "", ""),
        ("taken", TAKEN, LOCK_HEIRS, INHERIT),
    ):
        op.get_bind().exec_driver_sql(ACCOUNT.format(name=name, delta=delta, first=first, last=last))
