"""JSON as YAML that is marked `!unsafe` as a whole: Ansible takes every text in it as it is, and never for a template.

What departments say (a host's name, user data) ends up in a playbook's variables; an inventory's texts are templates to Ansible, and a
template can run programs on the controller's machine. Marking each text alone would do, too, but for those that look like numbers or are
empty: Ansible guesses anew what a marked scalar is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any


def untemplated(values: Mapping[str, Any]) -> str:
    """The values as one line of YAML. Raises ValueError for what JSON has no word for."""
    return f"!unsafe {_flow(values)}"


def _flow(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return _number(value)
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"? {_quoted(str(name))} : {_flow(held)}" for name, held in value.items()) + "}"
        )  # without "?" up to 1024 letters
    if isinstance(value, Sequence):
        return "[" + ", ".join(_flow(held) for held in value) + "]"
    raise ValueError(f"JSON has no {type(value).__name__}")


def _number(value: float) -> str:
    text = repr(value)
    return text.replace("e", ".0e", 1) if "e" in text and "." not in text else text  # YAML 1.1 takes 1e-05 for a text


def _quoted(text: str) -> str:
    plain = (letter if " " <= letter <= "~" and letter not in '"\\' else f"\\U{ord(letter):08x}" for letter in text)
    return f'"{"".join(plain)}"'
