"""Instances of the ROADEF/EURO challenge 2012: reading and writing its files.

Enters: a path, gzipped or not. Leaves: a problem of `scheduler.reassign`; an assignment as machine numbers with spaces between them.
A file is one run of whole numbers whatever its line breaks, so it is read as such; more or fewer than announced is an error.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from scheduler.reassign.problem import Ints, Problem, ints


def read_problem(model: Path, assignment: Path) -> Problem:
    """A model file and the assignment to start from."""
    numbers = _Numbers(_words(model))
    resources = numbers.table(numbers.one(), 2)
    kinds = len(resources)
    machines = numbers.one()
    machine = numbers.table(machines, 2 + 2 * kinds + machines)
    spread, depends = _services(numbers)
    process = numbers.table(numbers.one(), kinds + 2)
    balance = numbers.table(numbers.one(), 4)
    process_weight, service_weight, machine_weight = (numbers.one() for _ in range(3))
    numbers.end()
    return Problem(
        initial=read_assignment(assignment, len(process)),
        need=ints(process[:, 1:-1], len(process), kinds),
        service=ints(process[:, 0], -1),
        process_cost=ints(process[:, -1], -1),
        capacity=ints(machine[:, 2 : 2 + kinds], machines, kinds),
        safety=ints(machine[:, 2 + kinds : 2 + 2 * kinds], machines, kinds),
        location=ints(machine[:, 1], -1),
        neighbourhood=ints(machine[:, 0], -1),
        machine_cost=ints(machine[:, 2 + 2 * kinds :], machines, machines),
        transient=resources[:, 0].astype(np.bool_),
        load_weight=ints(resources[:, 1], -1),
        spread=spread,
        depends=depends,
        balance=balance,
        process_weight=process_weight,
        service_weight=service_weight,
        machine_weight=machine_weight,
    )


def read_assignment(path: Path, processes: int) -> Ints:
    """The machine of each process."""
    found = _words(path)
    if len(found) != processes:
        raise ValueError(f"{path.name}: {len(found)} machines for {processes} processes")
    return found


def write_assignment(path: Path, assignment: Ints) -> None:
    """As the challenge's own checker reads it."""
    path.write_text(" ".join(map(str, assignment.tolist())) + "\n", encoding="ascii")


def _words(path: Path) -> Ints:
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    return np.array(content.split(), dtype=np.int64)


def _services(numbers: _Numbers) -> tuple[Ints, Ints]:
    """Locations at least of each, and pairs of a service and one that it depends on."""
    spread: list[int] = []
    depends: list[tuple[int, int]] = []
    for service in range(numbers.one()):
        spread.append(numbers.one())
        depends.extend((service, numbers.one()) for _ in range(numbers.one()))
    return ints(spread, -1), ints(depends, -1, 2)


class _Numbers:
    """A cursor over the numbers of a file."""

    def __init__(self, values: Ints) -> None:
        self._values = values
        self._at = 0

    def one(self) -> int:
        return int(self.table(1, 1)[0, 0])

    def table(self, rows: int, columns: int) -> Ints:
        count = rows * columns
        part = self._values[self._at : self._at + count]
        if len(part) != count:
            raise ValueError("the model ends too early")
        self._at += count
        return part.reshape(rows, columns)

    def end(self) -> None:
        if self._at != len(self._values):
            raise ValueError(f"{len(self._values) - self._at} numbers after the end of the model")
