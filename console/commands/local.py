"""Commands without a server: the controller's own (`serve` and the like), `simulate`, `completion`, `version`.

The controller and the simulation are started as programs of their own in place of this one: the console speaks HTTP only and never
imports them. Their arguments, `--help` included, are passed on as they are, so their options have one home.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

import click
from click.shell_completion import get_completion_class

from console.app import App, tell
from console.texts import Say
from console.verbs import Verb, arg


def _controller(name: str, say: Say) -> click.Command:
    return _program(("controller", name), name, say)


def _simulation(name: str, say: Say) -> click.Command:
    return _program(("simulation",), name, say)


def _program(module: Sequence[str], name: str, say: Say) -> click.Command:
    def become() -> None:
        ctx = click.get_current_context()
        lang = ctx.find_root().params.get("lang")
        if lang:
            os.environ["CHUTIAN_LANG"] = lang
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", *module, *ctx.args])  # noqa: S606 - it becomes that program

    return click.Command(
        name,
        callback=become,
        help=say(f"help.{name}"),
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False},
    )


def completion(_: App, shell: str) -> None:
    """click's own script for the shell; it calls `chutian` back for the words."""
    from console.cli import COMPLETE_VARIABLE

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the choices are click's
    root = click.get_current_context().find_root().command
    tell(kind(root, {}, "chutian", COMPLETE_VARIABLE).source())


def version(_: App) -> None:
    """Which version this is."""
    from importlib.metadata import version as installed

    tell(f"chutian {installed('chutian')}")


VERBS = {
    "completion": Verb(completion, (arg("shell", type=click.Choice(("bash", "zsh", "fish"))),)),
    "version": Verb(version),
}
RAW: dict[str, Callable[[str, Say], click.Command]] = {
    "serve": _controller,
    "migrate": _controller,
    "bootstrap": _controller,
    "stop-database": _controller,
    "replace-trust": _controller,
    "simulate": _simulation,
}
