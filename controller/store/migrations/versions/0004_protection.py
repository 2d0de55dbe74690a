"""Protection levels of pools and projects, hosts dedicated to a project, racks."""

from alembic import op

revision = "0004"
down_revision = "0003"

# `level` of a project: null where that of the nearest project above holds. `misplaced`: allocations where they may not be.
CHANGES = """
ALTER TABLE pools ADD COLUMN level integer NOT NULL DEFAULT 0 CHECK (level BETWEEN 0 AND 5);
ALTER TABLE projects ADD COLUMN level integer CHECK (level BETWEEN 0 AND 5);
ALTER TABLE hosts ADD COLUMN rack text NOT NULL DEFAULT '';
ALTER TABLE hosts ADD COLUMN dedicated_to uuid REFERENCES projects ON DELETE SET NULL;
CREATE INDEX hosts_dedicated ON hosts (dedicated_to) WHERE dedicated_to IS NOT NULL;

CREATE FUNCTION project_level(chain uuid[]) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT level FROM projects WHERE id = ANY(chain) AND level IS NOT NULL ORDER BY cardinality(ancestors) DESC LIMIT 1), 0)
$$;
CREATE VIEW misplaced AS
SELECT a.id, a.name, a.host_id, h.pool_id, p.path, p.ancestors
  FROM allocations a
  JOIN projects p ON p.id = a.project_id
  JOIN hosts h ON h.id = a.host_id
  JOIN pools q ON q.id = h.pool_id
 WHERE q.level < project_level(p.ancestors)
    OR (h.dedicated_to IS NOT NULL AND h.dedicated_to <> ALL (p.ancestors))
    OR (h.dedicated_to IS NULL AND project_level(p.ancestors) >= 4);
"""


def upgrade() -> None:
    """Make them."""
    op.get_bind().exec_driver_sql(CHANGES)
