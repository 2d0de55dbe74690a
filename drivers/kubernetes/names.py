"""How our objects are called and marked: what a pod bears is all that is known of an instance.

Labels are for selecting, annotations carry full texts: a label's value has 63 characters at most, so a longer or odder one is replaced by
its digest. Invariant: names follow from owner, project and instance alone, so that two controllers make the same one and the API
server lets only one of them win.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from sys import intern
from typing import Any, Final

PREFIX: Final = "chutian.io/"
OWNER: Final = PREFIX + "owner"
PROJECT: Final = PREFIX + "project"
INSTANCE: Final = PREFIX + "instance"
SERVICE: Final = PREFIX + "service"
PATH: Final = PREFIX + "path"
NAME: Final = PREFIX + "name"
HOST: Final = PREFIX + "host"
GENERATION: Final = PREFIX + "generation"
BUILD: Final = PREFIX + "build"
REBOOTS: Final = PREFIX + "reboots"
CONTENT: Final = PREFIX + "content"
IMAGE: Final = PREFIX + "image"
AGAIN: Final = PREFIX + "again"
EMPTYING: Final = PREFIX + "emptying"
STOPPED_GATE: Final = PREFIX + "stopped"
NAMESPACES: Final = "chutian-"  # how all namespaces of ours begin, and others may
MANAGED_BY: Final = {"app.kubernetes.io/managed-by": "chutian"}
MANAGER: Final = "chutian"
SCHEDULER: Final = "chutian"

_LABEL: Final = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
DNS_LABEL: Final = re.compile(_LABEL, re.ASCII)
DNS_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*", re.ASCII)
_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)


@lru_cache(4096)
def label(value: str) -> str:
    """The value as a label can carry it."""
    return value if _LABEL_VALUE.fullmatch(value) else f"sha256.{hashlib.sha256(value.encode()).hexdigest()[:40]}"


@lru_cache(4096)
def namespace_of(owner: str, project_id: str) -> str:
    """A project's namespace."""
    return f"{NAMESPACES}{hashlib.sha256('/'.join((owner, project_id)).encode()).hexdigest()[:20]}"


def claim_name(instance: str, volume: str) -> str:
    """An instance's claim for one of its volumes. A dot can be in neither name, so no two are alike."""
    return f"{instance}.{volume}"


def device_claim_name(instance: str) -> str:
    """An instance's claim for its GPUs, where a driver of devices publishes them."""
    return f"{instance}.gpus"


def secret_name(instance: str, generation: int) -> str:
    """The Secret with an instance's secret environment."""
    return f"{instance}.env-{generation}"


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose pod it is, and which spec it was made from. `content` is a digest of all that a pod is made of but counters and secrets."""

    owner: str
    project: str
    instance: str
    host: str
    generation: int
    content: str


def mark_of(metadata: Mapping[str, Any]) -> Mark | None:
    """The mark on an object, if it is a whole one in its right place: a copy of ours under another name, or elsewhere, is not ours."""
    labels, notes = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if INSTANCE not in labels or OWNER not in labels:
        return None
    project, owner, generation = notes.get(PROJECT, ""), notes.get(OWNER, ""), notes.get(GENERATION, "")
    if metadata["name"] != notes.get(NAME) or metadata["namespace"] != namespace_of(owner, project) or not generation.isdecimal():
        return None
    if labels[OWNER] != label(owner) or labels[INSTANCE] != notes.get(INSTANCE):
        return None
    return Mark(intern(owner), intern(project), labels[INSTANCE], intern(notes.get(HOST, "")), int(generation), notes.get(CONTENT, ""))
