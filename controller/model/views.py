"""How rows look to a reader: plain JSON-ready dicts, in the reader's language and with what he may see.

Pure; the API's response schemas (`controller.api.schemas`) describe the same shapes, and a test holds one against the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.messages import render
from controller.model import fencing
from controller.model.devices import SHAPE, SIZES, exact
from controller.model.request import POLICY
from scheduler.reasons import Miss

Row = Mapping[str, Any]
_OPERATORS = ("detail", "node", "host", "endpoint", "where", "for_project", "for_request")
_UNSEEN: Row = {"code": "host_unreachable", "params": {}}
_FENCED: Row = {"code": "host_fenced", "params": {}}
_OFF: Row = {"code": "host_off", "params": {}}


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: in which language, and whether he may see hosts."""

    lang: str = "en"
    fleet: bool = False


def time(at: datetime | None) -> str | None:
    """A time as the API writes it: RFC 3339, UTC, milliseconds."""
    return None if at is None else at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def reason(of: Row | None, reader: Reader) -> dict[str, Any] | None:
    """A reason with its sentence; where hosts are not for the reader, its parameters are not either."""
    if not of:
        return None
    text = render(of["code"], shown(of["params"], reader), reader.lang)
    return {"code": of["code"], "text": text}


def shown(params: Row, reader: Reader) -> Row:
    """Parameters for this reader: who may not see hosts gets none that names one, quotes a backend, or tells of another department."""
    return params if reader.fleet else {key: value for key, value in params.items() if key not in _OPERATORS}


def project(row: Row) -> dict[str, Any]:
    """A project."""
    return {
        "id": row["id"],
        "name": row["name"],
        "path": row["path"],
        "parent_id": row["parent_id"],
        "description": row["description"],
        "policy": {part: row[part] for part in POLICY},
        "level": row["level"],
        "generation": row["generation"],
        "created_at": time(row["created_at"]),
    }


def user(row: Row) -> dict[str, Any]:
    """A user."""
    return {**{name: row[name] for name in ("id", "name", "display_name", "disabled", "generation")}, "created_at": time(row["created_at"])}


def token(row: Row) -> dict[str, Any]:
    """A token, without its text."""
    return {
        "id": row["id"],
        "name": row["name"],
        "expires_at": time(row["expires_at"]),
        "revoked_at": time(row["revoked_at"]),
        "created_at": time(row["created_at"]),
    }


def flavor(row: Row) -> dict[str, Any]:
    """A flavor."""
    fields = ("id", "name", "kind", *SHAPE, "arch", "traits", "generation")
    return {**{name: row[name] for name in fields}, "created_at": time(row["created_at"])}


def image(row: Row, reader: Reader) -> dict[str, Any]:
    """An image."""
    fields = (
        "id",
        "name",
        "arch",
        "format",
        "os",
        "min_disk_gib",
        "min_memory_mib",
        "state",
        "url",
        "size_bytes",
        "virtual_size_bytes",
        "sha256",
        "sm3",
        "generation",
    )
    shown = Reader(reader.lang, fleet=True)  # what is wrong with an image is nobody's secret
    return {**{name: row[name] for name in fields}, "reason": reason(row["reason"], shown), "created_at": time(row["created_at"])}


def pool(row: Row) -> dict[str, Any]:
    """A pool."""
    fields = (
        "id", "name", "zone", "site", "level", "spare_hosts", "fill_order", "licences", "may_wake", "overcommit", "reserved",
        "wipe", "hypervisor_options", "hypervisor_bridge", "generation",
    )  # fmt: skip
    return {**{name: row[name] for name in fields}, "created_at": time(row["created_at"])}


def endpoint(row: Row, hosts: list[str], reader: Reader) -> dict[str, Any]:
    """An endpoint with the names of its hosts."""
    fields = ("id", "name", "driver", "uri", "options", "pool", "state", "generation")
    return {
        **{name: row[name] for name in fields},
        "reason": reason(row["reason"], reader),
        "hosts": hosts,
        "since": time(row["since"]),
        "created_at": time(row["created_at"]),
    }


def host(row: Row, reader: Reader) -> dict[str, Any]:
    """A host: what it has, may hold and holds."""
    return {
        **{
            name: row[name]
            for name in (
                "id",
                "name",
                "endpoint",
                "pool",
                "zone",
                "site",
                "rack",
                "arch",
                "kinds",
                "traits",
                "state",
                "cordoned",
                "draining",
                "power",
                "power_wanted",
                "idle_watts",
                "inventory",
            )
        },
        "dedicated_to": row["dedicated_path"],
        "capacity": {name: row[name] for name in SIZES},
        "used": {name: exact(row["used_" + name]) for name in SIZES},
        "cpu_baselines": row["cpu_baselines"],
        "gpu_model": row["gpu_model"],
        "gpu_devices": [{**one, "used_milli": _at(row["used_devices"], number)} for number, one in enumerate(row["devices"])],
        "numa_nodes": [
            {**one, "used": {name: _at(row["used_cell_" + name], number) for name in SIZES[:2]}} for number, one in enumerate(row["cells"])
        ],
        "instances": row["used_instances"],
        "notes": [render(note["code"], note["params"], reader.lang) for note in (*row["notes"], *_to_wake(row))],
        "reason": reason(_why_host(row), reader),
        "generation": row["generation"],
        "created_at": time(row["created_at"]),
    }


def _why_host(row: Row) -> Row | None:
    """Why it takes nothing new, as far as somebody said so."""
    closed: Row | None = row["endpoint_reason"] if row["state"] == "unreachable" else row["closed"]
    return (fencing.proof_among(row["notes"]) if row["state"] == "fenced" else None) or closed


def _to_wake(row: Row) -> list[Row]:
    """Somebody waits for the host to be switched on."""
    waits = row["power"] == "off" and row["used_instances"] > 0 and "bare_metal" not in row["kinds"]
    return [{"code": "host_to_wake", "params": {"count": row["used_instances"]}}] if waits else []


def _at(vector: Sequence[int], number: int) -> int:
    """What is in use of one device or cell: the array ends with the last that is."""
    return vector[number] if number < len(vector) else 0


def request(row: Row) -> dict[str, Any]:
    """A request, with its decision where there is one (without a name: the policy's). User data may hold passwords: never shown."""
    decided = row["state"] != "pending"
    items = [{key: value for key, value in item.items() if key not in ("image_id", "arch", "traits", "user_data")} for item in row["items"]]
    return {
        "id": row["id"],
        "project": row["project"],
        "state": row["state"],
        "priority": row["priority"],
        "reason": row["reason"],
        "term_days": row["term_days"],
        "ends": row["ends"],
        "starts_at": time(row["starts_at"]),
        "items": items,
        "instances": row["instances"] or [],
        "decision": {"by": row.get("decided_by_name"), "at": time(row.get("decided_at")), "reason": row.get("decision_reason")}
        if decided
        else None,
        "expires_at": time(row.get("expires_at")),
        "created_by": row["created_by_name"],
        "generation": row["generation"],
        "created_at": time(row["created_at"]),
    }


def instance(row: Row, reader: Reader) -> dict[str, Any]:
    """An instance. On a host that is off or does not answer its condition is unknown, and on one that is fenced absent, whatever was seen
    last."""
    lost = _lost(row)
    return {
        "id": row["id"],
        "name": row["name"],
        "project": row["project"],
        "kind": row["kind"],
        "flavor": row["flavor"],
        "image": row["image"],
        "container": row["container"],
        "arch": row["arch"] or row["host_arch"],
        **{name: row[name] for name in SHAPE},
        "goal": row["goal"],
        "state": row["state"],
        "condition": {"off": "unknown", "unreachable": "unknown", "fenced": "absent"}.get(lost, row["condition"]),
        "reason": reason(_why(row, lost), reader),
        "host": row["host"] if reader.fleet else None,
        "zone": row["zone"],
        "addresses": row["addresses"],
        "protected": row["protected"],
        "priority": row["priority"],
        "preemptible": row["preemptible"],
        "hypervisor": row["hypervisor"],
        "adopted": row["adopted"] if reader.fleet else None,
        "disowned": row["disowned"],
        "request_id": row["request_id"],
        "generation": row["generation"],
        "observed_generation": row["observed_generation"],
        "since": time(row["since"]),
        "starts_at": time(row["starts_at"]),
        "term_ends_at": time(row["term_ends_at"]),
        "ends": row["ends"],
        "created_at": time(row["created_at"]),
    }


def _lost(row: Row) -> str:
    """How its host is lost to it: off, or the host's state; up where it isn't, or where it does not matter any more. To what stays with its
    disk a fenced host is off."""
    if row["state"] == "deleted":
        return "up"
    state: str = row["host_state"]
    if state == "fenced":
        return state if row["kind"] == "container" else "off"
    return "off" if row["host_power"] == "off" and row["kind"] != "bare_metal" else state


def _why(row: Row, lost: str) -> Row | None:
    """What is the matter with it, or with its host."""
    if lost == "off":
        return _OFF
    if lost == "unreachable":
        return row.get("host_reason") or _UNSEEN
    return row["reason"] or (_FENCED if lost == "fenced" else _kept(row))


def _kept(row: Row) -> Row | None:
    """Its term is over, and it is there for its protection alone."""
    over = row["ends"] and row["term_due_at"] is None and row["protected"] and row["goal"] != "gone"
    return {"code": "kept_past_term", "params": {}} if over else None


def event(row: Row, projects: Mapping[str, str], reader: Reader) -> dict[str, Any]:
    """An event with its sentence. `projects`: paths by id."""
    params = shown(row["params"], reader)
    return {
        "id": f"{row['xid']}.{row['id']}",
        "at": time(row["at"]),
        "kind": row["kind"],
        "object_kind": row["object_kind"],
        "object_id": row["object_id"],
        "object_name": row["object_name"],
        "project": projects.get(row["project_id"]) if row["project_id"] else None,
        "actor": row["actor"],
        "text": render(row["kind"], {**params, "name": row["object_name"]}, reader.lang),
        "details": params,
    }


def miss(of: Miss | None, reader: Reader) -> dict[str, Any] | None:
    """What stands between an instance and a host."""
    return None if of is None else _miss(of.host, of.rules, of.short, reader)


def _miss(host: str, rules: Sequence[str], short: Mapping[str, float], reader: Reader) -> dict[str, Any]:
    told = [{"rule": one, "text": render(f"rule.{one}", {}, reader.lang)} for one in rules]
    return {"host": host, "rules": told, "short": dict(short)}


def placement(row: Row, reader: Reader) -> dict[str, Any]:
    """What the scheduler decided for one item of a request. Hosts are named to those who may see the fleet."""
    kept = row["record"]
    hosts = {name: kept.get(name) if reader.fleet else None for name in ("chosen", "given", "best", "preempted", "after")}
    near = [_miss(one["host"], one["rules"], one["short"], reader) for one in kept["nearest"]] if reader.fleet else None
    return {
        "id": row["id"],
        "project": row["project"],
        "request_id": row["request_id"],
        "actor": row["actor"],
        "placed": row["placed"],
        **{name: kept[name] for name in ("names", "flavor", "asked", "hosts", "fits")},
        "room": kept.get("room"),
        "promised": "after" in kept,
        "rules": [{**one, "text": render(f"rule.{one['rule']}", {}, reader.lang)} for one in kept["rules"]],
        **hosts,
        "nearest": near,
        "at": time(row["created_at"]),
    }
