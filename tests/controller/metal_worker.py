"""What one controller does for one machine, in a process that can be killed: `python -m tests.controller.metal_worker SETTINGS` (JSON)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from controller.journals import DatabaseJournal
from controller.sealing import Seal
from controller.store.database import Database
from drivers.bare_metal.driver import BareMetalDriver, open_bare_metal
from drivers.base import Image, InstanceSpec, Power
from drivers.errors import DriverError
from drivers.journal import Workplace

SEAL = Seal("a", {"a": bytes(16)})


def spec(image: str, hypervisor: str = "") -> InstanceSpec:
    made = Image("i", image, "raw", 4, 4, "0" * 64, "0" * 64)
    return InstanceSpec(
        "01a21bce-0000-7000-8000-000000000001", "01a21bce-0000-7000-8000-000000000002", "db-1", "bare_metal", "ABC1234", 64, 1024, 8, 0,
        "x86_64", made, Power.RUNNING, generation=1, hypervisor=hypervisor,
    )  # fmt: skip


@contextmanager
def driver(given: Mapping[str, Any]) -> Iterator[BareMetalDriver]:
    """One with a workplace of its own. `given`: database_url, endpoint_id, uri, options, folder, playbooks, notes."""
    with closing(open_bare_metal(given["uri"], "owner", given["options"])) as made, closing(Database(given["database_url"], 6)) as database:
        assert isinstance(made, BareMetalDriver)
        journal = DatabaseJournal(database, SEAL, given["endpoint_id"])
        listen = given["depot_listen"]
        made.keep(journal, Workplace(Path(given["folder"]), listen, f"http://{listen}", Path(given["playbooks"]), 2, given["notes"]))
        yield made


def main(given: Mapping[str, Any]) -> None:
    """Look, and want the instance, again and again, as the reconciler does."""
    with driver(given) as works:
        while True:
            try:
                works.tend()
                works.ensure(spec(given["image"], given["hypervisor"]))
            except DriverError as error:
                print(error, flush=True)
            time.sleep(0.2)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
