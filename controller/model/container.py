"""What a container runs, as it is kept: a document without secret values, and those apart, to be sealed.

Enters: what the API validated. The document has the fields of `drivers.container.Container`, with `secrets` as a list of names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from drivers.container import Container, Port, Probe, Volume

Document = Mapping[str, Any]
_PROBES = ("liveness", "readiness", "startup")


def split(given: Document) -> tuple[dict[str, Any], str]:
    """The document to keep, and the secrets as a text to seal (empty where there are none)."""
    secrets = given["secrets"]
    return {**given, "secrets": sorted(secrets)}, orjson.dumps(secrets).decode() if secrets else ""


def source(given: Document, arch: str | None) -> dict[str, Any]:
    """Stands where the row of an image stands for a machine: what it boots from, and what that needs.

    Its registry knows for which architectures it is, so unless the flavor names one any will do.
    """
    disk = 1 + sum(volume["size_gib"] for volume in given["volumes"])  # its image's layers are written to somewhere, too
    return {
        "id": None,
        "name": given["image"],
        "arch": arch or "",
        "state": "ready",
        "virtual_size_bytes": 0,
        "min_disk_gib": disk,
        "min_memory_mib": 0,
    }


def ports(kept: Document) -> tuple[Port, ...]:
    """Its ports."""
    return tuple(Port(**port) for port in kept["ports"])


def fronts(services: Iterable[Document]) -> dict[str, tuple[Port, ...]]:
    """The ports of each service, of all that stand behind it. They are alike (`actions.fronts`); where two of one name differ from of
    old, the later stands."""
    found: dict[str, dict[str, Port]] = {}
    for one in services:
        found.setdefault(one["name"], {}).update({port.name: port for port in ports(one)})
    return {name: tuple(named.values()) for name, named in found.items()}


def opened(kept: Document, secrets: str) -> Container:
    """For a driver. `secrets`: the text that `split` made, in clear."""
    return Container(
        image=kept["image"],
        command=tuple(kept["command"]),
        args=tuple(kept["args"]),
        env=tuple(sorted(kept["env"].items())),
        secrets=tuple(sorted(orjson.loads(secrets).items())) if secrets else (),
        ports=ports(kept),
        volumes=tuple(Volume(**volume) for volume in kept["volumes"]),
        **{name: _probe(kept[name]) for name in _PROBES},
        restart=kept["restart"],
        service=kept["service"] or "",
    )


def _probe(kept: Document | None) -> Probe | None:
    return None if kept is None else Probe(**{**kept, "command": tuple(kept["command"])})
