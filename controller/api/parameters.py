"""What the parameters of addresses mean, for the OpenAPI document: one table, since a name means the same wherever it stands."""

from __future__ import annotations

from typing import Any

from controller.api.answers.base import ID

PARAMETERS: dict[str, tuple[str, Any]] = {
    "cursor": ("`next` of the page before.", "d2ViLTE"),
    "limit": ("Most items on a page.", 50),
    "project": ("A project, by path or id.", "hubei/health"),
    "parent": ("Only projects directly below this one, named by path or id.", "hubei"),
    "request_id": ("A request's id.", ID),
    "instance_id": ("An instance's id.", ID),
    "token": ("A token's id.", ID),
    "user": ("A user, by name or id.", "zhang"),
    "role": ("The role.", "member"),
    "flavor": ("A flavor, by name or id.", "small"),
    "image": ("An image, by name or id.", "debian-12"),
    "pool": ("A pool, by name or (not in filters) id.", "general"),
    "zone": ("Only those in this zone.", "wuhan-a"),
    "endpoint": ("An endpoint, by name or id.", "kvm-01"),
    "host": ("A host, by name or id; for operators.", "kvm-01"),
    "machine": ("A bare machine, by its host's name or id.", "metal-07"),
    "run": ("A run's id.", ID),
    "certificate": ("A certificate's id.", ID),
    "instance": ("Only what is about this instance, named by its id.", ID),
    "name": ("Only those with this name.", "web-1"),
    "priority": ("Only those of this class.", None),
    "state": ("Only those in this state.", None),
    "kind": ("Only those for this kind of instances.", "vm"),
    "arch": ("Only those for this architecture.", "x86_64"),
    "site": ("Only those at this site.", "武汉"),
    "driver": ("Only those of this driver.", "libvirt"),
    "option": ("An option that the endpoint will have, as `name=value`; any number of them.", ["gpu_device_class=gpu.example.com"]),
    "disabled": ("Only those that are disabled (true), or only the others (false).", False),
    "revoked": ("Only those that are revoked (true), or only the others (false).", False),
    "request": ("Only those made by this request, named by its id.", ID),
    "placed": ("Only what was placed (true), or only what was refused (false).", False),
    "object": ("Only events of this object, named by its id.", ID),
    "after": ("The `id` of the last event seen; without it, the newest events.", "1042.77"),
    "max_bytes": ("Most bytes of text.", 65536),
    "explain": ("Answer whether it would be taken, without doing anything.", True),
    "Idempotency-Key": ("The same key and body give the same answer.", "b7d2c1f0-apply-web"),
    "If-Match": ("The generation seen, in quotes; refused with 412 when it is no longer the newest.", '"1"'),
}
"""By name: a description, and an example (None where the schema lists the values)."""


def explain(parameter: dict[str, Any]) -> None:
    """Add to a parameter of the document what it does not say itself."""
    text, example = PARAMETERS[parameter["name"]]
    parameter.setdefault("description", text)
    if example is not None and "examples" not in parameter["schema"]:
        parameter.setdefault("example", example)
