"""One pass over one instance: look, decide, act, look again.

Enters: an open driver, the instance's row, the time as the database tells it. Leaves: what to record and what to say. No database here, and
no memory: the pass may be cut off anywhere and run again by anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import structlog

from controller.config import Settings
from controller.model import translate
from controller.model.lifecycle import ALTERED, SETTLED, UNBUILT, Act, Goal, Look, State, Step, next_step
from controller.sealing import Broken, Seal
from controller.store.events import Event, event
from drivers.adopting import Adopts
from drivers.base import Condition, Driver, InstanceSpec, Observation, Reason, Releases
from drivers.errors import DriverError, HostUnreachable, Permanent, TenantUnsettled, Transient

log = structlog.get_logger()
BUSY_S, BUSY_MAX_S = 0.2, 2.0  # pauses between looks at something under way: doubled each time
_TOLD_S = 30.0  # the same where the backend will say when there is more to be seen, in case that its word is lost
_SILENT = "host_silent"  # whoever looks at hosts tells of all that a silent one runs
_HELD = (Condition.BUSY, Condition.STOPPED)  # with a reason: in trouble, of which it may still come out
_ADDRESS_S, _ADDRESS_FOR_S = 2.0, 120.0  # a guest that has just booted gets its address a little later


DISOWNED = "instance.disowned"
"""What is told in place of its deletion."""
Settle = Callable[[Driver], None]
Off = Callable[[str], bool]


class UserDataSealed(Permanent):
    """The instance's user data can't be opened with the controller's keys. Parameters: `detail`."""

    code = "user_data_sealed"


def _unasked(driver: Driver) -> None:
    raise DriverError(detail=f"{type(driver).__name__} asks for shares, and nobody tells it of them")


def _unproven(_host: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a pass found. `record` fits `store.instances.record`; `unreachable`: the endpoint should be looked at as a whole; `told`: the
    backend will say when there is more to be seen.
    """

    record: Mapping[str, Any]
    facts: tuple[Event, ...] = ()
    unreachable: bool = False
    told: bool = False


def run(
    connect: Callable[[], Driver],
    row: Mapping[str, Any],
    settings: Settings,
    seal: Seal,
    settle: Settle = _unasked,
    off: Off = _unproven,
) -> Outcome:
    """Do one pass. Never raises: a driver that can't be opened or used is an outcome too.

    `settle` tells the endpoint of the project's share, where its driver asks for that; `off` whether one of its hosts is off from when it
    is asked on, at some moment (`fencing`).
    """
    seen: Observation | None = None
    facts: tuple[Event, ...] = ()
    try:
        driver = connect()
        if row["disowned"]:  # before it is looked at: what is not found any more may bear a mark still
            _disown(driver, row)
        seen = _observe(driver, row["id"], off)
        step = next_step(_look(row, seen, settings))
        facts = _drift(row, seen, step)
        if step.act is Act.NOTHING:
            return _result(row, seen, step, facts, settings)
        if step.act is Act.REMOVE and row["disowned"]:
            raise Transient(detail="it bears our marks still")
        if step.act is Act.REMOVE:
            driver.remove(row["id"])
        else:
            _ensure(driver, translate.spec(row, settings.image_dir, step.force, _opened(row, seal)), settle)
        seen = driver.observe(row["id"])
        after = next_step(_look(row, seen, settings))
        return _result(row, seen, after if after.done else Step(Act.NOTHING, step.state), facts, settings)
    except DriverError as error:
        return _failed(row, seen, error, facts, settings)
    except Exception as error:
        log.exception("driver_broke", instance=row["id"])
        return _failed(row, seen, DriverError(detail=f"{type(error).__name__}: {error}"[:300]), facts, settings)


def _observe(driver: Driver, id_: str, off: Off) -> Observation:
    """What is seen of it, without what is left of it on a host that is off. The order is what makes that safe: leaving, then off."""
    seen = driver.observe(id_)
    if not (seen.leaving and seen.host and isinstance(driver, Releases) and off(seen.host)):
        return seen
    log.info("released", instance=id_, host=seen.host)
    driver.release(id_, seen.host)
    return driver.observe(id_)


def _disown(driver: Driver, row: Mapping[str, Any]) -> None:
    if not isinstance(driver, Adopts):
        raise DriverError(detail=f"{type(driver).__name__} can't give back what it adopted")
    driver.disown(row["id"], row["adopted"])


def _ensure(driver: Driver, spec: InstanceSpec, settle: Settle) -> None:
    try:
        driver.ensure(spec)
    except TenantUnsettled:
        settle(driver)
        driver.ensure(spec)


def _opened(row: Mapping[str, Any], seal: Seal) -> str:
    """The instance's user data in clear, for the moment it is needed."""
    try:
        return seal.open(row["user_data"], row["request_id"]) if row["user_data"] else ""
    except Broken as error:
        raise UserDataSealed(detail=str(error)) from error


def _look(row: Mapping[str, Any], seen: Observation, settings: Settings) -> Look:
    asked_for = row["now"] - row["asked_at"]
    return Look(
        goal=Goal(row["goal"]),
        state=State(row["state"]),
        condition=seen.condition,
        current=seen.generation == row["generation"],
        armed=row["generation"] > row["observed_generation"],
        overdue=asked_for > timedelta(seconds=settings.build_deadline_s),
        grace_over=asked_for > timedelta(seconds=settings.stop_grace_s),
        built=row["built"] >= row["build"],
        kept=seen.generation is not None,
        held=seen.condition is Condition.BUSY and seen.reason is not None,
    )


def _drift(row: Mapping[str, Any], seen: Observation, step: Step) -> tuple[Event, ...]:
    """Somebody acted behind our back, or it came into trouble by itself; said once, when it is first seen."""
    if seen.reason is not None and seen.condition in _HELD and not step.done:
        return (_fact(row, "instance.troubled", **_why(seen.reason)),) if _news(row, seen.reason) else ()
    if step.event is None or step.act is Act.NOTHING:
        return ()
    if row["attempts"] if step.event == ALTERED else row["condition"] == seen.condition:
        return ()
    return (_fact(row, step.event, **_why(seen.reason)),)


def _news(row: Mapping[str, Any], reason: Reason) -> bool:
    settled = row["state"] in SETTLED and row["generation"] == row["observed_generation"] and row["goal"] != Goal.GONE
    return settled and reason.code != _SILENT and row["condition"] not in _HELD


def _mended(row: Mapping[str, Any], step: Step) -> tuple[Event, ...]:
    """A settled instance of which nothing was asked had gone astray and is back, in this pass or after several."""
    asked = row["generation"] > row["observed_generation"]
    back = step.done and step.state in SETTLED and step.state == row["state"]
    return (_fact(row, "instance.mended"),) if back and not asked else ()


def _result(row: Mapping[str, Any], seen: Observation, step: Step, facts: tuple[Event, ...], settings: Settings) -> Outcome:
    reason = seen.reason
    unseen = row["reason"] is not None and row["reason"]["code"] == _SILENT  # it was only that nobody could say
    if facts or (row["condition"] != seen.condition and not unseen):
        facts = (*facts, *_mended(row, step))
    if step.done and step.event:
        if step.event == "instance.failed":
            reason = reason or Reason("deadline_passed", {"seconds": settings.build_deadline_s})
        facts = (*facts, _fact(row, DISOWNED if row["disowned"] else step.event, **_why(reason)))
    keeps = step.state is State.ERROR and row["state"] == State.ERROR  # the reason why it ended badly stands until it ends otherwise
    return Outcome(
        {
            **_base(row),
            "state": step.state,
            "condition": seen.condition,
            "reason": row["reason"] if keeps else translate.reason(reason),
            "addresses": list(seen.addresses) if seen.condition is Condition.RUNNING else [],
            "built": row["build"] if step.done and step.state in SETTLED else 0,
            "attempts": 0 if step.done else row["attempts"] + 1,
            "observed_generation": row["generation"] if step.done else row["observed_generation"],
            "settled": step.done,
            "again_s": _again(row, seen, step),
        },
        facts,
        told=seen.told and not step.done,
    )


def _again(row: Mapping[str, Any], seen: Observation, step: Step) -> float | None:
    """In how many seconds to look again; None where only a change calls for it."""
    if not step.done:
        return _TOLD_S if seen.told else float(min(BUSY_S * 2.0 ** min(row["attempts"], 6), BUSY_MAX_S))
    fresh: bool = row["now"] - row["asked_at"] < timedelta(seconds=_ADDRESS_FOR_S)
    return _ADDRESS_S if step.state is State.ACTIVE and not seen.addresses and fresh else None


def _failed(row: Mapping[str, Any], seen: Observation | None, error: DriverError, facts: tuple[Event, ...], settings: Settings) -> Outcome:
    """A driver said no. Permanent: the instance is in error and says why. Otherwise: again later, a little later each time."""
    reason = _named(row, error.reason)
    given_up = isinstance(error, Permanent) and row["goal"] != Goal.GONE
    overdue = row["now"] - row["asked_at"] > timedelta(seconds=settings.build_deadline_s)
    if not given_up and overdue and row["state"] in UNBUILT and row["goal"] != Goal.GONE:
        given_up = True
    state = State.ERROR if given_up else State(row["state"])
    if row["goal"] == Goal.GONE:
        state = State.DELETING
    if given_up and (row["state"] != State.ERROR or row["generation"] > row["observed_generation"]):
        facts = (*facts, _fact(row, "instance.failed", **_why(reason)))
    elif not given_up and row["attempts"] == 2:  # said once: a first failure may pass by itself
        facts = (*facts, _fact(row, "instance.retrying", **_why(reason)))
    return Outcome(
        {
            **_base(row),
            "state": state,
            "condition": seen.condition if seen else row["condition"],
            "reason": translate.reason(reason),
            "addresses": row["addresses"],
            "built": 0,
            "attempts": row["attempts"] + 1,
            "observed_generation": row["generation"] if given_up else row["observed_generation"],
            "settled": given_up,
            "again_s": None if given_up else min(0.5 * 2.0 ** min(row["attempts"], 10), settings.retry_max_s),
        },
        facts,
        unreachable=isinstance(error, HostUnreachable),
    )


def _named(row: Mapping[str, Any], reason: Reason) -> Reason:
    """With the image's name: drivers know its id alone, people don't."""
    return replace(reason, params={**reason.params, "image": row["image_name"]}) if "image" in reason.params else reason


def _base(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": row["id"], "generation": row["generation"], "resized": row["generation"] > 1}


def _why(reason: Reason | None) -> dict[str, Any]:
    return {} if reason is None else {"why": reason.code, **reason.params}


def _fact(row: Mapping[str, Any], kind: str, **params: Any) -> Event:
    return event(kind, "instance", row["id"], row["name"], row["project_id"], "chutian", host=row["host"], **params)
