"""What `ensure` does next: a pure, total function from what is asked and what is seen to a few steps.

Invariants:

* Cut short between any two steps, the next call finds a state from which the same function leads on.
* A guest that must be off is asked politely and the plan ends there (ASK_OFF, without STAMP); a later call sees it off and goes on.
  Nobody remembers having asked: each call asks again, which also reaches a guest that was still booting. With `force` it is cut off at
  once.
* A reboot asked for politely is such a stop and a start: only so can it be told from a guest that ignored it, and what boots has been
  verified. With `force` it is a reset.
* Rebuilding throws the disk away, so nothing is asked of the guest first; the new disk is made before the old guest is cut off.
* STAMP comes last and only when the whole spec holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from drivers.base import InstanceSpec, Power
from drivers.libvirt.domain import Mark, Size


class Body(StrEnum):
    """What a domain is, as far as the plan goes."""

    OFF = "off"
    ON = "on"
    PAUSED = "paused"
    ASLEEP = "asleep"
    CRASHED = "crashed"
    BUSY = "busy"


class Step(StrEnum):
    """One thing to do; each may be repeated safely."""

    CUT_OFF = "cut_off"
    RESUME = "resume"
    WAKE = "wake"
    ASK_OFF = "ask_off"  # always the last
    RESET = "reset"
    MAKE_DISK = "make_disk"
    GROW_DISK = "grow_disk"
    DEFINE = "define"
    START = "start"
    TIDY = "tidy"
    STAMP = "stamp"


@dataclass(frozen=True, slots=True)
class Seen:
    """One domain of ours. `disk_bytes` is None where the root disk is gone. Not `kept`: undefined while it runs."""

    mark: Mark
    body: Body
    size: Size
    disk_bytes: int | None
    kept: bool = True


def steps(spec: InstanceSpec, seen: Seen | None, disk_bytes: int) -> tuple[Step, ...]:
    """The steps towards the spec; `disk_bytes` is the root disk's wanted size."""
    up = (Step.START,) if spec.power is Power.RUNNING else ()
    if seen is None:
        return (Step.MAKE_DISK, Step.DEFINE, *up, Step.TIDY, Step.STAMP)
    off = () if seen.body is Body.OFF else (Step.CUT_OFF,)
    if seen.mark.build != spec.build:
        return (Step.MAKE_DISK, *off, Step.DEFINE, *up, Step.TIDY, Step.STAMP)  # a bad image leaves the guest running
    change = _change(spec, seen, disk_bytes)
    if seen.body in (Body.OFF, Body.CRASHED):
        return (*off, *change, *up, *_stamp(spec, seen))
    if spec.power is Power.STOPPED or change:
        return (*off, *change, *up, *_stamp(spec, seen)) if spec.force else _ask_off(seen)
    return _stay_on(spec, seen)


def _stay_on(spec: InstanceSpec, seen: Seen) -> tuple[Step, ...]:
    reboot = spec.reboots > seen.mark.reboots
    if seen.body is Body.BUSY:
        return (Step.RESET, *_stamp(spec, seen)) if reboot and spec.force else ()
    if reboot and not spec.force:
        return _ask_off(seen)
    kept = () if seen.kept else (Step.DEFINE,)
    return (*kept, *_rouse(seen), *((Step.RESET,) if reboot else ()), *_stamp(spec, seen))


def _ask_off(seen: Seen) -> tuple[Step, ...]:
    return () if seen.body is Body.BUSY else (*_rouse(seen), Step.ASK_OFF)


def _rouse(seen: Seen) -> tuple[Step, ...]:
    return {Body.PAUSED: (Step.RESUME,), Body.ASLEEP: (Step.WAKE,)}.get(seen.body, ())


def _change(spec: InstanceSpec, seen: Seen, disk_bytes: int) -> tuple[Step, ...]:
    grow = seen.disk_bytes is not None and seen.disk_bytes < disk_bytes
    define = seen.size != Size(spec.vcpus, spec.memory_mib) or seen.mark.binding != spec.binding
    return (*((Step.GROW_DISK,) if grow else ()), *((Step.DEFINE,) if define else ()))


def _stamp(spec: InstanceSpec, seen: Seen) -> tuple[Step, ...]:
    stamped = (seen.mark.generation, seen.mark.reboots, seen.mark.project)
    return () if stamped == (spec.generation, spec.reboots, spec.project_id) else (Step.TIDY, Step.STAMP)
