"""Open connections to endpoints: one driver for each, opened when first needed, closed when it is replaced or the controller ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from controller.sealing import Broken, Seal
from drivers.base import Driver, Events, Prepare
from drivers.errors import DriverError
from drivers.journal import Journal, Journaled, Workplace
from drivers.registry import open_driver

OWN: Final = "own"
"""As the option `certificates`: the controller's own."""

Endpoint = Mapping[str, Any]
"""A row of `endpoints`: id, driver, uri, options, credentials (sealed, bound to the id)."""


class CredentialsSealed(DriverError):
    """The endpoint's credentials can't be opened with the controller's keys. Parameters: `detail`."""

    code = "credentials_sealed"


@dataclass(slots=True)
class _Slot:
    lock: threading.Lock = field(default_factory=threading.Lock)
    driver: Driver | None = None
    opened_for: tuple[str, ...] | None = None


class Connections:
    """All drivers of this process. `wake(instance_id)` is called when a backend says that something changed, `look(endpoint_id)` where that
    was hosts; `certificates()` tells the folder of the controller's own.
    """

    def __init__(
        self,
        owner: str,
        wake: Callable[[str], None],
        seal: Seal,
        certificates: Callable[[], Path],
        look: Callable[[str], None] = lambda _: None,
        *,
        journal: Callable[[str], Journal] | None = None,
        workplace: Workplace | None = None,
    ) -> None:
        self._owner, self._wake, self._seal, self._certificates, self._look = owner, wake, seal, certificates, look
        self._journal, self._workplace = journal, workplace
        self._lock = threading.Lock()
        self._slots: dict[str, _Slot] = {}

    def driver(self, endpoint: Endpoint) -> Driver:
        """The open driver of an endpoint; others wait while one thread opens it.

        Raises what the driver's opening raises.
        """
        with self._lock:
            slot = self._slots.setdefault(endpoint["id"], _Slot())
        wanted = (endpoint["driver"], endpoint["uri"], repr(sorted(endpoint["options"].items())), endpoint["credentials"])
        with slot.lock:
            if slot.driver is not None and slot.opened_for == wanted:
                return slot.driver
            if slot.driver is not None:
                slot.driver.close()
            slot.driver = self.open(endpoint, self.opened(endpoint))
            slot.opened_for = wanted
            if isinstance(slot.driver, Events):
                slot.driver.watch(partial(self._heard, endpoint["id"]))
            return slot.driver

    def _heard(self, endpoint_id: str, instance_id: str) -> None:
        if instance_id:
            self._wake(instance_id)
        else:
            self._look(endpoint_id)

    def open(self, endpoint: Endpoint, credentials: str) -> Driver:
        """A connection of its own, prepared for instances; the caller closes it. `credentials`: in clear, empty for none."""
        options = {**endpoint["options"], **({"credentials": credentials} if credentials else {})}
        if options.get("certificates") == OWN:
            try:
                options["certificates"] = str(self._certificates())
            except Broken as error:
                raise CredentialsSealed(detail=str(error)) from error
        driver = open_driver(endpoint["driver"], endpoint["uri"], self._owner, options)
        if isinstance(driver, Journaled) and self._journal and self._workplace:
            driver.keep(self._journal(endpoint["id"]), self._workplace)
        if isinstance(driver, Prepare):
            driver.prepare()
        return driver

    def sealed(self, credentials: str, endpoint_id: str) -> str:
        """Credentials as they are kept."""
        return self._seal.close(credentials, endpoint_id) if credentials else ""

    def opened(self, endpoint: Endpoint) -> str:
        """An endpoint's credentials in clear. Raises CredentialsSealed."""
        try:
            return self._seal.open(endpoint["credentials"], endpoint["id"]) if endpoint["credentials"] else ""
        except Broken as error:
            raise CredentialsSealed(detail=str(error)) from error

    def drop(self, endpoint_id: str) -> None:
        """Close the connection of an endpoint that is no longer ours."""
        with self._lock:
            slot = self._slots.pop(endpoint_id, None)
        if slot and slot.driver:
            slot.driver.close()

    def close(self) -> None:
        """Close them all."""
        for id_ in list(self._slots):
            self.drop(id_)
