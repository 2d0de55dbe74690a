"""YAML or JSON files that say what is asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from console.app import App
from console.client import Body


def document(app: App, file: str) -> Body:
    """The mapping in a file; `-` is stdin. Raises click.UsageError for what can't be read or isn't one."""
    import yaml

    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
        body = yaml.safe_load(text)  # JSON is YAML too
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise click.UsageError(app.say("request.unreadable", file=file, why=error)) from error
    if not isinstance(body, dict):
        raise click.UsageError(app.say("request.not_a_mapping", file=file))
    return body


def text(app: App, file: str) -> str:
    """What is in a file. Raises click.UsageError where that is no text."""
    try:
        return Path(file).expanduser().read_text("utf-8")
    except UnicodeDecodeError:
        raise click.UsageError(app.say("request.not_a_text", file=file)) from None
