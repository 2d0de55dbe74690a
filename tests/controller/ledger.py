"""An independent recount of what is taken: the sums that the database keeps against the rows that they are the sums of.

Enters: a connection. Leaves: sentences, one for each thing that is wrong in its snapshot; none where all is well. It only reads, so that
it may watch while others write (in a REPEATABLE READ transaction it sees one commit's state).
"""

from __future__ import annotations

from sqlalchemy import Connection

from controller.store import sql

_SIZES = ("vcpus", "memory_mib", "disk_gib", "gpus")
_COUNTED = ("instances", *_SIZES)
_GPUS = "(SELECT coalesce(sum(x), 0) / 1000.0 FROM unnest(a.held_gpus) AS x)"  # exactly what an allocation holds of GPUs
_AMOUNTS = {"instances": "1", **{name: f"a.{name}" for name in _SIZES}, "gpus": _GPUS}
_ARRAYS = (("used_devices", "held_gpus"), ("used_cell_vcpus", "held_cell_vcpus"), ("used_cell_memory_mib", "held_cell_memory_mib"))


def wrong(conn: Connection) -> list[str]:
    """Everything that may never be so at any commit."""
    counted = [*_sums_of_projects(conn), *_sums_of_hosts(conn), *_over_limits(conn), *_over_capacity(conn), *_owners(conn)]
    return [*counted, *_devices(conn), *_preempted(conn), *_heirs(conn)]


def _sums_of_projects(conn: Connection) -> list[str]:
    """`usage` is the sum over the allocations at and below each project."""
    shown = ", ".join(f"u.{name}, u.held_{name}" for name in _COUNTED)
    sums = ", ".join(
        f"coalesce(sum({_AMOUNTS[name]}) FILTER (WHERE a.id IS NOT NULL AND {owner}), 0) AS {prefix}{name}"
        for name in _COUNTED
        for prefix, owner in (("real_", "a.instance_id IS NOT NULL"), ("real_held_", "a.instance_id IS NULL"))
    )
    rows = sql.rows(
        conn,
        f"SELECT p.path, u.kind, {shown}, {sums} FROM usage u JOIN projects p ON p.id = u.project_id"  # noqa: S608
        " LEFT JOIN projects d ON u.project_id = ANY(d.ancestors)"
        " LEFT JOIN allocations a ON a.project_id = d.id AND a.kind = u.kind AND a.counted"
        f" GROUP BY p.path, u.kind, {shown}",
    )
    return [
        f"{row['path']}: {row['kind']} {name} is {row[name]} in usage, {row['real_' + name]} by recount"
        for row in rows
        for name in (*_COUNTED, *("held_" + each for each in _COUNTED))
        if row[name] != row["real_" + name]
    ]


def _sums_of_hosts(conn: Connection) -> list[str]:
    """`hosts.used_*` is the sum over all allocations there, counted in quota or not; those that wait for another's place are not there."""
    shown = ", ".join("h.used_" + name for name in _COUNTED)
    sums = ", ".join(f"coalesce(sum({_AMOUNTS[name]}), 0) AS real_{name}" for name in _COUNTED)
    rows = sql.rows(
        conn,
        f"SELECT h.name, {shown}, {sums.replace('sum(1)', 'count(a.id)')} FROM hosts h LEFT JOIN allocations a"  # noqa: S608
        " ON a.host_id = h.id AND a.after IS NULL"
        f" GROUP BY h.name, {shown}",
    )
    return [
        f"{row['name']}: used {name} is {row['used_' + name]}, {row['real_' + name]} by recount"
        for row in rows
        for name in _COUNTED
        if row["used_" + name] != row["real_" + name]
    ]


def _over_limits(conn: Connection) -> list[str]:
    """No project is over a limit, by the recount (not by `usage`, which could be wrong too)."""
    rows = sql.rows(
        conn,
        "SELECT p.path, l.kind, l.resource, l.amount, coalesce(sum(CASE l.resource WHEN 'instances' THEN 1"  # noqa: S608
        "  WHEN 'vcpus' THEN a.vcpus"
        "  WHEN 'memory_mib' THEN a.memory_mib WHEN 'disk_gib' THEN a.disk_gib"
        f"  ELSE {_GPUS} END) FILTER (WHERE a.id IS NOT NULL), 0) AS total"
        " FROM limits l JOIN projects p ON p.id = l.project_id LEFT JOIN projects d ON l.project_id = ANY(d.ancestors)"
        " LEFT JOIN allocations a ON a.project_id = d.id AND a.counted AND l.kind IN ('any', a.kind)"
        " GROUP BY p.path, l.kind, l.resource, l.amount",
    )
    return [
        f"{row['path']}: {row['total']} {row['resource']} against a limit of {row['amount']}"
        for row in rows
        if row["total"] > row["amount"]
    ]


def _over_capacity(conn: Connection) -> list[str]:
    """No host holds more than it may, by the recount."""
    sums = ", ".join(f"h.{name}, coalesce(sum({_AMOUNTS[name]}), 0) AS real_{name}" for name in _SIZES)
    grouped = ", ".join("h." + name for name in _SIZES)
    query = f"SELECT h.name, {sums} FROM hosts h LEFT JOIN allocations a ON a.host_id = h.id AND a.after IS NULL GROUP BY h.name, {grouped}"  # noqa: S608
    return [
        f"{row['name']}: {row['real_' + name]} {name} on a host of {row[name]}"
        for row in sql.rows(conn, query)
        for name in _SIZES
        if row["real_" + name] > row[name]
    ]


def _devices(conn: Connection) -> list[str]:
    """Of each GPU and NUMA cell of a host as much is in use as its allocations hold, and no more than there is."""
    found = []
    hosts = sql.rows(conn, f"SELECT id, name, devices, cells, {', '.join(used for used, _ in _ARRAYS)} FROM hosts")  # noqa: S608
    held = sql.rows(conn, f"SELECT host_id, {', '.join(mine for _, mine in _ARRAYS)} FROM allocations WHERE after IS NULL")  # noqa: S608
    for host in hosts:
        rooms = {
            "used_devices": [1000 for _ in host["devices"]],
            "used_cell_vcpus": [cell["capacity"]["vcpus"] for cell in host["cells"]],
            "used_cell_memory_mib": [cell["capacity"]["memory_mib"] for cell in host["cells"]],
        }
        for used, mine in _ARRAYS:
            real = [0] * len(rooms[used])
            for row in held:
                for number, amount in enumerate(row[mine] if row["host_id"] == host["id"] else ()):
                    real[number] += amount
            kept = [*host[used], *[0] * (len(real) - len(host[used]))]
            if kept != real:
                found.append(f"{host['name']}: {used} is {kept}, {real} by recount")
            if any(amount > room or amount < 0 for amount, room in zip(real, rooms[used], strict=True)):
                found.append(f"{host['name']}: {real} {used} of {rooms[used]}")
    return found


def _owners(conn: Connection) -> list[str]:
    """Each live instance has one allocation that counts, on its host and of its size (but those who gave theirs up); each hold belongs to
    a request that waits."""
    rows = sql.rows(
        conn,
        "SELECT 'instance ' || i.name || ' (' || i.state || ') has ' || count(a.id) || ' allocations' AS text FROM instances i"  # noqa: S608
        " LEFT JOIN allocations a ON a.instance_id = i.id AND a.counted AND a.host_id = i.host_id"
        " GROUP BY i.id HAVING count(a.id) <> CASE WHEN i.state = 'deleted' THEN 0 ELSE 1 END"
        " UNION ALL SELECT 'instance ' || i.name || ' (' || i.state || ') is not as large as its allocation' FROM instances i"
        " JOIN allocations a ON a.instance_id = i.id AND a.counted"
        f" WHERE least(a.vcpus - i.vcpus, a.memory_mib - i.memory_mib, a.disk_gib - i.disk_gib, {_GPUS} * 1000 - i.gpus * i.gpu_milli,"
        "   cardinality(array_remove(a.held_cell_vcpus, 0)) - i.numa_nodes) < 0"
        "   AND i.preempted_for IS NULL"
        "    OR (i.state IN ('active', 'stopped') AND i.observed_generation = i.generation"
        f"        AND (a.vcpus, a.memory_mib, a.disk_gib, a.gpus, {_GPUS} * 1000, cardinality(array_remove(a.held_cell_vcpus, 0)))"
        "         <> (i.vcpus, i.memory_mib, i.disk_gib, i.gpus, i.gpus * i.gpu_milli, i.numa_nodes))"
        " UNION ALL SELECT 'request ' || r.id || ' is ' || r.state || ' and holds' FROM requests r"
        " WHERE r.state <> 'pending' AND EXISTS (SELECT 1 FROM allocations a WHERE a.request_id = r.id AND a.instance_id IS NULL)",
    )
    return [row["text"] for row in rows]


def _preempted(conn: Connection) -> list[str]:
    """Only who agreed is preempted, for a higher class; he is on his way out; and nobody is built in his place before he is gone."""
    rows = sql.rows(
        conn,
        "SELECT v.name || ' was preempted, and should not have been' AS text FROM instances v JOIN requests r ON r.id = v.preempted_for"
        " WHERE NOT v.preemptible OR v.protected OR v.goal <> 'gone'"
        "    OR (v.priority, r.priority) NOT IN (('batch', 'normal'), ('batch', 'critical'), ('normal', 'critical'))"
        " UNION ALL SELECT i.name || ' is ' || i.state || ', and ' || v.name || ' is not gone' FROM instances i"
        " JOIN instances v ON v.preempted_for = i.request_id AND v.state <> 'deleted'"
        " WHERE i.condition <> 'absent' OR i.state NOT IN ('pending', 'deleting')",
    )
    return [row["text"] for row in rows]


def _heirs(conn: Connection) -> list[str]:
    """Who waits for a place waits for somebody who is there, will go, and has at least as much on the same host; and is not built."""
    shorter = " OR ".join(f"sum(h.{name}) > least(max(i.{name}), max(a.{name}))" for name in _SIZES[:3])
    shorter += f" OR sum({_GPUS.replace('a.', 'h.')}) > max({_GPUS})"
    rows = sql.rows(
        conn,
        "SELECT h.name || ' waits for somebody who is not there' AS text FROM allocations h"  # noqa: S608
        " LEFT JOIN allocations a ON a.id = h.after AND a.host_id = h.host_id AND a.after IS NULL"
        " WHERE h.after IS NOT NULL AND a.id IS NULL"
        " UNION ALL SELECT 'more than ' || min(a.name) || ' has was promised' FROM allocations h JOIN allocations a ON a.id = h.after"
        f" JOIN instances i ON i.id = a.instance_id GROUP BY a.id HAVING {shorter}"
        " UNION ALL SELECT i.name || ' was promised and stays' FROM allocations h JOIN instances i ON i.id = h.after"
        " WHERE i.goal <> 'gone' AND (i.protected OR NOT i.ends)"
        " UNION ALL SELECT i.name || ' is ' || i.state || ' and waits for its place' FROM allocations h"
        " JOIN instances i ON i.id = h.instance_id"
        " WHERE h.after IS NOT NULL AND (i.condition <> 'absent' OR i.state NOT IN ('pending', 'deleting'))",
    )
    return [row["text"] for row in rows]
