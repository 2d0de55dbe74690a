"""Identifiers and names.

Ids are UUIDs of version 7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then randomness; so that ids sort by creation and an index
grows at one end. Names that become host names are RFC 1123 labels.
"""

from __future__ import annotations

import re

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

OCI_PATTERN = r"^[a-z0-9][A-Za-z0-9._:/@-]{0,511}$"
LABEL_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"


def uuid7(now_ms: int, randomness: int) -> str:
    """A version 7 UUID from Unix milliseconds and 74 bits of randomness (lower bits of `randomness`)."""
    rand_a = (randomness >> 62) & 0xFFF
    rand_b = randomness & ((1 << 62) - 1)
    value = ((now_ms & ((1 << 48) - 1)) << 80) | (0x7 << 76) | (rand_a << 64) | (0b10 << 62) | rand_b
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_label(name: str) -> bool:
    """Whether it is an RFC 1123 label."""
    return _LABEL.fullmatch(name) is not None


def is_oci_image(reference: str) -> bool:
    """Whether it may name an image in a registry (its registry knows whether there is one)."""
    return re.fullmatch(OCI_PATTERN, reference) is not None


def is_id(text: str) -> bool:
    """Whether it looks like an id rather than a name or a path."""
    return _UUID.fullmatch(text) is not None


def instance_names(prefix: str, count: int) -> list[str]:
    """The names of `count` instances of one item: the prefix alone, or numbered from 1, cut so that each stays a label."""
    if count == 1:
        return [prefix]
    return [f"{prefix[: 62 - len(str(number))].rstrip('-')}-{number}" for number in range(1, count + 1)]
