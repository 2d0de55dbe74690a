"""What tests of the reconciler ask of a cloud, and what they look at afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from controller.actions import instances as verbs
from controller.actions.admit import admit
from controller.actions.draft import Accepted, Admission
from controller.store import events, sql
from controller.store import instances as store
from drivers.fake.lifecycle import Record
from scheduler.fleet import Fleet
from tests.controller import ledger
from tests.controller.fixtures import Cloud, submission
from tests.controller.stepping import Stepper

Row = Mapping[str, Any]
_WRITTEN = ("instances", "allocations", "events", "usage", "hosts", "requests")


@dataclass(frozen=True)
class Case:
    """A verb and what it leads to: state, power, and how often it was switched on in all."""

    verb: str
    more: tuple[Any, ...] = ()
    stopped_first: bool = False
    state: str = "active"
    boots: int = 1
    flavor: str = "small"
    build: int = 1


def create(cloud: Cloud, count: int = 1, **more: Any) -> list[str]:
    """New instances, accepted but not built; their ids."""
    (outcome,) = cloud.run(lambda conn: admit(conn, cloud.admission(), [submission(cloud.admin, count=count, **more)]))
    assert isinstance(outcome, Accepted), outcome
    return list(outcome.request["instances"])


def look(cloud: Cloud, admission: Admission, **later: float) -> Fleet:
    """What a controller sees of the fleet, now or so much later."""
    return cloud.run(lambda conn: admission.view.refresh(conn, sql.scalar(conn, "SELECT now()") + timedelta(**later)))


def running(cloud: Cloud, **more: Any) -> str:
    """A new instance that runs."""
    (id_,) = create(cloud, **more)
    Stepper(cloud).settle()
    assert row_of(cloud, id_)["state"] == "active"
    return id_


def ask(cloud: Cloud, verb: str, id_: str, *more: Any) -> None:
    """What a person asks of an instance."""
    action = getattr(verbs, verb)
    cloud.run(lambda conn: action(conn, cloud.env, cloud.admin, id_, *more, None))


def row_of(cloud: Cloud, id_: str) -> Row:
    found = cloud.run(lambda conn: store.get(conn, id_))
    assert found is not None
    return found


def told(cloud: Cloud, id_: str) -> list[str]:
    """The kinds of all facts about an object, oldest first."""
    return [row["kind"] for row in cloud.run(lambda conn: events.latest(conn, None, id_, 200))]


def backend(cloud: Cloud, id_: str) -> Record:
    return cloud.world.records()[id_]


def all_rows(cloud: Cloud) -> list[Any]:
    """Every row that a pass might write."""
    return [cloud.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in _WRITTEN]  # noqa: S608


def sound(cloud: Cloud) -> None:
    assert cloud.run(ledger.wrong) == []
    assert cloud.world.violations == []


def nothing_left(cloud: Cloud) -> None:
    sound(cloud)
    assert cloud.world.records() == {}
    assert cloud.rows("SELECT * FROM allocations") == []
    assert cloud.rows("SELECT * FROM usage WHERE instances + vcpus + memory_mib + disk_gib + held_instances <> 0") == []
    assert cloud.rows("SELECT * FROM hosts WHERE used_instances + used_vcpus + used_memory_mib <> 0") == []


def arrived(cloud: Cloud, case: Case, id_: str) -> None:
    """All that must hold in the end, whatever happened on the way."""
    row = row_of(cloud, id_)
    assert (row["state"], row["observed_generation"]) == (case.state, row["generation"]), row
    assert row["deadline_at"] is None
    sound(cloud)
    if case.state == "deleted":
        nothing_left(cloud)
        return
    record = backend(cloud, id_)
    assert record.live == (case.state == "active")
    assert (record.generation, record.build) == (row["generation"], case.build)
    assert row["flavor"] == case.flavor
    assert record.vcpus == row["vcpus"]
    assert cloud.rows("SELECT vcpus FROM allocations") == [{"vcpus": record.vcpus}]
    assert cloud.world.boots(id_) == case.boots


def quickly(cloud: Cloud, **changes: Any) -> Cloud:
    """The same cloud with other settings; by default it tries again at once."""
    return replace(cloud, settings=cloud.settings.model_copy(update={"retry_max_s": 0.02, **changes}))
