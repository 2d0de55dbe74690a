"""One simulated hypervisor: what it is told to be and to get wrong, and what its guests do by themselves.

What it reads and writes is in its folder; `inside/chutian_lab_hypervisor.py` is the other side.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SIZE = {"vcpus": 16, "memory_mb": 65536, "local_gb": 1000, "slow_s": 8}
OFF = 4  # nova.compute.power_state.SHUTDOWN


@dataclass(frozen=True, slots=True)
class Compute:
    """By its host name, which is that of its nova-compute, too."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def settings(self) -> dict[str, Any]:
        kept: dict[str, Any] = json.loads((self.folder / "host.json").read_text())
        return kept

    def configure(self, **settings: object) -> None:
        """Change its sizes (`vcpus`, `memory_mb`, `local_gb`: nova knows within five seconds) or its `fault` (None: no more)."""
        _write(self.folder / "host.json", {**self.settings, **settings})

    @property
    def guests(self) -> dict[str, dict[str, Any]]:
        """Those that it has, by the ids of their servers."""
        with suppress(FileNotFoundError):
            kept: dict[str, dict[str, Any]] = json.loads((self.folder / "guests.json").read_text())
            return kept
        return {}

    def switch_off(self, server: str) -> None:
        """A guest shuts itself down; nova knows within five seconds."""
        self._edit(lambda guests: {**guests, server: {**guests[server], "state": OFF}})

    def lose(self, server: str) -> None:
        """A guest is gone, as after somebody's `virsh undefine`."""
        self._edit(lambda guests: {one: guest for one, guest in guests.items() if one != server})

    def _edit(self, change: Callable[[dict[str, dict[str, Any]]], dict[str, dict[str, Any]]]) -> None:
        _write(self.folder / "guests.json", change(self.guests))


def furnish(compute: Compute) -> None:
    """What it needs before its first start."""
    compute.folder.mkdir(parents=True, exist_ok=True)
    if not (compute.folder / "host.json").exists():
        _write(compute.folder / "host.json", SIZE)


def _write(path: Path, content: object) -> None:
    part = path.with_suffix(".ours")
    part.write_text(json.dumps(content))
    part.rename(path)
