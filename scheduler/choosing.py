"""The best row for an item under the rule of its group, and whole batches of gangs, compiled.

Enters and leaves: arrays of `scheduler.columns` and `scheduler.batches` alone. A group's rule depends on where its members are, so it is
not in the keys that `scheduler.fitting` keeps: it is applied to the rows of those blocks that could still win. Members are counted by
domain into `Places`, and wiped out of it again, for each choice: that costs what the group has, not what the fleet has.
"""

from __future__ import annotations

from scheduler.batches import AFFINITY, ANTI_AFFINITY, HOST, RACK, SITE, SPREAD, ZONE, Groups, Places, Units
from scheduler.columns import BLOCK, EXCLUDED, NEVER, READY, STEPS, TIE_BITS, Columns, Index, Ints
from scheduler.compiled import inlined, kernel, part
from scheduler.fitting import give, refresh, take

BESIDE = 256.0  # points for a host that has a member of the affinity group: outweighs all that makes hosts differ
APART = -256.0  # points for each member in the domain of a group to be spread: likewise
ROOM = 10.0  # points for each average domain's worth of free room, where the first member chooses the domain of its whole group
_MOST_ROOM = 6.0  # counted
_MOST_MEMBERS = 1000  # counted; keeps keys within 64 bits


# -- groups ----------------------------------------------------------------------------------------------------------------------


@part
def _domain(columns: Columns, places: Places, domain: int, row: int) -> int:
    """The number of the domain that a row is in; NEVER for a member on a host that nobody knows."""
    if row == NEVER:
        return NEVER
    if domain == HOST:
        return row
    if domain == RACK:
        return int(columns.rack[row])
    kind = columns.classes[row // BLOCK]
    return int(places.zones[kind] if domain == ZONE else places.sites[kind])


@part
def count_members(columns: Columns, groups: Groups, places: Places, group: int, sign: int) -> int:
    """Write (sign 1) or wipe (sign -1) how many members each domain has into `places.counts`; how many members there are."""
    total, entry = 0, groups.first[group]
    while entry != NEVER:
        row = groups.rows[entry]
        number = _domain(columns, places, groups.domains[group], row)
        if number != NEVER:
            places.counts[number] += sign
            places.blocks[row // BLOCK] += sign
        total += 1
        entry = groups.after[entry]
    return total


@inlined
def _unruled(groups: Groups, group: int) -> bool:
    """Whether an item is bound by no rule: it has no group, or is the first member of one that asks nothing of its first."""
    return bool(group == NEVER or (groups.first[group] == NEVER and groups.modes[group] != AFFINITY and groups.most[group] > 0))


@inlined
def _opens(groups: Groups, group: int, members: int) -> bool:
    """Whether an item is a first member that chooses the domain for its group."""
    return bool(group != NEVER and members == 0 and groups.modes[group] == AFFINITY and groups.domains[group] != HOST)


@inlined
def _largest(values: Ints) -> int:
    top = values[0]
    for value in values:
        top = max(top, value)
    return int(top)


@part
def find_rooms(columns: Columns, groups: Groups, places: Places, group: int, needs: Ints) -> None:
    """Write the keys' worth of the room in each domain: what is free of the scarcest size asked for, over an average empty domain's."""
    sizes, domain, free = len(needs), groups.domains[group], places.free
    whole = free[len(free) - 1]  # the last row is for all domains together
    free[:] = 0
    for row in range(len(columns.flags)):
        if columns.flags[row] & READY == READY:
            number = _domain(columns, places, domain, row)
            for size in range(sizes):
                free[number, size] += max(columns.free[row, size], 0)
                whole[size] += round(1.0 / columns.share[row, size]) if columns.share[row, size] > 0 else 0
    domains = 0
    for number in range(len(places.rooms)):
        domains += _largest(free[number]) > 0
    for number in range(len(places.rooms)):
        room = _MOST_ROOM
        for size in range(sizes):
            if needs[size] > 0 and whole[size] > 0:
                room = min(room, free[number, size] * domains / whole[size])
        places.rooms[number] = int(ROOM * room * STEPS) << TIE_BITS


@part
def _adjusted(columns: Columns, groups: Groups, places: Places, group: int, members: int, row: int, base: int) -> int:
    """A row's key with the group's rule: EXCLUDED where it forbids the row, more or less where it prefers."""
    if base == EXCLUDED:
        return base
    mode, domain = groups.modes[group], groups.domains[group]
    count = places.counts[_domain(columns, places, domain, row)]
    if mode == ANTI_AFFINITY:
        return base if count < groups.most[group] else EXCLUDED
    if mode == AFFINITY and members > 0:
        if count == 0:
            return EXCLUDED
        beside = domain == HOST
        if not beside and places.blocks[row // BLOCK] > 0:
            entry = groups.first[group]
            while entry != NEVER and not beside:
                beside = groups.rows[entry] == row
                entry = groups.after[entry]
        return base + (int(BESIDE * STEPS) << TIE_BITS) if beside else base
    if _opens(groups, group, members):
        return base + int(places.rooms[_domain(columns, places, domain, row)])
    if mode == SPREAD:
        return base + (int(APART * min(count, _MOST_MEMBERS) * STEPS) << TIE_BITS)
    return base


@part
def _closed(columns: Columns, groups: Groups, places: Places, group: int, members: int, block: int) -> bool:
    """Whether the group's rule forbids every row of a block: seen without looking at the rows, for most blocks of most fleets."""
    mode, domain = groups.modes[group], groups.domains[group]
    if mode == AFFINITY and members > 0 and domain == HOST:
        return bool(places.blocks[block] == 0)
    if domain in (ZONE, SITE):
        count = places.counts[_domain(columns, places, domain, block * BLOCK)]
        return bool(count >= groups.most[group]) if mode == ANTI_AFFINITY else bool(mode == AFFINITY and members > 0 and count == 0)
    return False


@inlined
def plus(key: int, extra: int) -> int:
    """A key and what its class adds to it."""
    return EXCLUDED if key == EXCLUDED or extra == EXCLUDED else key + extra  # noqa: PLR1714 - compiled


@part
def _better(columns: Columns, one: int, row: int, other: int, best: int) -> bool:
    """Whether key `one` of `row` beats `other` of `best`: equal keys are told apart by the second hash."""
    return one > other or (one == other and one != EXCLUDED and (best == NEVER or columns.rest[row] < columns.rest[best]))


@kernel
def choose(columns: Columns, index: Index, groups: Groups, places: Places, slot: int, allowed: Ints, group: int, only: Ints) -> int:
    """The best row for an item, NEVER where none will do. `only`: the rows to choose among, none for all."""
    refresh(columns, index, places, slot, allowed)
    keys, tops = index.keys[slot], index.tops[slot]
    if len(only) == 0 and _unruled(groups, group):
        return _in_blocks(columns, places, keys, tops, allowed)
    members = count_members(columns, groups, places, group, 1) if group != NEVER else 0
    if _opens(groups, group, members):
        find_rooms(columns, groups, places, group, index.needs[slot])
    if len(only) > 0:
        best = _among(columns, groups, places, group, members, keys, allowed, only)
    else:
        best = _in_group(columns, groups, places, group, members, keys, tops, allowed)
    if group != NEVER:
        count_members(columns, groups, places, group, -1)
    return best


@part
def _among(columns: Columns, groups: Groups, places: Places, group: int, members: int, keys: Ints, allowed: Ints, only: Ints) -> int:
    """The best of a few rows."""
    best, top = NEVER, EXCLUDED
    for row in only:
        found = EXCLUDED if row == NEVER else plus(keys[row], allowed[columns.classes[row // BLOCK]])
        if group != NEVER and found != EXCLUDED:
            found = _adjusted(columns, groups, places, group, members, row, found)
        if found != EXCLUDED and _better(columns, found, row, top, best):
            best, top = row, found
    return best


@part
def _in_group(columns: Columns, groups: Groups, places: Places, group: int, members: int, keys: Ints, tops: Ints, allowed: Ints) -> int:
    """The best row for a member of a group: blocks whose highest key could still win are looked through."""
    best, top = NEVER, EXCLUDED
    room = int(BESIDE * STEPS) << TIE_BITS if groups.modes[group] == AFFINITY else 0  # the most that a group's rule may add
    if _opens(groups, group, members):
        room = _largest(places.rooms)
    by_host = groups.domains[group] == HOST and groups.modes[group] != AFFINITY and groups.most[group] > 0
    for kind in range(len(allowed)):
        extra = allowed[kind]
        if extra == EXCLUDED:
            continue
        for block in places.order[places.begins[kind] : places.begins[kind + 1]]:
            if tops[block] == EXCLUDED or tops[block] + extra + room < top or _closed(columns, groups, places, group, members, block):
                continue
            if by_host and places.blocks[block] == 0:  # no rule touches its rows
                row, found = _at_top(columns, keys, tops, block), tops[block]
            else:
                row, found = _in_block(columns, groups, places, group, members, keys, block, top - room - extra)
            found = plus(found, extra)
            if _better(columns, found, row, top, best):
                best, top = row, found
    return best


@part
def _in_block(
    columns: Columns, groups: Groups, places: Places, group: int, members: int, keys: Ints, block: int, least: int
) -> tuple[int, int]:
    """The best row of a block, and its key with the group's rule, of those that have `least` without it."""
    best, top = NEVER, EXCLUDED
    for row in range(block * BLOCK, (block + 1) * BLOCK):
        if keys[row] != EXCLUDED and keys[row] >= least:
            found = _adjusted(columns, groups, places, group, members, row, keys[row])
            if _better(columns, found, row, top, best):
                best, top = row, found
    return best, top


@part
def _in_blocks(columns: Columns, places: Places, keys: Ints, tops: Ints, allowed: Ints) -> int:
    """The best row for an item without a group: the highest top, then the row in that block that has it."""
    best, top = NEVER, EXCLUDED
    where = NEVER
    for kind in range(len(allowed)):
        extra = allowed[kind]
        if extra == EXCLUDED:
            continue
        for block in places.order[places.begins[kind] : places.begins[kind + 1]]:
            if tops[block] == EXCLUDED:
                continue
            found = tops[block] + extra
            if found > top:
                where, top, best = block, found, NEVER
            elif found == top:
                if best == NEVER:
                    best = _at_top(columns, keys, tops, where)
                row = _at_top(columns, keys, tops, block)
                if columns.rest[row] < columns.rest[best]:
                    where, best = block, row
    if where == NEVER:
        return NEVER
    return best if best != NEVER else _at_top(columns, keys, tops, where)


@part
def _at_top(columns: Columns, keys: Ints, tops: Ints, block: int) -> int:
    best = NEVER
    for row in range(block * BLOCK, (block + 1) * BLOCK):
        if keys[row] == tops[block] and (best == NEVER or columns.rest[row] < columns.rest[best]):
            best = row
    return best


@kernel
def all_keys(columns: Columns, index: Index, groups: Groups, places: Places, slot: int, allowed: Ints, group: int, out: Ints) -> None:
    """The keys of all rows for an item, the rule of its group included."""
    refresh(columns, index, places, slot, allowed)
    members = count_members(columns, groups, places, group, 1) if group != NEVER else 0
    if _opens(groups, group, members):
        find_rooms(columns, groups, places, group, index.needs[slot])
    out[:] = EXCLUDED
    for block in places.order:
        for row in range(block * BLOCK, (block + 1) * BLOCK):
            found = plus(index.keys[slot, row], allowed[columns.classes[block]])
            out[row] = found if group == NEVER else _adjusted(columns, groups, places, group, members, row, found)
    if group != NEVER:
        count_members(columns, groups, places, group, -1)


# -- a batch ---------------------------------------------------------------------------------------------------------------------


@part
def place_units(columns: Columns, index: Index, groups: Groups, places: Places, units: Units, start: int, end: int) -> int:
    """Place and take the units from `start` on, up to `end` or the first that finds no host; where it stopped."""
    for unit in range(start, end):
        group = units.groups[unit]
        only = units.only[units.only_from[unit] : units.only_to[unit]]
        row = NEVER
        if units.lead_slots[unit] != NEVER and groups.first[group] == NEVER:
            row = choose(columns, index, groups, places, units.lead_slots[unit], units.allowed[units.lead_wishes[unit]], group, only)
        if row == NEVER:
            row = choose(columns, index, groups, places, units.slots[unit], units.allowed[units.wishes[unit]], group, only)
        if row == NEVER:
            return unit
        take_unit(columns, index, groups, units, unit, row)
    return end


@kernel
def place_gangs(columns: Columns, index: Index, groups: Groups, places: Places, units: Units, ends: Ints, gang: int) -> tuple[int, int]:
    """Place and take gangs from number `gang` on, to the first that fails: its number, and the unit that found no host."""
    unit = ends[gang - 1] if gang > 0 else 0
    while gang < len(ends):
        unit = place_units(columns, index, groups, places, units, unit, ends[gang])
        if unit < ends[gang]:
            return gang, unit
        gang += 1
    return gang, unit


@kernel
def take_unit(columns: Columns, index: Index, groups: Groups, units: Units, unit: int, row: int) -> None:
    """Count a unit as placed on a row, a member of its group included."""
    slot, group = units.slots[unit], units.groups[unit]
    units.rows[unit] = row
    units.devices[unit], units.cells[unit] = take(columns, row, index.needs[slot], index.extras[slot], index.lasting[slot])
    if group != NEVER:
        join(groups, group, row)


@kernel
def drop_unit(columns: Columns, index: Index, groups: Groups, units: Units, unit: int) -> None:
    """Take a unit back; units are dropped in the opposite order to that in which they were taken."""
    slot, group = units.slots[unit], units.groups[unit]
    give(columns, units.rows[unit], index.needs[slot], index.extras[slot], index.lasting[slot], units.devices[unit], units.cells[unit])
    units.rows[unit] = NEVER
    if group != NEVER:
        entry = groups.first[group]
        groups.first[group] = groups.after[entry]
        groups.used[0] -= 1


@kernel
def drop_units(columns: Columns, index: Index, groups: Groups, units: Units, start: int, end: int) -> None:
    """Take back what is taken of some units."""
    for unit in range(end - 1, start - 1, -1):
        if units.rows[unit] != NEVER:
            drop_unit(columns, index, groups, units, unit)


@kernel
def join(groups: Groups, group: int, row: int) -> None:
    """Note one more member of a group."""
    entry = groups.used[0]
    groups.rows[entry], groups.after[entry] = row, groups.first[group]
    groups.first[group] = entry
    groups.used[0] += 1


@kernel
def members_in_domain(columns: Columns, groups: Groups, places: Places, group: int, out: Ints) -> int:
    """For every row, the members of a group in its domain; how many members there are in all, those on unknown hosts included."""
    total = count_members(columns, groups, places, group, 1)
    for row in range(len(out)):
        out[row] = places.counts[_domain(columns, places, groups.domains[group], row)]
    count_members(columns, groups, places, group, -1)
    return total


@kernel
def add_fails(columns: Columns, groups: Groups, places: Places, group: int, bit: int, out: Ints) -> None:
    """Add a bit to every row that the group's rule forbids."""
    total = count_members(columns, groups, places, group, 1)
    for row in range(len(out)):
        count = places.counts[_domain(columns, places, groups.domains[group], row)]
        if count >= groups.most[group] if groups.modes[group] == ANTI_AFFINITY else total > 0 and count == 0:
            out[row] |= bit
    count_members(columns, groups, places, group, -1)
