"""Both languages say everything."""

from __future__ import annotations

import ast
import string
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import console
from console import cli, exits, texts
from console.commands import local

PASSED_ON = tuple(local.RAW)  # they become another program in place of this process: run in here, they would end the tests, with success


def _walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        ctx = click.Context(command, obj=("en", texts.speak("en")))
        for name in command.list_commands(ctx):
            child = command.get_command(ctx, name)
            assert child is not None, f"{name} is listed but can't be loaded"
            yield from _walk(child, (*path, name))


ALL = [path for path, _ in _walk(cli.build("en"))]


def _chinese(text: str) -> bool:
    return any("\u4e00" <= char <= "\u9fff" for char in text)


def test_the_command_line_has_every_noun_and_verb_of_its_contract() -> None:
    for path in [
        "instance create",
        "request approve",
        "quota set",
        "user token",
        "image import",
        "host cordon",
        "explain instance",
        "events",
        "whoami",
    ]:
        assert tuple(path.split()) in ALL
    assert len(ALL) > 70


@pytest.mark.parametrize("path", [path for path in ALL if path[:1] not in [(name,) for name in PASSED_ON]], ids=" ".join)
def test_help_of_every_command_is_in_the_language_asked_for(path: tuple[str, ...], chutian: Callable[..., Any]) -> None:
    zh, en = chutian("--lang", "zh", *path, "--help"), chutian(*path, "--help", "--lang", "en")
    assert (zh.code, en.code) == (0, 0)
    assert "用法：" in zh.out
    assert "Usage: chutian" in en.out
    assert not _chinese(en.out)
    described = [line for line in zh.out.splitlines() if line.startswith("  ") and line.strip()]
    assert _chinese(described[0]), f"no Chinese description: {described[0]}"
    for english in ("Options:", "Commands:", "[required]", "Show this message"):
        assert english not in zh.out


def test_every_option_has_help_in_both_languages() -> None:
    for lang in texts.LANGUAGES:
        for path, command in _walk(cli.build(lang)):
            for param in command.params:
                if isinstance(param, click.Option):
                    assert param.help, f"{' '.join(path)} {param.opts}"
                    assert _chinese(param.help) == (lang == "zh"), f"{' '.join(path)} {param.opts}: {param.help}"


def test_the_parameters_of_a_text_are_the_same_in_both_languages() -> None:
    fields = lambda text: {name for _, name, _, _ in string.Formatter().parse(text) if name}  # noqa: E731
    for key, (zh, en) in texts.CATALOGUE.items():
        assert zh.strip(), key
        assert en.strip(), key
        if not key.startswith(("help.", "opt.", "group.")):
            assert fields(zh) == fields(en), key
            assert not _chinese(en), key


def test_every_text_that_the_code_names_is_in_the_catalogue() -> None:
    named = set()
    for file in Path(console.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in {"say", "done", "sure"}:
                named |= {
                    arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str) and "." in arg.value
                }
    assert len(named) > 60
    assert named <= texts.CATALOGUE.keys()


def test_every_exit_code_is_documented_in_the_help(chutian: Callable[..., Any]) -> None:
    for lang in texts.LANGUAGES:
        shown = chutian("--help", "--lang", lang).out
        for code in exits.DOCUMENTED:
            assert f"{code}  {texts.speak(lang)(f'exit.{code}')}" in shown


@pytest.mark.parametrize(
    ("args", "environ", "expected"),
    [
        (["--lang", "zh"], {"LANG": "en_US.UTF-8"}, "zh"),
        (["instance", "list", "--lang=en"], {"CHUTIAN_LANG": "zh"}, "en"),
        (["run", "--", "--lang", "zh"], {}, "en"),
        ([], {"CHUTIAN_LANG": "en", "LC_ALL": "zh_CN.UTF-8"}, "en"),
        ([], {"LC_ALL": "zh_CN.UTF-8", "LANG": "en_US"}, "zh"),
        ([], {"LC_ALL": "", "LC_MESSAGES": "zh_CN", "LANG": "C"}, "zh"),
        ([], {"LANG": "C.UTF-8"}, "en"),
        ([], {}, "en"),
    ],
)
def test_the_language_is_the_options_then_the_environments(args: list[str], environ: dict[str, str], expected: str) -> None:
    assert texts.choose(args, environ) == expected
