"""Every sentence the controller says to people, in English and Chinese, by stable code.

Errors, reasons and events carry a code and parameters; the sentence is made here at the last moment, in the reader's language. A test holds
every code that the code base uses against this table. The sentences are in this folder, by what they are about.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from controller.messages.adopting import ADOPTING
from controller.messages.facts import FACTS
from controller.messages.metal import METAL
from controller.messages.reasons import REASONS
from controller.messages.refusals import REFUSALS
from controller.messages.region import REGION
from controller.messages.rules import RULES

LANGUAGES = ("en", "zh")
_LOOSE = re.compile(r"\s*[:：]\s*(?=[.。](\s|[^\x00-\x7f]|$))")

_RESOURCES = {
    "instances": ("instances", "实例数"),
    "vcpus": ("vCPUs", "vCPU"),
    "memory_mib": ("memory (MiB)", "内存（MiB）"),
    "disk_gib": ("disk (GiB)", "磁盘（GiB）"),
    "gpus": ("GPUs", "GPU"),
}

CATALOGUE: dict[str, tuple[str, str]] = {**REFUSALS, **REASONS, **METAL, **REGION, **ADOPTING, **FACTS, **RULES}


class _Lenient(dict[str, Any]):
    """A missing parameter must not hide the message."""

    def __missing__(self, key: str) -> str:
        return ""


def render(code: str, params: Mapping[str, Any], lang: str) -> str:
    """The sentence for a code in a language ("en", "zh"); the code itself with its parameters where the table has none."""
    entry = CATALOGUE.get(code)
    if entry is None:
        return f"{code} {dict(params)}" if params else code
    column = LANGUAGES.index(lang) if lang in LANGUAGES else 0
    shown = _Lenient(params)
    if "why" in shown:
        shown["why"] = render(str(shown["why"]), {key: value for key, value in params.items() if key != "why"}, lang)
    if isinstance(shown.get("resource"), str):
        shown["resource"] = _RESOURCES.get(shown["resource"], (shown["resource"],) * 2)[column]
    said = _joined(entry[column], str(params.get("detail") or ""), ".。"[column]).format_map(shown).strip()
    said = said.rstrip(" :：") + ".。"[column] if said.endswith((":", "：")) else said
    return _LOOSE.sub("", said)  # what is not for this reader leaves no loose end


def _joined(words: str, detail: str, stop: str) -> str:
    """A sentence with a backend's words in its middle: they end as a sentence does, and leave no gap where they are not told."""
    before, quoted, after = words.partition("{detail} ")
    if not quoted or detail.endswith((".", "。")):
        return words
    gap = "" if stop == "。" else " "
    return f"{before}{{detail}}{stop}{gap}{after}" if detail else f"{before.rstrip()}{stop}{gap}{after}"
