"""The machine reassignment problem as plain arrays, in the words of the ROADEF/EURO challenge 2012.

Enters: what there is to move, where it is, what it needs, what moving it costs. Leaves: `Problem`, which nothing changes. Rows are
machines, processes and services by number. Weights are apart from the costs that they weigh, so that a caller can see both.
Processes of one service never share a machine; a service covers at least `spread` locations; where a service depends on another, each
of its processes has one of the other in its neighbourhood; of a transient resource a process that moves takes from both machines.
Rejected: objects for machines and processes, which the compiled search would first have to turn into these arrays.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Bytes: TypeAlias = NDArray[np.int8]
Flags: TypeAlias = NDArray[np.bool_]


class Problem(NamedTuple):
    """P processes, M machines, R resources, S services, B balance objectives, D dependencies."""

    initial: Ints  # P: the machine each process is on
    need: Ints  # P x R
    service: Ints  # P
    process_cost: Ints  # P: of moving it at all
    capacity: Ints  # M x R
    safety: Ints  # M x R: use above it costs
    location: Ints  # M
    neighbourhood: Ints  # M
    machine_cost: Ints  # M x M: of moving anything from a machine to another
    transient: Flags  # R
    load_weight: Ints  # R
    spread: Ints  # S: locations at least
    depends: Ints  # D x 2: a service, and the one that it depends on
    balance: Ints  # B x 4: a resource, another, how much of the other there should be for each of the first, weight
    process_weight: int
    service_weight: int  # of the highest number of moved processes in one service
    machine_weight: int


def ints(values: Any, *shape: int) -> Ints:
    """Whole numbers as the arrays of a problem are."""
    return np.ascontiguousarray(np.array(values, dtype=np.int64).reshape(shape))
