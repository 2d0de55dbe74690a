"""The loop that tries moves, compiled: draw one, ask whether it is possible, weigh it, do it.

Enters: `Fixed`, `Moving`, `Peers`, dice, a temperature and a number of tries; no clock. Leaves: `Moving`, changed, with every rule kept.
What costs least is asked first: of a hundred moves most fail at a conflict or at capacity, few reach the sums, and only those that would
be taken are asked for spread and neighbours.
Being away from home holds transient resources on two machines, and there are far more machines away than at home: a hot search would fill
all room with moves that gain nothing. So going away is charged against the temperature by what it holds (`stick`): a charge that vanishes
as it cools. Rejected: charging it in the cost, which would move the optimum; best of all moves in place of a drawn one, a thousand times
dearer and sooner stuck.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from scheduler.compiled import compiled, inlined, inner
from scheduler.reassign.problem import Bytes, Flags, Ints
from scheduler.reassign.state import COST, HIGHEST, Fixed, Moving, allowed, cost_with, fits, put, way

Dice: TypeAlias = NDArray[np.uint64]
Floats: TypeAlias = NDArray[np.float64]

# Of a hundred draws so many are below: a shift anywhere, a shift home, a swap within a service, one of like size, a chain that ends
# at home, the rest chains to anywhere.
_SHIFT, _HOME, _PEER, _LIKE, _BACK = 40, 45, 55, 90, 95
_WIDEST = 12  # a partner of like size is among all processes, among half of them, a quarter, and so on


ORDER, RANK, FIRST, COUNT = 0, 1, 2, 3


class Peers(NamedTuple):
    """Who is drawn as a partner."""

    table: Ints  # P x 4: the row's process by size, the place of the row's process therein, the first of its service, how many they are
    members: Ints  # processes by service
    stick: Floats  # P+1: how much each holds when away, as a multiple of the temperature


class Move(NamedTuple):
    """A process goes from source to target, and another from there on to beyond; or that one is NOTHING, and beyond is source."""

    process: int
    other: int
    source: int
    target: int
    beyond: int


@inlined
def below(dice: Dice, count: int) -> int:
    """A whole number from 0 on, below count (xorshift; of its high bits, which are the good ones)."""
    value = dice[0]
    value ^= value << np.uint64(13)
    value ^= value >> np.uint64(7)
    value ^= value << np.uint64(17)
    dice[0] = value
    return int((np.int64(value >> np.uint64(33)) * count) >> 31)


@inlined
def _draw(dice: Dice, at: Ints, home: Ints, table: Ints, members: Ints, machines: int) -> Move:
    nothing = len(at) - 1
    process = below(dice, nothing)
    source, other = at[process], nothing
    beyond = source
    kind = below(dice, 100)
    if kind < _SHIFT:
        target = below(dice, machines)
    elif kind < _HOME:
        target = home[process]
    else:
        if kind < _PEER:
            other = members[table[process, FIRST] + below(dice, table[process, COUNT])]
        elif kind < _LIKE:
            width = (nothing >> below(dice, _WIDEST)) + 1
            place = table[process, RANK] + below(dice, 2 * width + 1) - width
            other = table[min(max(place, 0), nothing - 1), ORDER]
        else:
            other = below(dice, nothing)
            beyond = home[other] if kind < _BACK and at[other] != home[other] else below(dice, machines)
        target = at[other]
    return Move(process, other, source, target, beyond)


@inlined
def _conflict(here: Bytes, service: Ints, nothing: int, move: Move) -> bool:
    """Whether a process would meet one of its service. Two of one service may swap."""
    mine, theirs = service[move.process], service[move.other]
    if here[mine, move.target] > 0 and mine != theirs:
        return True
    return move.other != nothing and here[theirs, move.beyond] > 0 and not (move.beyond == move.source and mine == theirs)


@inlined
def _room(left: Ints, need: Ints, home: Ints, transient: Flags, move: Move) -> bool:
    nothing = need.shape[0] - 1
    return fits(left, move.target, need, home, transient, move.process, move.other) and (
        move.other == nothing
        or fits(left, move.beyond, need, home, transient, move.other, move.process if move.beyond == move.source else nothing)
    )


@inlined
def _limit(dice: Dice, temperature: float, stick: Floats, home: Ints, move: Move, more: float) -> float:
    """How much dearer the move may be: what going home is worth, and as chance has it where that isn't enough."""
    process, other = move.process, move.other
    limit = temperature * stick[process] * (np.int64(move.source != home[process]) - np.int64(move.target != home[process]))
    limit += temperature * stick[other] * (np.int64(move.target != home[other]) - np.int64(move.beyond != home[other]))
    if more > limit:
        limit -= temperature * np.log((below(dice, 1 << 30) + 1) / (1 << 30))
    return float(limit)


@compiled
def anneal(fixed: Fixed, moving: Moving, peers: Peers, dice: Dice, temperature: float, tries: int) -> None:
    """Try so many moves at a temperature. Arrays of the inner loop are fetched once: holding one costs an atomic operation each time."""
    need, service, home, load_weight, balance = fixed.need, fixed.service, fixed.home, fixed.load_weight, fixed.balance
    travel, leaving, transient = fixed.travel, fixed.leaving, fixed.transient
    at, left, machine, here, stick = moving.at, moving.left, moving.machine, moving.here, peers.stick
    table, members = peers.table, peers.members
    nothing = len(at) - 1
    slack = 2 * fixed.service_weight  # what isn't in `more` yet: the moves of a service, which only doing it tells
    for _ in range(tries):
        move = _draw(dice, at, home, table, members, len(machine))
        if move.target in (move.source, move.beyond) or _conflict(here, service, nothing, move):
            continue
        if not _room(left, need, home, transient, move):
            continue
        process, other, source, target, beyond = move
        more = way(travel, leaving, home, process, source, target)
        at_source = cost_with(left, source, need, load_weight, balance, other if beyond == source else nothing, process)
        at_target = cost_with(left, target, need, load_weight, balance, process, other)
        at_beyond = at_source
        more += at_source - machine[source] + at_target - machine[target]
        if beyond != source:
            at_beyond = cost_with(left, beyond, need, load_weight, balance, other, nothing)
            more += at_beyond - machine[beyond]
        if other != nothing:
            more += way(travel, leaving, home, other, target, beyond)
        limit = _limit(dice, temperature, stick, home, move, more + slack)
        if more - slack <= limit and _done(fixed, moving, move, more, limit):
            machine[source], machine[target], machine[beyond] = at_source, at_target, at_beyond


@inner
def _done(fixed: Fixed, moving: Moving, move: Move, more: int, limit: float) -> bool:
    """Do it, unless it breaks a rule. It is undone where the moves of a service make it too dear, which only doing it tells."""
    nothing = len(moving.at) - 1
    process, other, source, target, beyond = move
    if not _lawful(fixed, moving, move):
        return False
    highest = moving.totals[HIGHEST]
    put(fixed, moving, process, target)
    if other != nothing:
        put(fixed, moving, other, beyond)
    more += (moving.totals[HIGHEST] - highest) * fixed.service_weight
    if more <= limit:
        moving.totals[COST] += more
        return True
    put(fixed, moving, process, source)
    if other != nothing:
        put(fixed, moving, other, target)
    return False


@inner
def _lawful(fixed: Fixed, moving: Moving, move: Move) -> bool:
    mine, theirs = fixed.service[move.process], fixed.service[move.other]
    source, target, beyond = move.source, move.target, move.beyond
    if mine == theirs:  # as if one went all the way
        return source == beyond or allowed(fixed, moving, mine, source, beyond, mine, source, source)
    if not allowed(fixed, moving, mine, source, target, theirs, target, beyond):
        return False
    return move.other == len(moving.at) - 1 or allowed(fixed, moving, theirs, target, beyond, mine, source, target)
