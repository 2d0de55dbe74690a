"""Compile all that is compiled, once for each machine: `python -m scheduler.warm` at set-up, and every controller at its start.

Where it is done already it takes a fraction of a second; where not, a quarter of a minute that no department should wait for.
"""

from __future__ import annotations

from dataclasses import replace

from scheduler.compiled import forget_others
from scheduler.explain import explain
from scheduler.fleet import Fleet
from scheduler.lifetimes import Lives
from scheduler.place import apply, capacity, place
from scheduler.reasons import reasons
from scheduler.types import Cell, Host, Item, Resources, Spread


def warm() -> None:
    """Decide once in every way, with and without lessons."""
    forget_others()
    room = Resources(4, 4096, 40, 1)
    host = Host(
        id="a", name="a", pool="p", zone="z", site="s", arch="x", traits=frozenset(), kinds=frozenset({"vm"}), capacity=room,
        used=Resources(), cordoned=False, up=True, generation=1, cells=(Cell(4, 4096),),
    )  # fmt: skip
    fleet = Fleet([host])
    small = Item("small", "vm", Resources(1, 512, 1), spread=Spread("g", "spread", "rack"))
    special = Item("special", "vm", Resources(1, 512, 1, 1), cells=1, spread=Spread("h", "affinity"), hosts=("a",))
    large = Item("large", "vm", Resources(2, 9999, 1), spread=Spread("i", "anti_affinity", "zone"))
    (placed, *_) = place(fleet, [[small, special], [small, large]])
    if isinstance(placed, list):
        apply(fleet, [small, special], placed)
    fleet.release("a", small.resources)
    explain(fleet, [small, large])
    for item in (small, special, large):
        reasons(fleet, item)
    capacity(fleet, special)
    lives = Lives(0.0)
    lives.come("i", "a", ("project", "size"), 0.0)
    lives.renew(1.0)
    lives.go("i", 1.5)
    place(fleet, [[replace(small, alive=lives.expect(("project", "size")))]])


if __name__ == "__main__":
    warm()
