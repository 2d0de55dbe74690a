"""Which of a few hosts can be emptied, and into which others: an integer program, solved exactly or as far as a bound on time allows.

In: a scene in which nothing moves meanwhile, hosts that may be emptied, hosts that may take somebody in. Out: an `Answer`, or None where
there is none: the problem is too large, a rule can't be said in it, or time passed before anything was found; the caller then does what
it can by itself. It is vector packing with conflicts: x_h = 1 where host h is emptied, y_gt of the equal residents g go to host t.

    maximise    sum x_h  (of equals: the fewest moves)
    for each g of h        sum_t y_gt = n_g x_h
    for each t, resource   sum_g need_g y_gt <= free_t (1 - x_t)
    for each group, t      sum_g y_gt <= most - members there now
    in all                 sum y_gt <= moves, sum x_h >= least, what is left free >= spare

Labels are in which y there are. Residents that must be together, lie apart by more than the host, or hold shares of GPUs or NUMA cells
are not for it. Whoever uses the answer simulates it: every rule is looked at once more there. HiGHS solves it (Huangfu and Hall,
Mathematical Programming Computation 10, 2018); its time is the only clock in the scheduler, so a plan of a slow machine may be worse, and
is never wrong. Rejected: OR-tools (ten times the size of all else here, for one model).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import highspy
import numpy as np

from scheduler.columns import Floats, Ints, Mask
from scheduler.constraints import eligible, fails, members_of
from scheduler.labels import wish_of
from scheduler.plans.scene import Scene
from scheduler.plans.types import HARD, lies_apart
from scheduler.scores import shape_of
from scheduler.types import SIZES, WHOLE_GPU, Item

SECONDS = 2.0
_MOST = 25_000  # columns: beyond, seconds don't suffice
_MOVES_COUNT = 0.4  # all moves together count for so much of one host
_HALF = 0.5
_SIZES = len(SIZES)
_ALIKE, _ROOM, _MOVES, _HOSTS, _SPARE, _GROUPS = range(6)  # parts of the rows


@dataclass(frozen=True, slots=True)
class Answer:
    """Where each resident of the hosts to be emptied goes, by host. `proved`: no more hosts than these can be emptied so."""

    targets: Mapping[str, Mapping[str, str]]
    proved: bool


@dataclass(frozen=True, slots=True)
class Task:
    """`hosts` that may be emptied, `into` which others (some of `hosts` perhaps), staying in `pool` where one is given; at least so many,
    with so many moves at most. `spare`: what shall be left free in all, of each resource as `columns.free` has it."""

    hosts: Sequence[str]
    into: Sequence[str]
    least: int
    moves: int
    pool: str | None = None
    spare: Ints = field(default_factory=lambda: np.zeros(_SIZES, np.int64))
    seconds: float = SECONDS


def solve(scene: Scene, task: Task) -> Answer | None:
    """Empty as many hosts as can be. An answer without hosts says that so many as are asked for can't be: that is proved."""
    hosts = [host for host in task.hosts if all(_sayable(scene.residents[key].item) for key in scene.running[host])]
    if len(hosts) < task.least:
        return None
    alike = list(_alike(scene, hosts, task.pool))
    program = _Program(scene, hosts, task)
    for number, some in enumerate(alike):
        program.add(number, some)
        if program.columns > _MOST:
            return None
    found = _run(program.finished(len(alike)), task.seconds)
    if found is None:
        return None
    values, proved = found
    targets: dict[str, dict[str, str]] = {host: {} for host, value in zip(hosts, values, strict=False) if value > _HALF}
    for some, first, into in program.ways:
        counts = np.rint(values[first : first + len(into)]).astype(int)
        chosen = [task.into[at] for at in np.repeat(into, counts).tolist()]
        if some.host in targets:
            targets[some.host].update(zip(some.keys, chosen, strict=True))
    return Answer(targets, proved)


def carry_out(scene: Scene, answer: Answer) -> bool:
    """Simulate the moves, each one checked against every rule; whether all were right. Where not, nothing has moved."""
    mark = scene.mark()
    with scene.shut(answer.targets):
        for targets in answer.targets.values():
            for key, target in targets.items():
                item = scene.wanted(key)
                if fails(scene.fleet, item, members_of(scene.fleet, item, {}))[scene.fleet.rows[target]]:
                    scene.undo(mark)
                    return False
                scene.shift((key,), [target])
    return True


# -- what is alike ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Alike:
    """Residents of one host that ask for the same; `apart`: the group whose members they lie apart from."""

    host: str
    keys: Sequence[str]
    item: Item
    apart: str | None


def _sayable(item: Item) -> bool:
    hard = item.spread is not None and item.spread.mode in HARD
    return not item.cells and (item.gpu_milli == WHOLE_GPU or not item.resources.gpus) and (not hard or lies_apart(item))


def _alike(scene: Scene, hosts: Sequence[str], pool: str | None) -> Iterator[_Alike]:
    for host in hosts:
        found: dict[tuple[object, object, str | None], list[str]] = defaultdict(list)
        for key in sorted(scene.running[host]):
            item = scene.residents[key].item
            found[shape_of(item), wish_of(item), _apart(item)].append(key)
        for (_, _, apart), keys in found.items():
            yield _Alike(host, keys, scene.wanted(keys[0], pool=pool), apart)


def _apart(item: Item) -> str | None:
    return item.spread.group if item.spread is not None and lies_apart(item) else None


# -- the program -----------------------------------------------------------------------------------------------------------------


class _Program:
    """Columns: x of each host, then y. Rows: one for each of `alike`, then free room, moves, hosts, the spare room, groups on hosts."""

    def __init__(self, scene: Scene, hosts: Sequence[str], task: Task) -> None:
        self._scene, self._hosts, self._task = scene, hosts, task
        self._rows = np.array([scene.fleet.rows[host] for host in task.into], np.int64)
        self._free = np.maximum(scene.fleet.columns.free[self._rows], 0)
        self._x = {host: number for number, host in enumerate(hosts)}
        self._masks: dict[object, Mask] = {}
        self._groups: dict[tuple[str, int], tuple[int, int]] = {}  # of a group on a host: its number, and how many more may be there
        self._cells: list[tuple[Ints, Ints, Floats]] = []  # rows within their part, columns, coefficients
        self._parts: list[int] = []  # which part of the rows each of them belongs to
        self.columns = len(hosts)
        self._most: list[Ints] = []
        self.ways: list[tuple[_Alike, int, Ints]] = []  # who, the first of its columns, the numbers in `into` that they stand for

    def add(self, number: int, some: _Alike) -> None:
        """The columns and coefficients of some residents."""
        into = np.flatnonzero(self._may(some))
        columns = self.columns + np.arange(len(into))
        self.ways.append((some, self.columns, into))
        self.columns += len(into)
        needs = self._scene.needs[self._scene.number[some.keys[0]]]
        self._put(
            _ALIKE, np.full(len(into) + 1, number), np.append(columns, self._x[some.host]), np.append(np.ones(len(into)), -len(some.keys))
        )
        for resource in np.flatnonzero(needs).tolist():
            self._put(_ROOM, into * _SIZES + resource, columns, np.full(len(into), float(needs[resource])))
            self._put(_SPARE, np.full(len(into), resource), columns, np.full(len(into), float(needs[resource])))
        self._put(_MOVES, np.zeros(len(into), np.int64), columns, np.ones(len(into)))
        if some.apart is not None:
            groups = np.array([self._groups[some.apart, at][0] for at in into.tolist()], np.int64)
            self._put(_GROUPS, groups, columns, np.ones(len(into)))
        self._most.append(np.full(len(into), len(some.keys)))

    def _may(self, some: _Alike) -> Mask:
        """Which of `into` could take one of them."""
        wish = wish_of(some.item), shape_of(some.item)
        if wish not in self._masks:
            self._masks[wish] = eligible(self._scene.fleet, some.item)[self._rows]
        may: Mask = self._masks[wish] & (self._rows != self._scene.fleet.rows[some.host])
        rule = some.item.spread
        if some.apart is not None and rule is not None:
            there = self._scene.groups[some.apart]
            for at in np.flatnonzero(may).tolist():
                left = rule.max_per_domain - there[self._task.into[at]]
                self._groups.setdefault((some.apart, at), (len(self._groups), left))
                may[at] = left > 0
        return may

    def _put(self, part: int, rows: Ints, columns: Ints, values: Floats) -> None:
        self._cells.append((rows, columns, values))
        self._parts.append(part)

    def finished(self, alike: int) -> highspy.HighsLp:
        """The whole of it, as HiGHS takes it."""
        for at, host in enumerate(self._task.into):
            if host in self._x:  # a host that is emptied takes nobody in
                x, free = np.full(_SIZES, self._x[host]), self._free[at].astype(np.float64)
                self._put(_ROOM, at * _SIZES + np.arange(_SIZES), x, free)
                self._put(_SPARE, np.arange(_SIZES), x, free)
        self._put(_HOSTS, np.zeros(len(self._hosts), np.int64), np.arange(len(self._hosts)), -np.ones(len(self._hosts)))
        starts = np.cumsum([0, alike, self._free.size, 1, 1, _SIZES])
        rows = np.concatenate([part_rows + starts[part] for (part_rows, _, _), part in zip(self._cells, self._parts, strict=True)])
        columns, values = (np.concatenate([cell[which] for cell in self._cells]) for which in (1, 2))
        order = np.lexsort((rows, columns))
        left = np.array([left for _, left in self._groups.values()], np.float64)
        spare = self._free.sum(axis=0) - self._task.spare
        upper = np.concatenate([np.zeros(alike), self._free.ravel(), [self._task.moves, -self._task.least], spare, left]).astype(np.float64)
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self.columns, len(upper)
        lp.col_cost_ = np.concatenate([self._costs(), np.zeros(self.columns - len(self._hosts))])
        lp.col_lower_ = np.zeros(self.columns)
        lp.col_upper_ = np.concatenate([np.ones(len(self._hosts)), *self._most]).astype(np.float64)
        lp.row_lower_ = np.where(np.arange(len(upper)) < alike, 0.0, -highspy.kHighsInf)
        lp.row_upper_ = upper
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_ = np.searchsorted(columns[order], np.arange(self.columns + 1)).astype(np.int32)
        lp.a_matrix_.index_ = rows[order].astype(np.int32)
        lp.a_matrix_.value_ = values[order]
        lp.integrality_ = [highspy.HighsVarType.kInteger] * self.columns
        return lp

    def _costs(self) -> Floats:
        moved = np.array([len(self._scene.running[host]) for host in self._hosts], np.float64)
        costs: Floats = _MOVES_COUNT * moved / max(moved.sum(), 1.0) - 1.0
        return costs


def _run(lp: highspy.HighsLp, seconds: float) -> tuple[Floats, bool] | None:
    """The values of the columns, and whether nothing is better; None where nothing was found."""
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    for option, value in {
        "output_flag": False,
        "threads": 1,
        "time_limit": seconds,
        "mip_rel_gap": 0.0,
        "mip_abs_gap": _MOVES_COUNT,
    }.items():
        solver.setOptionValue(option, value)
    solver.passModel(lp)
    solver.run()
    status, solution = solver.getModelStatus(), solver.getSolution()
    if status == highspy.HighsModelStatus.kInfeasible:
        return np.zeros(lp.num_col_), True
    if not solution.value_valid:
        return None
    return np.array(solution.col_value), status == highspy.HighsModelStatus.kOptimal
