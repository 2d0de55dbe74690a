"""Pages of a long list: the table is filled by SQL (the bench's own database), then pages anywhere in it are asked for through the API.

The filling is stopped instances, spread evenly over hosts and departments and older than anything else, so that nothing is to be done for
them; they have no allocations, as lists don't look at those.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import psycopg

from bench.cloud import Department
from bench.rig import Rig
from bench.wire import Wire

_REQUESTS = """
INSERT INTO requests (id, project_id, created_by, state, items)
SELECT uuidv7(interval '-30 days'), id, (SELECT user_id FROM tokens LIMIT 1), 'approved', '[]' FROM projects WHERE parent_id IS NOT NULL
"""
_INSTANCES = """
WITH h AS (SELECT id, row_number() OVER (ORDER BY id) - 1 AS n, count(*) OVER () AS hosts FROM hosts),
     q AS (SELECT id, project_id, created_by, row_number() OVER (ORDER BY id) - 1 AS n, count(*) OVER () AS requests
             FROM requests WHERE items = '[]')
INSERT INTO instances (id, project_id, request_id, created_by, name, kind, flavor, vcpus, memory_mib, disk_gib, gpus,
                       arch, image_id, host_id, goal, state, observed_generation)
SELECT uuidv7(make_interval(secs => i - 30 * 86400)), q.project_id, q.id, q.created_by, 'old-' || i, 'vm', f.name, f.vcpus, f.memory_mib,
       f.disk_gib, f.gpus, 'x86_64', m.id, h.id, 'stopped', 'stopped', 1
  FROM generate_series(1, %(rows)s) AS i CROSS JOIN (SELECT * FROM flavors LIMIT 1) f CROSS JOIN (SELECT id FROM images LIMIT 1) m
  JOIN h ON h.n = i %% h.hosts JOIN q ON q.n = i %% q.requests
"""


def fill(rig: Rig, rows: int) -> int:
    """Bring the table to `rows` instances; how many there are."""
    with psycopg.connect(rig.database_url, autocommit=True) as conn:
        have = _count(conn)
        if have < rows:
            conn.execute(_REQUESTS)
            conn.execute(_INSTANCES, {"rows": rows - have})
            conn.execute("ANALYZE instances, requests")  # as autovacuum would within the minute
        return _count(conn)


def _count(conn: psycopg.Connection[tuple[int]]) -> int:
    found = conn.execute("SELECT count(*) FROM instances").fetchone()
    return found[0] if found else 0


async def pages(rig: Rig, departments: Sequence[Department], calls: int, clients: int) -> list[float]:
    """The seconds that `calls` pages took, anywhere in the list, from `clients` at a time: half by the administrator, half by members."""
    dice = random.Random(7)
    wires = [Wire("127.0.0.1", rig.port) for _ in range(clients)]
    tokens = [rig.token, *(department.token for department in departments)]
    cursors = {token: await _cursors(wires[0], token) for token in tokens}
    chosen = [rig.token if number % 2 else dice.choice(tokens[1:]) for number in range(calls)]
    asked = iter([(token, dice.choice(cursors[token])) for token in chosen])
    took: list[float] = []

    async def ask(wire: Wire) -> None:
        for token, cursor in asked:
            await wire.call("GET", f"/v1/instances{cursor}", token)
            took.append(wire.took_s)

    await asyncio.gather(*(ask(wire) for wire in wires))
    for wire in wires:
        await wire.close()
    return took


async def _cursors(wire: Wire, token: str) -> list[str]:
    """Beginnings of pages all through the list."""
    found = [""]
    while True:
        mark = found[-1].replace("?", "&")
        following = (await wire.call("GET", f"/v1/instances?limit=500{mark}", token))["next"]
        if following is None:
            return found
        found.append(f"?cursor={following}")
