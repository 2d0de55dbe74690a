"""Power actions that are proven: asked for once, then looked at until they took. For who may wait, such as a step of a playbook; no driver.

A BMC answers 204 to what it doesn't carry out, so nothing here believes an answer: only the power state that is read afterwards. While it
is waited for, a BMC that is silent or busy is looked at again, as many are just when their machine changes; when the time is over, it is
its silence that is told.
"""

from __future__ import annotations

import time

from drivers.bare_metal.bmc import OFF, Bmc
from drivers.bare_metal.machine import Act
from drivers.base import HostPower
from drivers.errors import BmcBusy, BmcUnreachable, PowerUnchanged, Transient

EVERY_S = 1.0


def await_power(bmc: Bmc, wanted: HostPower, within_s: float, every_s: float = EVERY_S) -> float:
    """Look until the machine's power is as wanted; the seconds that it took.

    Raises PowerUnchanged when the time is over, BmcUnreachable or BmcBusy where the BMC's last answer was none, others at once.
    """
    since = time.monotonic()
    while True:
        last: Transient | None = None
        seen = HostPower.UNKNOWN
        try:
            seen = bmc.power()
        except (BmcUnreachable, BmcBusy) as error:
            last = error
        now = time.monotonic()
        if seen is wanted:
            return now - since
        if now - since + every_s > within_s:
            raise last or PowerUnchanged(wanted=wanted.value, seen=seen.value, seconds=round(within_s))
        time.sleep(every_s)


def turn(bmc: Bmc, wanted: HostPower, within_s: float, *, force: bool = False, every_s: float = EVERY_S) -> float:
    """Bring the machine to that power state and prove it; the seconds that it took, 0 where it was there already.

    An act whose answer got lost may have been taken all the same: it is looked at like any other. Raises as `await_power` and `Bmc.switch`.
    """
    if bmc.power() is wanted:
        return 0.0
    lost: BmcUnreachable | None = None
    try:
        bmc.switch(Act.ON if wanted is HostPower.ON else OFF[force])
    except BmcUnreachable as error:
        lost = error
    try:
        return await_power(bmc, wanted, within_s, every_s)
    except PowerUnchanged as unchanged:
        raise lost or unchanged from lost


def cycle(bmc: Bmc, within_s: float, *, force: bool = False, every_s: float = EVERY_S) -> float:
    """Off, then on, both proven, as a reset can't be: the power reads the same before and after it. Each half has the time given."""
    return sum(turn(bmc, wanted, within_s, force=force, every_s=every_s) for wanted in (HostPower.OFF, HostPower.ON))
