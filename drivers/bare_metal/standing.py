"""How a machine stands, for its operators and for placing: pure. Its record in, a word or a reason out."""

from __future__ import annotations

from enum import StrEnum

from drivers.bare_metal.record import Record, Stage, Step, quarantined
from drivers.base import Reason


def closed(record: Record, *, depot: bool) -> Reason | None:
    """Why nobody is given this machine."""
    if record.quarantine is not None:
        return quarantined(record.quarantine)
    if not depot:
        return Reason("machine_only_seen")
    if record.tenant is None and record.work is not None and record.work.step is Step.WIPE:
        return Reason("machine_wiping")
    return None if record.inspection is not None else Reason("machine_uninspected")


class State(StrEnum):
    """A machine, in one word, for its operators."""

    UNINSPECTED = "uninspected"
    INSPECTING = "inspecting"
    FREE = "free"
    PROVISIONING = "provisioning"
    OCCUPIED = "occupied"
    WIPING = "wiping"
    QUARANTINED = "quarantined"


def state(record: Record) -> State:
    """In which of them it is."""
    tenant, work = record.tenant, record.work
    if tenant is not None:
        return State.OCCUPIED if tenant.ready else State.WIPING if tenant.stage is Stage.WIPING else State.PROVISIONING
    if work is not None:
        return State.WIPING if work.step is Step.WIPE else State.INSPECTING
    if record.quarantine is not None:
        return State.QUARANTINED
    return State.FREE if record.inspection is not None else State.UNINSPECTED
