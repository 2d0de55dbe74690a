"""`chutian`: the root of the command line.

Enters: arguments and the environment. Leaves: an exit code (`console.exits`). A noun's module is imported when the noun is used, so
that `--help` and shell completion answer at once; `console.verbs` turns its table into click commands. The one subclass here is
click's own way to load commands late; everything else is built by functions. The rejected alternative, importing everything and
caching, costs each command what only some need.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Sequence

import click

from console import exits, texts
from console.texts import Say
from console.verbs import command, global_options, group, help_option, help_text

COMPLETE_VARIABLE = "_CHUTIAN_COMPLETE"
_EXTRA = re.compile(r"Got unexpected extra arguments? \((.*)\)")  # click's words, the only way to know

NOUNS = (
    *("project", "quota", "user", "flavor", "image", "pool", "endpoint", "host", "request", "instance", "explain", "plan"),
    *("machine", "run", "certificate"),
)
SINGLES = {  # commands without a noun, and the module each is in
    "login": "login",
    "whoami": "login",
    "events": "events",
    "serve": "local",
    "migrate": "local",
    "bootstrap": "local",
    "stop-database": "local",
    "replace-trust": "local",
    "simulate": "local",
    "completion": "local",
    "version": "local",
}
SECTIONS = {  # how `chutian --help` groups them
    "ask": ("instance", "request", "explain", "events", "quota", "project", "certificate"),
    "operate": ("host", "pool", "endpoint", "machine", "run", "flavor", "image", "user", "plan", "simulate"),
    "self": ("login", "whoami", "completion", "version"),
    "controller": ("serve", "migrate", "bootstrap", "stop-database", "replace-trust"),
}


class Lazy(click.Group):
    """A group whose commands are imported when asked for; its own help names them without importing."""

    say: Say

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All names, in the order of the help."""
        return [name for names in SECTIONS.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command, its module imported now."""
        if cmd_name in NOUNS:
            return group(cmd_name, importlib.import_module(f"console.commands.{cmd_name}").VERBS, self.say)
        if cmd_name in SINGLES:
            module = importlib.import_module(f"console.commands.{SINGLES[cmd_name]}")
            special = getattr(module, "RAW", {}).get(cmd_name)
            return special(cmd_name, self.say) if special else command(cmd_name, cmd_name, module.VERBS[cmd_name], self.say)
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """The commands by section, with one line each."""
        for section, names in SECTIONS.items():
            with formatter.section(self.say(f"section.{section}")):
                formatter.write_dl(
                    [(name, self.say(f"group.{name}" if name in NOUNS else f"help.{name}").splitlines()[0]) for name in names]
                )


def build(lang: str) -> click.Group:
    """The whole command line in one language."""
    say = texts.speak(lang)
    codes = "\n".join(f"  {code}  {say(f'exit.{code}')}" for code in exits.DOCUMENTED)
    root = Lazy(
        "chutian",
        params=[*global_options(say, hidden=False), help_option(say)],
        help=say("help.chutian"),
        epilog=f"\b\n{say('help.exit_codes')}\n{codes}\n\n\b\n{say('help.environment')}",
        add_help_option=False,
        no_args_is_help=True,
        context_settings={"obj": (lang, say)},
        options_metavar=say("help.options_metavar"),
        subcommand_metavar=say("help.command_metavar"),
    )
    root.say = say
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    lang = texts.choose(args, os.environ)
    say = texts.speak(lang)
    try:
        result = build(lang).main(args=args, prog_name="chutian", complete_var=COMPLETE_VARIABLE, standalone_mode=False)
    except click.UsageError as error:
        click.echo(usage_text(error, say), err=True)
        return exits.USAGE
    except click.ClickException as error:
        click.echo(say("error.prefix", message=error.format_message()), err=True)
        return exits.USAGE
    except click.Abort:
        click.echo(say("message.interrupted"), err=True)
        return exits.INTERRUPTED
    return result if isinstance(result, int) else exits.OK


def usage_text(error: click.UsageError, say: Say) -> str:
    """What is wrong with the command line, in the user's language, and where its help is."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and error.ctx is not None:
        return help_text(error.ctx, say)
    lines = [say("error.prefix", message=_complaint(error, say))]
    if error.ctx is not None:
        lines.append(say("error.see_help", command=error.ctx.command_path))
    return "\n".join(lines)


def _complaint(error: click.UsageError, say: Say) -> str:
    if isinstance(error, click.MissingParameter) and error.param is not None:
        key = "error.missing_option" if isinstance(error.param, click.Option) else "error.missing_argument"
        return say(key, name=_shown(error.param))
    if isinstance(error, click.exceptions.NoSuchCommand):
        return say("error.no_such_command", name=error.command_name) + _near(error.possibilities, say)
    if isinstance(error, click.NoSuchOption):
        return say("error.no_such_option", name=error.option_name) + _near(error.possibilities, say)
    if isinstance(error, click.BadParameter) and error.param is not None:
        return say("error.bad_value", name=_shown(error.param), why=_wanted(error, error.param, say))
    if extra := _EXTRA.fullmatch(error.format_message()):
        return say("error.extra_argument", given=extra[1])
    return error.format_message()


def _wanted(error: click.BadParameter, param: click.Parameter, say: Say) -> str:
    """What a parameter takes; click's own sentence where it is none of the usual types."""
    kind = param.type
    if isinstance(kind, click.Choice):
        return say("error.one_of", choices=", ".join(map(str, kind.choices)))
    if isinstance(kind, click.types.IntParamType):
        low, high = getattr(kind, "min", None), getattr(kind, "max", None)
        bounds = f" ({'' if low is None else low}…{'' if high is None else high})" if (low, high) != (None, None) else ""
        return say("error.integer", bounds=bounds)
    if isinstance(kind, click.Path):
        return say("error.no_file")
    return error.message


def _shown(param: click.Parameter) -> str:
    return max(param.opts, key=len) if isinstance(param, click.Option) else param.human_readable_name


def _near(possibilities: Sequence[str] | None, say: Say) -> str:
    return say("error.did_you_mean", names=", ".join(possibilities)) if possibilities else ""


if __name__ == "__main__":
    sys.exit(main())
