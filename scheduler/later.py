"""Room that is not there yet: a gang placed partly on what is free, partly on what others leave, and by when that can be at the earliest.

In: the fleet, a gang, and slots (the room that somebody leaves at a known moment). Out: for each item a host now or a slot, or the earliest
moment at which there is such an arrangement. Nothing is promised here and the fleet stays as it was. Invariants: an item is on free room or
in one slot, never partly on both; what is in one slot together is no larger than it; every rule of the items holds, with all of the gang
in place. So whoever leaves may leave early, and an arrangement holds whatever else is placed meanwhile.

Items that fit now are placed first, the largest first, since a slot is somebody's end, and an end may be late; where that leaves somebody
over, all are tried in slots. That is exact for equal items that need not choose a domain together. A mixed gang may be told a later moment
than the best, or none: what is said is true, and is what asking for it gives. Slots are placed upon as hosts of their own
(`scheduler.place` knows all rules); the rack of such a host is its true host, so that rules over hosts count true hosts. A gang
with a rule over hosts and another over racks finds nothing, therefore. Rejected: adding slots to what is free on their hosts (what is free
would have to be kept free until then, for a hope).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scheduler.fleet import Fleet
from scheduler.place import place, propose
from scheduler.types import SIZES, WHOLE_GPU, Cell, Host, Item, NoValidHost, Placement, Resources

_SEAT = "slot:"  # no host's id begins so
_HARD = ("affinity", "anti_affinity")


@dataclass(frozen=True, slots=True)
class Slot:
    """The room that somebody on a host leaves at `ends` (seconds on the caller's clock, whole).

    `like`: where newcomers may be no harder to place than who is there now, for that one's restart was promised (N+k); None: anybody.
    `devices`: the thousandths that are left of GPUs (none: `size.gpus` whole ones, whichever), and `cells`: the vcpus and memory_mib that
    are left in NUMA cells, by their number on the host.
    """

    key: str
    host_id: str
    size: Resources
    ends: int
    like: Item | None = None
    devices: tuple[tuple[int, int], ...] = ()
    cells: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Where each item of a gang goes, by its key: a host now, or a slot, and what `then` will be its place."""

    now: Mapping[str, Placement]
    slots: Mapping[str, Slot]
    then: Mapping[str, Placement]


def arrange(fleet: Fleet, gang: Sequence[Item], slots: Sequence[Slot], held: Sequence[Item] | None = None) -> Arrangement | None:
    """An arrangement with these slots; None where none was found.

    `held`: the items of the gang as they are to be asked for where they are placed now, if that differs.
    """
    known = [slot for slot in slots if slot.host_id in fleet.rows]
    return _arrange(fleet, gang, known, _now(fleet, gang if held is None else held))


def earliest(fleet: Fleet, gang: Sequence[Item], slots: Sequence[Slot], held: Sequence[Item] | None = None) -> int | None:
    """The earliest end of a slot such that `arrange` with all slots that end by then succeeds; None where none does."""
    known = [slot for slot in slots if slot.host_id in fleet.rows]
    now = _now(fleet, gang if held is None else held)

    def found(moment: int) -> bool:
        return _arrange(fleet, gang, [slot for slot in known if slot.ends <= moment], now) is not None

    moments = sorted({slot.ends for slot in known})
    if not moments or not found(moments[-1]):
        return None
    low, high = 0, len(moments) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if found(moments[middle]) else (middle + 1, high)
    return moments[high]


def no_harder(item: Item, than: Item) -> bool:
    """Whether an item may be wherever in its pool the other may be, the size apart."""
    return (
        item.kind == than.kind
        and item.arch in (None, than.arch)
        and item.traits <= than.traits
        and item.baseline in (None, than.baseline)
        and item.level <= than.level
        and set(than.tenants) <= set(item.tenants)
        and (not item.gpu_models or item.gpu_models == than.gpu_models)
        and (not item.shares_gpus or than.shares_gpus)
        and item.cells in (0, than.cells)
        and not item.hosts
        and not (item.spread and item.spread.mode in _HARD)
    )


def _now(fleet: Fleet, gang: Sequence[Item]) -> dict[str, Placement]:
    """Those of the gang that find a host now, each for itself but with the others in place."""
    whole = [max(amount, 1) for amount in fleet.sums()[1]]
    bulk = {item.key: max(getattr(item.resources, name) / total for name, total in zip(SIZES, whole, strict=True)) for item in gang}
    proposal = propose(fleet, [[item] for item in sorted(gang, key=lambda item: -bulk[item.key])])
    proposal.take_back()
    return {result[0].key: result[0] for result in proposal.results if not isinstance(result, NoValidHost)}


def _arrange(fleet: Fleet, gang: Sequence[Item], slots: Sequence[Slot], now: Mapping[str, Placement]) -> Arrangement | None:
    for held in (now, {}) if now else (now,):
        rest = [_beside(item, gang, held) for item in gang if item.key not in held]
        seats = _seats(fleet, rest, slots)
        if seats is not None:
            return Arrangement(held, {key: slot for key, (slot, _) in seats.items()}, {key: to for key, (_, to) in seats.items()})
    return None


def _beside(item: Item, gang: Sequence[Item], held: Mapping[str, Placement]) -> Item:
    """The item, with those of its group that are held in place."""
    if item.spread is None:
        return item
    peers = (held[one.key].host_id for one in gang if one.key in held and one.spread == item.spread)
    return replace(item, members=Counter(item.members) + Counter(peers))


def _seats(fleet: Fleet, rest: Sequence[Item], slots: Sequence[Slot]) -> dict[str, tuple[Slot, Placement]] | None:
    """A slot for each item, and its place in it, all rules held; None where none was found."""
    domains = {item.spread.domain for item in rest if item.spread}
    if not slots or {"host", "rack"} <= domains:
        return {} if not rest else None
    by_host = "host" in domains
    seats = [_seat(_host(fleet, slot.host_id, by_host), slot) for slot in slots]
    others = {host_id for item in rest for host_id in item.members if host_id in fleet.rows}
    stood = [replace(_host(fleet, host_id, by_host), cordoned=True) for host_id in sorted(others)]
    asked = [one for one in (_asked(item, slots) for item in rest) if one is not None]
    (found,) = place(Fleet([*seats, *stood]), [asked]) if len(asked) == len(rest) else (None,)
    if found is None or isinstance(found, NoValidHost):
        return None
    of = {_SEAT + slot.key: slot for slot in slots}
    return {one.key: (of[one.host_id], _truly(one, of[one.host_id])) for one in found}


def _truly(place: Placement, slot: Slot) -> Placement:
    """A place in a slot as one on the slot's host."""
    devices = tuple(slot.devices[number][0] for number in place.devices) if slot.devices else ()
    return place._replace(host_id=slot.host_id, devices=devices, cells=tuple(slot.cells[number][0] for number in place.cells))


def _host(fleet: Fleet, host_id: str, by_host: bool) -> Host:
    """A host; `by_host`: its rack is itself."""
    true = fleet.host(host_id)
    return replace(true, rack=host_id) if by_host else true


def _seat(host: Host, slot: Slot) -> Host:
    """A slot as a host of its own, empty."""
    size = replace(slot.size, gpus=len(slot.devices)) if slot.devices else slot.size
    shares = tuple(WHOLE_GPU - milli for _, milli in slot.devices)
    cells = tuple(Cell(vcpus, memory_mib) for _, vcpus, memory_mib in slot.cells)
    bare = replace(host, cells=cells, gpu_shares=shares, emptying=(), used=Resources(), capacity=size)
    return replace(bare, id=_SEAT + slot.key, name=slot.key)


def _asked(item: Item, slots: Sequence[Slot]) -> Item | None:
    """The item as it is asked for among slots; None where every slot is out of the question."""
    here = [slot for slot in slots if not item.hosts or slot.host_id in item.hosts]
    open_to = [slot for slot in here if slot.like is None or no_harder(item, slot.like)]
    spread = item.spread
    if spread is not None and spread.domain == "host":
        item = replace(item, spread=replace(spread, domain="rack"))
    if not open_to:
        return None
    return replace(item, hosts=() if len(open_to) == len(slots) else tuple(_SEAT + slot.key for slot in open_to))
