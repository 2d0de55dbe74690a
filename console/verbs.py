"""From a literal table of verbs to click commands.

Enters: a noun's `VERBS` (a function and its parameters per verb) and `Say`. Leaves: click commands whose help is in one language.
Tables instead of click's decorators, because a decorator fixes its help text when the module is imported, before the language is
known; and because a table can be walked by a test. A verb's help is the text `help.<noun>.<verb>`, a parameter's `opt.<name>`
unless it names another.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

import click

from console import profiles
from console.app import App
from console.client import Client
from console.errors import ApiError
from console.texts import Say

OUTPUTS = ("table", "wide", "json", "yaml")


@dataclass(frozen=True, slots=True)
class Param:
    """One argument or option of a verb; `settings` are click's own."""

    decls: tuple[str, ...]
    is_option: bool
    text: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Verb:
    """What runs, called with the App and the parameters by name; what it returns is the exit code, None being 0."""

    run: Callable[..., int | None]
    params: tuple[Param, ...] = ()


def arg(name: str, **settings: Any) -> Param:
    """A positional argument."""
    return Param((name,), False, "", settings)


def opt(*decls: str, text: str = "", **settings: Any) -> Param:
    """An option; its text is that of its long name unless `text` names another."""
    long = next(decl for decl in decls if decl.startswith("--")).split("/")[0].removeprefix("--")
    return Param(decls, True, f"opt.{text or long}", settings)


def flag(*decls: str, text: str = "") -> Param:
    """An option without a value."""
    return opt(*decls, text=text, is_flag=True)


PRIORITIES = click.Choice(("batch", "normal", "critical"))
PRIORITY = opt("--priority", type=PRIORITIES)
OF_PRIORITY = opt("--priority", text="of-priority", type=PRIORITIES)
PREEMPT = flag("--preempt")
YES = flag("--yes", "-y")
LISTING = (opt("--limit", type=click.IntRange(1, 500)), opt("--cursor"), flag("--all", "everything"))
WAITING = (flag("--wait"), opt("--timeout", type=click.IntRange(min=1), default=900, show_default=True))
GLOBAL = (
    opt("--output", "-o", type=click.Choice(OUTPUTS)),
    opt("--lang", type=click.Choice(("zh", "en"))),
    opt("--profile"),
    opt("--server"),
    opt("--ca", type=click.Path(dir_okay=False)),
)
GLOBAL_NAMES = ("output", "lang", "profile", "server", "ca")


def command(name: str, key: str, verb: Verb, say: Say) -> click.Command:
    """The click command of a verb. The global options work behind the verb too; only `--output` is shown there."""
    return click.Command(
        name,
        params=[
            *(to_click(param, say) for param in verb.params),
            *global_options(say, {param.text for param in verb.params}),
            help_option(say),
        ],
        callback=functools.partial(_run, verb.run),
        help=say(f"help.{key}"),
        add_help_option=False,
        options_metavar=say("help.options_metavar"),
    )


def group(name: str, verbs: Mapping[str, Verb], say: Say) -> click.Group:
    """The click group of a noun."""
    return click.Group(
        name,
        commands={verb: command(verb, f"{name}.{verb}", entry, say) for verb, entry in verbs.items()},
        params=[*global_options(say, {GLOBAL[0].text}), to_click(GLOBAL[0], say, hidden=True), help_option(say)],
        help=say(f"group.{name}"),
        add_help_option=False,
        no_args_is_help=True,
        options_metavar=say("help.options_metavar"),
        subcommand_metavar=say("help.verb_metavar"),
    )


def global_options(say: Say, present: Container[str] = (), hidden: bool = True) -> list[click.Parameter]:
    """The options that work before and behind every verb, without those `present` already (by their text)."""
    return [to_click(param, say, hidden=hidden and param is not GLOBAL[0]) for param in GLOBAL if param.text not in present]


def help_option(say: Say) -> click.Option:
    """`--help` with a translated text and translated headings."""

    def show(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
        if wanted and not ctx.resilient_parsing:
            click.echo(help_text(ctx, say))
            ctx.exit()

    return click.Option(("--help", "-h"), is_flag=True, is_eager=True, expose_value=False, callback=show, help=say("opt.help"))


def help_text(ctx: click.Context, say: Say) -> str:
    """click's help with its own few English words replaced: it keeps them out of reach of anything but a compiled gettext catalogue."""
    lines = ctx.get_help().splitlines()
    words = {"Options:": say("help.options"), "Commands:": say("help.commands"), "Positional arguments:": say("help.arguments")}
    lines = [words.get(line, line).replace("[required]", say("help.required")).replace("[default: ", say("help.default")) for line in lines]
    return "\n".join(lines).replace("Usage: ", say("help.usage"), 1)


def to_click(param: Param, say: Say, hidden: bool = False) -> click.Parameter:
    """The click parameter of a table's entry."""
    if not param.is_option:
        return click.Argument(param.decls, **param.settings)
    return click.Option(param.decls, help=say(param.text), hidden=hidden, **param.settings)


def _run(run: Callable[..., int | None], /, **params: Any) -> int:
    """Build the App from the options before and behind the verb, run the verb, and turn an ApiError into words and an exit code."""
    ctx = click.get_current_context()
    root = ctx.find_root()
    for name in GLOBAL_NAMES:
        params.pop(name, None)
    given = {name: _nearest(ctx, name) for name in GLOBAL_NAMES}
    with contextlib.ExitStack() as stack:
        app = _app(given, root.obj[0], root.obj[1], stack)
        try:
            return run(app, **params) or 0
        except ApiError as error:
            from console import refusals

            return refusals.tell(app, error)


def _nearest(ctx: click.Context | None, name: str) -> Any:
    """A global option's value where it was given closest to the verb."""
    while ctx is not None:
        if ctx.params.get(name) is not None:
            return ctx.params[name]
        ctx = ctx.parent
    return None


def _app(given: Mapping[str, Any], lang: str, say: Say, stack: contextlib.ExitStack) -> App:
    try:
        profile = profiles.resolve(os.environ, given["profile"], given["server"], given["ca"])
    except profiles.ProfileError as error:
        raise click.UsageError(say("message.broken_profiles", path=error.path, why=error.why)) from error

    @functools.cache
    def client() -> Client:
        if profile.missing:
            raise click.UsageError(say("message.no_such_profile", name=profile.name))
        if profile.token is None:
            raise ApiError("unauthenticated", say("message.not_logged_in", server=profile.server))
        return stack.enter_context(Client(profile.server, profile.token, profile.ca, lang))

    return App(say, lang, given["output"] or "table", profile, client)
