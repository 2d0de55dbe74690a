"""CPU baselines, NUMA cells and GPUs: what hosts have of them, what instances asked for, and which of them each allocation holds.

A host's `cells` and `devices` are JSON lists, and a cell or device is its place in the list, for good: what is no longer found keeps its
place (`there` is false). What is in use of them are arrays by that place. `allocations` records what it holds in the same form, and the
triggers that count `used_*` add these arrays, too: so a fleet that is read anew knows which device has how much left. That no GPU is ever
given out beyond its thousand thousandths is a constraint of `hosts`.

GPUs count in thousandths everywhere that they are summed: `gpus` of `usage` and `used_gpus` of `hosts` are exact decimals.
"""

from alembic import op

revision = "0013"
down_revision = "0012"

FIELDS = """
ADD COLUMN cpu_baseline text,
ADD COLUMN numa_nodes integer NOT NULL DEFAULT 0 CHECK (numa_nodes BETWEEN 0 AND 64),
ADD COLUMN gpu_model text,
ADD COLUMN gpu_milli integer NOT NULL DEFAULT 1000 CHECK (gpu_milli BETWEEN 1 AND 1000)
"""

CHANGES = f"""
ALTER TABLE flavors {FIELDS};
ALTER TABLE instances {FIELDS};
ALTER TABLE allocations {FIELDS},
    ADD COLUMN held_gpus bigint[] NOT NULL DEFAULT '{{}}',
    ADD COLUMN held_cell_vcpus bigint[] NOT NULL DEFAULT '{{}}',
    ADD COLUMN held_cell_memory_mib bigint[] NOT NULL DEFAULT '{{}}';
ALTER TABLE hosts
    ADD COLUMN cpu_baselines text[] NOT NULL DEFAULT '{{}}',
    ADD COLUMN gpu_model text NOT NULL DEFAULT '',
    ADD COLUMN devices jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN cells jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN used_devices bigint[] NOT NULL DEFAULT '{{}}',
    ADD COLUMN used_cell_vcpus bigint[] NOT NULL DEFAULT '{{}}',
    ADD COLUMN used_cell_memory_mib bigint[] NOT NULL DEFAULT '{{}}',
    ALTER COLUMN used_gpus TYPE numeric(15, 3);
ALTER TABLE usage ALTER COLUMN gpus TYPE numeric(15, 3), ALTER COLUMN held_gpus TYPE numeric(15, 3);
DROP INDEX instances_gpu_work;
CREATE INDEX instances_gpu_work ON instances (vcpus, gpus, gpu_milli, gpu_model) WHERE gpus > 0;

CREATE FUNCTION vector_add(one bigint[], other bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(coalesce(a, 0) + coalesce(b, 0) ORDER BY n), '{{}}') FROM unnest(one, other) WITH ORDINALITY AS t (a, b, n)
$$;
CREATE AGGREGATE vector_sum (bigint[]) (SFUNC = vector_add, STYPE = bigint[], INITCOND = '{{}}');
CREATE FUNCTION vector_times(factor integer, one bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(factor * a ORDER BY n), '{{}}') FROM unnest(one) WITH ORDINALITY AS t (a, n)
$$;
CREATE FUNCTION gpus_of(held bigint[]) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(sum(a), 0)::numeric / 1000 FROM unnest(held) AS t (a)
$$;
"""

# GPUs that were given out by number so far: each host's get places, and each allocation there the next of them.
KNOWN = """
UPDATE hosts SET devices = (SELECT jsonb_agg(jsonb_build_object('id', 'gpu-' || n, 'model', '', 'shared', false, 'there', true))
                              FROM generate_series(0, greatest(gpus, used_gpus::bigint) - 1) AS n)
 WHERE greatest(gpus, used_gpus) > 0;
UPDATE allocations a SET held_gpus = (SELECT array_agg(CASE WHEN n > s.before AND n <= s.before + a.gpus THEN 1000 ELSE 0 END ORDER BY n)
                                        FROM generate_series(1, s.before + a.gpus) AS n)
  FROM (SELECT id, coalesce(sum(gpus) OVER (PARTITION BY host_id, after IS NULL ORDER BY id
                                            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0)::bigint AS before
          FROM allocations WHERE gpus > 0) s
 WHERE s.id = a.id;
UPDATE hosts h SET used_devices = s.held
  FROM (SELECT host_id, vector_sum(held_gpus) AS held FROM allocations WHERE gpus > 0 AND after IS NULL GROUP BY 1) s
 WHERE s.host_id = h.id;
ALTER TABLE hosts
    ADD CONSTRAINT hosts_devices_given CHECK (0 <= ALL (used_devices) AND 1000 >= ALL (used_devices)),
    ADD CONSTRAINT hosts_devices_known CHECK (cardinality(used_devices) <= jsonb_array_length(devices)),
    ADD CONSTRAINT hosts_cells_given CHECK (0 <= ALL (used_cell_vcpus) AND 0 <= ALL (used_cell_memory_mib));
"""

# As in 0008, but that GPUs count as what is held of them, and that hosts know of which devices and cells.
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
           coalesce(sum(d.sign * gpus_of(d.held_gpus)) FILTER (WHERE NOT d.held AND d.held_gpus <> '{{}}'), 0),
           coalesce(sum(d.sign) FILTER (WHERE d.held), 0),
           coalesce(sum(d.sign * d.vcpus) FILTER (WHERE d.held), 0),
           coalesce(sum(d.sign * d.memory_mib) FILTER (WHERE d.held), 0),
           coalesce(sum(d.sign * d.disk_gib) FILTER (WHERE d.held), 0),
           coalesce(sum(d.sign * gpus_of(d.held_gpus)) FILTER (WHERE d.held AND d.held_gpus <> '{{}}'), 0)
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
        used_disk_gib = h.used_disk_gib + s.disk_gib, used_gpus = h.used_gpus + gpus_of(s.devices),
        used_instances = h.used_instances + s.instances,
        used_devices = CASE WHEN 0 <> ANY (s.devices) THEN vector_add(h.used_devices, s.devices) ELSE h.used_devices END,
        used_cell_vcpus = CASE WHEN 0 <> ANY (s.cells) THEN vector_add(h.used_cell_vcpus, s.cells) ELSE h.used_cell_vcpus END,
        used_cell_memory_mib = CASE WHEN 0 <> ANY (s.cell_memory) THEN vector_add(h.used_cell_memory_mib, s.cell_memory)
                                    ELSE h.used_cell_memory_mib END
      FROM (SELECT d.host_id, sum(d.sign * d.vcpus) AS vcpus, sum(d.sign * d.memory_mib) AS memory_mib,
                   sum(d.sign * d.disk_gib) AS disk_gib, sum(d.sign) AS instances,
                   coalesce(vector_sum(vector_times(d.sign, d.held_gpus)) FILTER (WHERE d.held_gpus <> '{{}}'), '{{}}') AS devices,
                   coalesce(vector_sum(vector_times(d.sign, d.held_cell_vcpus)) FILTER (WHERE d.held_cell_vcpus <> '{{}}'),
                            '{{}}') AS cells,
                   coalesce(vector_sum(vector_times(d.sign, d.held_cell_memory_mib)) FILTER (WHERE d.held_cell_memory_mib <> '{{}}'),
                            '{{}}') AS cell_memory
              FROM ({delta}) d WHERE d.after IS NULL GROUP BY d.host_id) s
     WHERE h.id = s.host_id AND ((s.vcpus, s.memory_mib, s.disk_gib, s.instances) <> (0, 0, 0, 0)
                             OR 0 <> ANY (s.devices) OR 0 <> ANY (s.cells) OR 0 <> ANY (s.cell_memory));
    {last}
    RETURN NULL;
END $$;
"""
ADDED = "SELECT 1 AS sign, n.instance_id IS NULL AS held, n.* FROM new_rows n"
TAKEN = "SELECT -1 AS sign, o.instance_id IS NULL AS held, o.* FROM old_rows o"
LOCK_HEIRS = "PERFORM 1 FROM allocations WHERE after IN (SELECT o.id FROM old_rows o) ORDER BY id FOR NO KEY UPDATE;"
INHERIT = "UPDATE allocations SET after = NULL WHERE after IN (SELECT o.id FROM old_rows o);"


def upgrade() -> None:
    """Make them."""
    op.get_bind().exec_driver_sql("ALTER TABLE allocations DISABLE TRIGGER USER")
    op.get_bind().exec_driver_sql(CHANGES)
    op.get_bind().exec_driver_sql(KNOWN)
    op.get_bind().exec_driver_sql("ALTER TABLE allocations ENABLE TRIGGER USER")
    for name, delta, first, last in (
        ("added", ADDED, "", ""),
        ("changed", f"{ADDED} UNION ALL {TAKEN}", "", ""),
        ("taken", TAKEN, LOCK_HEIRS, INHERIT),
    ):
        op.get_bind().exec_driver_sql(ACCOUNT.format(name=name, delta=delta, first=first, last=last))
