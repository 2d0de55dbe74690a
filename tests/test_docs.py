"""What the documents say holds: generated pages are fresh, commands and links exist, both READMEs say the same."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from console import cli
from controller.model.lifecycle import Goal, State
from drivers.base import Condition
from scripts import docs

ROOT = docs.ROOT
READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
SHELL = {"sh", "bash", "shell"}


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Language and text of each fenced block."""
    for found in re.finditer(r"^```(\w*)\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S):
        yield found[1], found[2]


def commands(page: Path) -> list[str]:
    """The lines of a page's shell blocks that call `chutian` or `make`, without prompts and comments."""
    lines = (line.removeprefix("$ ") for language, text in blocks(page) if language in SHELL for line in text.splitlines())
    return [line for line in lines if line.startswith(("chutian ", "make "))]


def complaint(line: str) -> str | None:
    """What is wrong with a command line, None where nothing is."""
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
        return next((f"make has no target {word}" for word in words[1:] if word not in targets), None)
    context = click.Context(cli.build("en"), info_name="chutian")
    command: click.Command = context.command
    everywhere = options(command)
    for word in words[1:]:
        if word.startswith("-"):
            passed_on = "--help" not in options(command)  # the controller's own commands read their options themselves
            if not passed_on and word.split("=")[0] not in everywhere | options(command):
                return f"`{command.name}` has no option {word}"
        elif isinstance(command, click.Group):
            child = command.get_command(context, word)
            if child is None:
                return f"`{command.name}` has no command {word}"
            command = child
    return f"`{command.name}` needs a command" if isinstance(command, click.Group) and not everywhere & set(words) else None


def options(command: click.Command) -> set[str]:
    return {name for param in command.params for name in param.opts}


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings make."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def headings(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    return re.findall(r"^(#+) ", text, re.M)


def test_generated_pages_are_as_the_code_says() -> None:
    stale = [str(path.relative_to(ROOT)) for path in docs.stale()]
    assert not stale, f"run .venv/bin/python -m scripts.docs: {stale}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_in_a_document_exists(page: Path) -> None:
    wrong = {line: why for line in commands(page) if (why := complaint(line))}
    assert not wrong


@pytest.mark.parametrize("line", ["chutian instance fly", "chutian host list --colour", "make coffee", "chutian nothing"])
def test_a_command_line_that_does_not_exist_is_noticed(line: str) -> None:
    assert complaint(line) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    lost = []
    text = re.sub(r"`[^`\n]*`", "", page.read_text("utf-8"))
    for target in [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r"^\[[^\]]+\]: (\S+)$", text, re.M)]:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        to = (page.parent / path).resolve() if path else page
        if not to.exists() or (anchor and anchor not in anchors(to)):
            lost.append(target)
    assert not lost


def test_both_readmes_have_the_same_headings() -> None:
    assert headings(READMES[0]) == headings(READMES[1])


def test_both_readmes_have_the_same_commands() -> None:
    assert commands(READMES[0]) == commands(READMES[1])
    assert commands(READMES[0])


def test_both_readmes_lead_to_the_same_places() -> None:
    links = [set(re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8"))) - {"README.md", "README.zh-CN.md"} for page in READMES]
    assert links[0] == links[1]


def test_the_readme_tells_how_to_run_the_tests() -> None:
    assert "make test" in commands(READMES[0])


def test_every_code_is_in_the_catalogue_page() -> None:
    page = (ROOT / "docs/operations.md").read_text("utf-8")
    assert not [code for code in docs.messages.CATALOGUE if f"| `{code}` |" not in page]


def test_every_state_and_condition_is_explained() -> None:
    page = (ROOT / "docs/operations.md").read_text("utf-8")
    assert not [word.value for word in (*State, *Goal, *Condition) if f"`{word.value}`" not in page]


def test_every_right_has_a_column() -> None:
    assert set(docs.RIGHTS) == set(docs.Right)


def test_what_to_do_is_said_only_of_codes_that_exist() -> None:
    assert not docs.ADVICE.keys() - docs.messages.CATALOGUE.keys()


def test_nothing_in_the_documents_names_a_machine_s_folder() -> None:
    assert not [page.name for page in PAGES if re.search(r"/work/|/root/", page.read_text("utf-8"))]
