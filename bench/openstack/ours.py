"""Our controller, asked for instances over HTTP by as many callers: a process of its own, with its database, where the region is enrolled.

A few are made before, as a controller runs for months. Wall time ends with the transaction that recorded an instance as active.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import uvloop

from bench import cloud, creating
from bench.cloud import Fleet
from bench.openstack import site
from bench.openstack.round import Round
from bench.rig import Rig, running
from bench.wire import Wire
from tests.lab.openstack.rig import Region

WARM = 2
_BEATS_S = 2.0


def requested(region: Region, given: Mapping[str, Any], count: int, settings: Mapping[str, object]) -> tuple[Round, float]:
    """One round, CPU being the controller's; and the CPU of its database, in seconds."""
    with running(settings) as rig:
        return uvloop.run(_measure(region, given, rig, count))


async def _measure(region: Region, given: Mapping[str, Any], rig: Rig, count: int) -> tuple[Round, float]:
    wire = Wire("127.0.0.1", rig.port)
    options = {**given["options"], "credentials": given["credentials"]}
    departments = await cloud.set_up(wire, rig.token, 1, Fleet("openstack", given["uri"], site.CONTENT, "raw", options))
    await wire.close()
    await creating.create(rig, departments, WARM, WARM)
    await asyncio.sleep(_BEATS_S)
    before = site.requests(region)
    made = await creating.create(rig, departments, count, count)
    return Round(made.active_s, made.controller_cpu_s, site.requests(region) - before), made.database_cpu_s
