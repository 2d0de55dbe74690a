"""What tells one machine from another, whoever is asked about it: the UUID of its firmware (SMBIOS, type 1).

In: the text that a backend gives. Out: the same for all who speak of one machine, or nothing. Vendors that never filled it in ship every
board with one and the same UUID: that says nothing, and who took it for an identity would take one machine for another. What isn't among
`PLACEHOLDERS` and is shared all the same is noticed where hosts are kept, by there being two of it.
"""

from __future__ import annotations

import uuid
from typing import Final

_SHIPPED: Final = (
    "03000200-0400-0500-0006-000700080009",
    "12345678-1234-5678-90ab-cddeefaabbcc",
    "01234567-89ab-cdef-0123-456789abcdef",
    "00010203-0405-0607-0809-0a0b0c0d0e0f",
    "00112233-4455-6677-8899-aabbccddeeff",
)
PLACEHOLDERS: Final = frozenset(str(one) for text in _SHIPPED for one in (uuid.UUID(text), uuid.UUID(bytes_le=uuid.UUID(text).bytes)))
"""Those that boards ship with, in either byte order of their first three fields."""
_FEWEST: Final = 5  # different bytes that an identity has: all zeros, all ones, DEADBEEF and the like are none


def machine_uuid(text: str) -> str:
    """The UUID in canonical form, empty where there is none or it is no machine's own."""
    try:
        found = uuid.UUID(text.strip())
    except ValueError:
        return ""
    return "" if len(set(found.bytes)) < _FEWEST or str(found) in PLACEHOLDERS else str(found)
