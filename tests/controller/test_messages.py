"""Every sentence that the code names is in the catalogue, in both languages, with parameters that the code gives; none is idle.

The code is read, not run: names of sentences are string literals (or f-strings with a part that varies), so that a misspelt one is
found without reaching it.
"""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from controller import errors
from controller.messages import CATALOGUE, LANGUAGES, render
from controller.messages.facts import FACTS
from controller.messages.reasons import REASONS
from controller.model import views
from drivers import errors as driver_errors
from scheduler.constraints import RULES

ROOT = Path(__file__).parents[2]
EVENT = re.compile(r"(project|limit|role|user|token|flavor|image|pool|endpoint|host|request|instance|machine|run)\.(?!json)[a-z_]+")
GIVEN_TO_ALL = {"name", "why", "detail"}  # an event's object has a name; the others may be left out, for there is nothing to say or to show


@dataclass(frozen=True)
class Use:
    """One place that names a sentence. `given`: its keywords, None where they are not all literal."""

    text: str
    where: str
    given: frozenset[str] | None


@cache
def trees() -> dict[str, ast.Module]:
    files = [path for top in ("controller", "drivers") for path in sorted((ROOT / top).rglob("*.py")) if path.parent.name != "messages"]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in files}


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""


def _texts(node: ast.expr) -> Iterator[str]:
    """The literals that an expression may be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*_texts(node.body), *_texts(node.orelse))


def calls(*names: str) -> Iterator[tuple[str, ast.Call]]:
    for file, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node) in names:
                yield f"{file}:{node.lineno}", node


def _keywords(call: ast.Call) -> frozenset[str] | None:
    names = [keyword.arg for keyword in call.keywords]
    return None if None in names else frozenset(name for name in names if name)


def _classes(module: Any, base: type) -> dict[str, type]:
    return {name: kind for name, kind in vars(module).items() if isinstance(kind, type) and issubclass(kind, base)}


def errors_raised() -> Iterator[Use]:
    kinds = _classes(errors, errors.ControllerError)
    for where, call in calls(*kinds):
        texts = list(_texts(call.args[0])) if call.args else [kinds[_name(call)].code]  # type: ignore[attr-defined]
        yield from (Use(text, where, _keywords(call)) for text in texts)
    for file, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Attribute | ast.Name):
                name = node.exc.attr if isinstance(node.exc, ast.Attribute) else node.exc.id
                if name in kinds:
                    yield Use(kinds[name].code, f"{file}:{node.lineno}", frozenset())  # type: ignore[attr-defined]


def reasons_given() -> Iterator[Use]:
    kinds = _classes(driver_errors, driver_errors.DriverError)
    for where, call in calls(*kinds):
        yield Use(kinds[_name(call)].code, where, _keywords(call))  # type: ignore[attr-defined]
    for where, call in calls("Rejected"):
        yield from (Use(text, where, _keywords(call)) for text in _texts(call.args[0]))
    for where, call in calls("Reason"):
        given = _dict_keys(call.args[1]) if len(call.args) > 1 else frozenset()
        yield from (Use(text, where, given) for text in _texts(call.args[0]))


def reasons_in_tables() -> Iterator[Use]:
    """Pairs of a condition and why, and reasons written as they are kept: {"code": …, "params": {…}}."""
    for file, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Tuple) and len(node.elts) == 2 and ast.unparse(node.elts[0]).startswith("Condition."):
                yield from (Use(text, f"{file}:{node.lineno}", None) for text in _texts(node.elts[1]))
            if isinstance(node, ast.Dict) and _dict_keys(node) == {"code", "params"}:
                yield from (Use(text, f"{file}:{node.lineno}", _dict_keys(node.values[1])) for text in _texts(node.values[0]))


def _dict_keys(node: ast.expr) -> frozenset[str] | None:
    if not isinstance(node, ast.Dict) or any(not isinstance(key, ast.Constant) for key in node.keys):
        return None
    return frozenset(str(key.value) for key in node.keys if isinstance(key, ast.Constant))


def events_told() -> Iterator[Use]:
    for file, tree in trees().items():
        told: set[int] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _name(node) in ("event", "_fact", "_say", "_ask"):
                for argument in node.args:
                    for text in _texts(argument):
                        if EVENT.fullmatch(text):
                            told.add(id(argument))
                            given = _keywords(node) if _name(node) == "event" else None
                            yield Use(text, f"{file}:{node.lineno}", given)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and EVENT.fullmatch(node.value) and id(node) not in told:
                yield Use(node.value, f"{file}:{node.lineno}", None)


def rendered() -> Iterator[Use]:
    for where, call in calls("render"):
        if call.args:
            given = _dict_keys(call.args[1]) if len(call.args) > 1 else frozenset()
            yield from (Use(text, where, given) for text in _texts(call.args[0]))


@cache
def uses() -> list[Use]:
    return [*errors_raised(), *reasons_given(), *reasons_in_tables(), *events_told(), *rendered()]


def varying() -> Iterator[re.Pattern[str]]:
    """f-strings in places that name a sentence."""
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                for argument in node.args:
                    if isinstance(argument, ast.JoinedStr):
                        parts = [re.escape(str(one.value)) if isinstance(one, ast.Constant) else r"\w+" for one in argument.values]
                        if re.fullmatch(r"[\w.\\+]+", "".join(parts)) and re.search(r"[a-z]{3}", "".join(parts)):
                            yield re.compile("".join(parts))


def changes_proposed() -> set[str]:
    trees = [ast.parse((ROOT / path).read_text()) for path in ("scheduler/explain.py", "controller/actions/refusals.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    made = [node for node in nodes if isinstance(node, ast.Call) and _name(node) == "Change"]
    named = {text for call in made for text in _texts(call.args[0])}
    return {f"change.{text}" for text in texts if text in named or re.fullmatch(r"(fewer|less|other|split|drop|relax)_\w+", text)}


def test_every_sentence_that_the_code_names_is_in_the_catalogue() -> None:
    found = uses()
    assert len(found) > 150, "the code is no longer written as this test reads it"
    missing = [f"{use.where}: {use.text}" for use in found if use.text not in CATALOGUE]
    assert not missing, "\n".join(missing)


def test_every_parameter_of_a_sentence_is_given_where_it_is_said() -> None:
    holes = [
        f"{use.where}: {use.text} lacks {sorted(lacking)}"
        for use in uses()
        if use.given is not None and use.text in CATALOGUE
        if (lacking := placeholders(CATALOGUE[use.text][0]) - use.given - GIVEN_TO_ALL)
    ]
    assert not holes, "\n".join(holes)


def test_every_driver_error_and_its_class_has_a_sentence() -> None:
    codes = {kind.code for kind in _classes(driver_errors, driver_errors.DriverError).values()}  # type: ignore[attr-defined]
    assert codes <= CATALOGUE.keys()


def test_every_rule_and_every_change_of_the_scheduler_has_a_sentence() -> None:
    rules = {f"rule.{name}" for name in RULES}
    assert rules <= CATALOGUE.keys(), rules - CATALOGUE.keys()
    assert changes_proposed() <= CATALOGUE.keys(), changes_proposed() - CATALOGUE.keys()


def test_no_sentence_is_there_for_nothing() -> None:
    literals = {node.value for tree in trees().values() for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    named = {use.text for use in uses()} | changes_proposed() | {f"rule.{name}" for name in RULES}
    named |= {kind.code for kind in _classes(driver_errors, driver_errors.DriverError).values()}  # type: ignore[attr-defined]
    patterns = list(varying())
    idle = [key for key in CATALOGUE if key not in named | literals and not any(one.fullmatch(key) for one in patterns)]
    assert not idle, f"nobody says: {idle}"


@pytest.mark.parametrize("key", CATALOGUE)
def test_a_sentence_is_the_same_in_both_languages(key: str) -> None:
    english, chinese = CATALOGUE[key]
    assert placeholders(english) == placeholders(chinese), "the parameters differ"
    assert re.search(r"[\u4e00-\u9fff]", chinese), "the Chinese isn't Chinese"
    assert not re.search(r"[\u4e00-\u9fff]", english), "the English isn't English"
    assert chinese.strip() == chinese
    assert english.strip() == english


def test_a_missing_parameter_or_an_unknown_code_never_hides_the_message() -> None:
    for lang in (*LANGUAGES, "de"):
        assert render("no_such_code", {}, lang) == "no_such_code"
        assert "no_such_code" in render("no_such_code", {"a": 1}, lang)
        for key in CATALOGUE:
            assert render(key, {}, lang) or placeholders(CATALOGUE[key][0]), f"{key} says nothing"


DETAIL = "HOST-7 said: /dev/sdb"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_reason_shows_its_details_to_those_who_see_the_fleet_alone(lang: str) -> None:
    of = {"code": "host_unreachable", "params": {"detail": DETAIL}}
    shown, hidden = (views.reason(of, views.Reader(lang, fleet)) for fleet in (True, False))
    assert shown is not None
    assert hidden is not None
    assert DETAIL in shown["text"]
    assert DETAIL not in hidden["text"]
    assert hidden["text"] == {"en": "The host does not answer.", "zh": "主机没有响应。"}[lang]


@pytest.mark.parametrize(
    ("lang", "detail", "sentence"),
    [
        ("en", "", "Its command can't be started. Check that the image has it, then ask anew."),
        ("en", "no such file", "Its command can't be started: no such file. Check that the image has it, then ask anew."),
        ("en", "It said no.", "Its command can't be started: It said no. Check that the image has it, then ask anew."),
        ("zh", "", "命令无法启动。请确认镜像中存在该命令，更正后重新申请。"),
        ("zh", "no such file", "命令无法启动：no such file。请确认镜像中存在该命令，更正后重新申请。"),
    ],
)
def test_a_backends_words_in_a_sentences_middle_leave_it_whole_told_or_not(lang: str, detail: str, sentence: str) -> None:
    assert render("command_not_started", {"detail": detail} if detail else {}, lang) == sentence


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_sentence_of_nothing_has_a_loose_colon(lang: str) -> None:
    for code in CATALOGUE:
        if not code.startswith(("rule.", "change.")):
            assert not re.search(r"[:：]\s*[.。]", render(code, {}, lang)), code


@pytest.mark.parametrize("lang", LANGUAGES)
def test_what_a_department_reads_is_whole_without_what_it_is_not_told(lang: str) -> None:
    for code in (*REASONS, *(fact for fact in FACTS if fact.startswith("instance."))):
        told = views.shown(dict.fromkeys(placeholders(CATALOGUE[code][0]), "x"), views.Reader(lang))
        assert not re.search(r"\s{2}|\s[.,;。，；]|[（(]\s*[)）]|[:：]\s*[.。]", render(code, told, lang)), code
