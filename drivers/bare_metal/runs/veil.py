"""Strikes secrets out of text that is kept: the last line of defence, for a playbook that prints what it should not.

A secret is looked for whole and by its lines, what comes after `USER:` too, as it is and in the forms that it takes in JSON, in a URL and
in an HTTP header; with white space anywhere inside, as Ansible wraps its warnings. What is shorter than four characters can't be told
from ordinary text and is left.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

SHORTEST: Final = 4
STRUCK: Final = "***"


class Veil:
    """Holds the secrets of one run."""

    def __init__(self, secrets: Mapping[str, Any]) -> None:
        forms = {form for text in _texts(secrets) for part in _parts(text) for form in _forms(part)}
        bare = {"".join(form.split()) for form in forms}
        longest_first = sorted((form for form in bare if len(form) >= SHORTEST), key=lambda form: (-len(form), form))
        patterns = [r"\s*".join(map(re.escape, form)) for form in longest_first]
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def over(self, text: str) -> str:
        """The text without them."""
        return text if self._pattern is None else self._pattern.sub(STRUCK, text)

    def over_all(self, value: Any) -> Any:
        """JSON without them, but for names and numbers, which are the playbook's own."""
        if isinstance(value, str):
            return self.over(value)
        if isinstance(value, Mapping):
            return {name: self.over_all(held) for name, held in value.items()}
        if isinstance(value, list):
            return [self.over_all(held) for held in value]
        return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for held in value.values():
            yield from _texts(held)
    elif isinstance(value, Sequence):
        for held in value:
            yield from _texts(held)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def _parts(text: str) -> Iterator[str]:
    yield text
    for line in text.splitlines():
        yield line.strip()
        yield line.strip().partition(":")[2].strip()


def _forms(part: str) -> Iterator[str]:
    yield part
    yield json.dumps(part)[1:-1]
    yield json.dumps(part, ensure_ascii=False)[1:-1]
    yield quote(part, safe="")
    yield base64.b64encode(part.encode(errors="replace")).decode()
    yield repr(part)[1:-1]
