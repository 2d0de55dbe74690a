"""How bare machines, runs of playbooks and clearing certificates look to a reader."""

from __future__ import annotations

from typing import Any

from controller.messages import render
from controller.model.views import Reader, Row, reason, shown, time


def machine(row: Row, reader: Reader) -> dict[str, Any]:
    """A machine; `row` as `actions.machines.find` gives it."""
    inspection = dict(row["inspection"]) if row["inspection"] else None
    differences = inspection.pop("differences", []) if inspection else []
    return {
        "id": row["id"],
        "host": row["name"],
        "state": row["state"],
        "power": row["power"],
        "power_wanted": row["power_wanted"],
        "instance_id": row["instance_id"],
        "instance": row["instance"],
        "address": row["address"],
        "host_key": row["host_key"],
        "run_id": row["run_id"],
        "step": row["step"],
        "progress": row["progress"],
        "reason": reason(row["quarantine"], reader),
        "inspection": inspection,
        "differences": differences,
    }


def run(row: Row, reader: Reader) -> dict[str, Any]:
    """A run; with its tasks where the row has them."""
    fields = ("id", "host", "endpoint", "instance_id", "instance", "project", "step", "playbook", "digest", "state", "progress")
    return {
        **{name: row[name] for name in fields},
        "reason": reason(row["reason"], reader),
        "tasks": [_task(one, reader) for one in row["tasks"]] if "tasks" in row else None,
        "began_at": time(row["began_at"]),
        "ended_at": time(row["ended_at"]),
    }


def _task(task: Row, reader: Reader) -> dict[str, Any]:
    why = task.get("reason")
    text = render(why["code"], shown(why["params"], reader), reader.lang) if why else task.get("detail") or None
    return {**{name: task.get(name) for name in ("name", "state", "started_s", "seconds")}, "text": text}


def certificate(row: Row, reader: Reader) -> dict[str, Any]:
    """A clearing certificate; where hosts are not for the reader, it names none."""
    fields = ("id", "run_id", "instance_id", "instance", "project", "disk_serial", "document", "signature")
    return {
        **{name: row[name] for name in fields},
        "host": row["host"] if reader.fleet else None,
        "verify_key": row.get("verify_key"),
        "created_at": time(row["created_at"]),
    }
