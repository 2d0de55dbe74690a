"""Ask a machine's BMC whether it is off, for hosts that their backend lost sight of.

In: an endpoint and its silent hosts. Out: those whose machine is proven off. The controller alone can tie the two together, as it sees both
endpoints: a host whose machine has the UUID that a BMC gives its own.

Why nothing runs twice, whatever happens to the machine meanwhile:

1. A host counts as fenced only on an answer to a question that was asked after its backend had called it silent. What a look at the BMC
   found before, and is on record, is no proof: it may have been switched on since. So nothing is remembered; each look asks anew, and a
   machine that is on again, or whose BMC does not answer, is not fenced any more.
2. A fenced host's containers get other places (`actions.relocating`). That alone starts nothing: it gives them a new spec, and the driver
   tells the one before to end. From then on it is never started again where it is, even by a kubelet that has just booted (`leaving`).
3. Only then is the BMC asked again, by the pass over that very container, and only an answer to a question asked after the pass had seen it
   leaving counts. Off at that moment: what ran of it has ended with the power, and it can't begin again. So its record is taken away
   (`Releases`), and it is made anew.

No step relies on how long anything takes: a controller may be halted between any two of them while the machine is switched on, and what it
then does is still true. A machine switched on before step 3 ends what it is told to by its own kubelet, as one does that was never off.

What would break it is a tie that is wrong, so it is drawn only where it can be no other: UUIDs that vendors ship on every board are none
(`drivers.identity`), a machine that two hosts claim, or two BMCs, is nobody's. And an OFF that is none: a machine that hibernates looks off
and wakes with all that ran, and a BMC that stands for a virtual machine may speak of what a migration left behind. Neither is for a node.

Rejected: the BMC's own look writing down what it saw, for others to read. It would be as old as it is, and how old may it be?
Rejected: fencing by switching the machine off ourselves, unasked. It would do more than anybody asked for, to a machine that may only have
lost its network. Asked for (`actions.fencing`), the machine is switched off (`switching`), and all of the above is as it is: that somebody
commanded it proves nothing.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from controller.connections import Connections
from controller.model import fencing
from controller.store import bmcs
from controller.store.database import Database
from controller.store.sql import Row
from drivers.base import Inventory, Reason
from drivers.errors import DriverError

_AT_ONCE = 16  # BMCs asked by one look


class Fencing:
    """What asks BMCs, for one loop of a controller."""

    def __init__(self, database: Database, connections: Connections) -> None:
        self._database, self._connections = database, connections
        self._lock = threading.Lock()
        self._asking: dict[str, threading.Lock] = {}  # by endpoint
        self._answers: dict[str, tuple[float, Inventory | None]] = {}  # the last one, and when it was asked for

    def judge(self, endpoint_id: str, inventory: Inventory) -> Inventory:
        """What a look found at an endpoint, with those of its silent hosts fenced whose machine is off now."""
        machines = {host.name: host.machine for host in inventory.hosts}
        found = self._proofs(endpoint_id, fencing.silent(inventory))
        return fencing.judged(inventory, {name: proof for name, (of_host, proof) in found.items() if machines[name] == of_host})

    def dead(self, endpoint_id: str, hosts: Sequence[str]) -> dict[str, Reason]:
        """Which of an endpoint's hosts are off, with what proves it: for one that does not answer at all, recorded as silent before."""
        return {name: proof for name, (_, proof) in self._proofs(endpoint_id, hosts).items()}

    def _proofs(self, endpoint_id: str, hosts: Sequence[str]) -> dict[str, tuple[str, Reason]]:
        """Of those whose machine is off now: what their backend calls it, and what proves it."""
        ties = self._ties(endpoint_id, hosts) if hosts else []
        if not ties:
            return {}
        with ThreadPoolExecutor(min(_AT_ONCE, len(ties)), thread_name_prefix="bmc") as pool:
            proofs = list(pool.map(self._proof, ties))
        return {tie["host"]: (tie["of_host"], one) for tie, one in zip(ties, proofs, strict=True) if one is not None}

    def off(self, endpoint_id: str, host: str) -> bool:
        """Whether a host that counts as fenced is off, by the answer to a question that was asked after this call began."""
        return any(tie["state"] == "fenced" and self._proof(tie) is not None for tie in self._ties(endpoint_id, [host]))

    def _ties(self, endpoint_id: str, hosts: Sequence[str]) -> Sequence[Row]:
        return self._database.run(lambda conn: bmcs.behind(conn, endpoint_id, hosts))

    def _proof(self, tie: Row) -> Reason | None:
        off = fencing.says_off(self._ask(tie["bmc"]), tie["machine"])
        return fencing.proof(tie["bmc"]["name"], tie["now"]) if off else None

    def _ask(self, endpoint: Row) -> Inventory | None:
        """What the BMC says from now on; of many who ask at once the first asks for all that came before it did."""
        came = time.monotonic()
        with self._lock:
            asking = self._asking.setdefault(endpoint["id"], threading.Lock())
        with asking:
            asked, answer = self._answers.get(endpoint["id"], (-math.inf, None))
            if asked <= came:
                asked = time.monotonic()
                try:
                    answer = self._connections.driver(endpoint).inventory()
                except DriverError:
                    answer = None  # it says nothing; its own look tells why
                self._answers[endpoint["id"]] = asked, answer
            return answer
