"""How our servers are marked: what a server bears is all that is known of an instance.

Tags are for finding (nova filters by them, and by nothing else that an ordinary user may set), metadata carries the texts. A tag has 60
characters at most and neither comma nor slash, so an owner that is longer or odder is replaced by its digest. Invariant: a server is ours
only if its metadata says so; a tag alone is a copy or an accident.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

PREFIX: Final = "chutian_"
GENERATION: Final = PREFIX + "generation"
REBOOTS: Final = PREFIX + "reboots"
TRIED: Final = PREFIX + "tried"
NUMBERS: Final = ("generation", "asked", "build", "reboots")
TEXTS: Final = ("owner", "instance", "project", "host", "name", "image", "tried")
_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]{1,50}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose server it is, and what was asked of it.

    `generation`: the last one whose whole spec held, None where none did yet. `asked`: the one that it was made or rebuilt for. `host`:
    where it was put. `tried`: the generation for which a resize was begun, with the server's last action before it.
    """

    owner: str
    instance: str
    project: str = ""
    host: str = ""
    name: str = ""
    image: str = ""
    tried: str = ""
    generation: int | None = None
    asked: int = 0
    build: int = 1
    reboots: int = 0

    def written(self) -> dict[str, str]:
        """As metadata."""
        found = {PREFIX + name: getattr(self, name) for name in TEXTS}
        found |= {PREFIX + name: str(value) for name in NUMBERS if (value := getattr(self, name)) is not None}
        return {name: value for name, value in found.items() if value}


def read_mark(metadata: Mapping[str, Any]) -> Mark | None:
    """The mark in a server's metadata, if it is a whole one."""
    texts = {name: str(metadata.get(PREFIX + name, "")) for name in TEXTS}
    numbers: dict[str, int] = {}
    for name in NUMBERS:
        text = str(metadata.get(PREFIX + name, ""))
        if text.isdecimal() and text.isascii():
            numbers[name] = int(text)
        elif text:
            return None
    if not texts["owner"] or not texts["instance"] or "build" not in numbers:
        return None
    return Mark(**texts, **numbers)  # type: ignore[arg-type]


@lru_cache(64)
def owner_tag(owner: str) -> str:
    """The tag of all that is an owner's."""
    plain = owner if _PLAIN.fullmatch(owner) else f"sha256.{hashlib.sha256(owner.encode()).hexdigest()[:40]}"
    return f"chutian-{plain}"


def instance_tag(instance_id: str) -> str:
    """The tag of one instance's server, whoever's it is."""
    return f"chutian-instance-{instance_id}"


def image_name(sha256: str) -> str:
    """What an image of ours is called in glance: found by what it holds."""
    return f"chutian-{sha256}"


def flavor_name(vcpus: int, memory_mib: int, disk_gib: int, host: str = "") -> str:
    """What a flavor of ours is called: by its content, and by the host that it keeps servers on."""
    size = f"chutian-{vcpus}-{memory_mib}-{disk_gib}"
    return f"{size}-{hashlib.sha256(host.encode()).hexdigest()[:16]}" if host else size
