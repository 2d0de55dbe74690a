"""How an instance begins: from a request and the allocation that was made for it, whether its policy or an approver decided."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controller.model.devices import SHAPE
from controller.model.lifecycle import Goal, State
from controller.model.term import span

Row = Mapping[str, Any]


def begin(request: Row, allocation: Row, now: datetime) -> dict[str, Any]:
    """The row of a new instance, placed and counted; building begins when the reconciler sees it. It takes its allocation's id."""
    item = request["items"][allocation["item"]]
    return {
        **{name: allocation[name] for name in ("id", "project_id", "request_id", "name", "kind", "host_id", *SHAPE)},
        **{name: item[name] for name in ("flavor", "arch", "image_id", "spread", "user_data", "ssh_keys")},
        "container": item.get("container"),  # requests handed in before there was such a thing don't say
        "hypervisor": item.get("hypervisor"),
        "created_by": request["created_by"],
        "priority": request["priority"],
        "preemptible": item.get("preemptible", False),
        "goal": Goal.RUNNING,
        "state": State.PENDING,
        "since": now,
        "created_at": now,
        **span(request, now),
    }
