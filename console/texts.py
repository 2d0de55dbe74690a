"""Everything the command line says by itself, in Chinese and English.

Enters: a language or the environment to choose it from. Leaves: `Say`, a function from a text's key and parameters to a sentence.
What the API says (messages, reasons) arrives already in the caller's language through `Accept-Language` and is not translated again
here. Every entry has both languages by construction: it is a pair. The rejected alternative, gettext, needs compiled catalogues
beside the code and lets one language lag silently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from console import texts_adopting, texts_help, texts_messages, texts_metal

LANGUAGES = ("zh", "en")
ENVIRONMENT = ("CHUTIAN_LANG", "LC_ALL", "LC_MESSAGES", "LANG")

CATALOGUE: dict[str, tuple[str, str]] = {
    **texts_help.GROUPS,
    **texts_help.COMMANDS,
    **texts_help.OPTIONS,
    **texts_messages.COLUMNS,
    **texts_messages.MESSAGES,
    **texts_metal.COLUMNS,
    **texts_metal.MESSAGES,
    **texts_adopting.COMMANDS,
    **texts_adopting.OPTIONS,
    **texts_adopting.COLUMNS,
    **texts_adopting.MESSAGES,
}


class Say(Protocol):
    """From a key of the catalogue to a sentence; an unknown key is a bug and raises KeyError."""

    def __call__(self, key: str, /, **params: Any) -> str: ...


def speak(lang: str) -> Say:
    """The catalogue in one language."""
    index = LANGUAGES.index(lang)

    def say(key: str, /, **params: Any) -> str:
        text = CATALOGUE[key][index]
        return text.format(**params) if params else text

    return say


def choose(args: Sequence[str], environ: Mapping[str, str]) -> str:
    """The language: `--lang` wherever it stands, then the environment; English where nothing asks for Chinese.

    It is read before the options are parsed, because the help text of the options themselves depends on it.
    """
    for position, arg in enumerate(args):
        if arg == "--":
            break
        if arg == "--lang" and position + 1 < len(args):
            return language(args[position + 1])
        if arg.startswith("--lang="):
            return language(arg.removeprefix("--lang="))
    return language(next((environ[name] for name in ENVIRONMENT if environ.get(name)), "en"))


def language(locale: str) -> str:
    """The catalogue's language for a locale such as `zh_CN.UTF-8`."""
    return "zh" if locale.lower().startswith("zh") else "en"
