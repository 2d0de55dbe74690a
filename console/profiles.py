"""Where the server is and who asks: profiles in one small TOML file, overridden by the environment and by options.

Enters: options, the environment, `config.toml` in `$CHUTIAN_CONFIG_HOME` or `~/.config/chutian`. Leaves: a frozen `Profile`. The
file holds tokens, so it is written with mode 0600 from its first byte and replaced atomically: a crash leaves the old file or the
new one. A token is never an argument, because arguments are visible to every user of the machine; a keyring was rejected because
servers, where much of this runs, have none.
"""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_SERVER = "https://127.0.0.1:8443"
DEFAULT_NAME = "default"
FIELDS = ("server", "ca", "token")


class ProfileError(Exception):
    """The profile file can't be read; carries its path and why."""

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        self.why = why
        super().__init__(f"{path}: {why}")


@dataclass(frozen=True, slots=True)
class Profile:
    """One server and one identity. `token` is left out of `repr`, so that no traceback or log shows it."""

    name: str
    server: str = DEFAULT_SERVER
    ca: str | None = None
    token: str | None = None
    missing: bool = False  # asked for by name, but not in the file

    def __repr__(self) -> str:
        return f"Profile({self.name!r}, {self.server!r}, ca={self.ca!r})"


def path(environ: Mapping[str, str]) -> Path:
    """The profile file."""
    home = environ.get("CHUTIAN_CONFIG_HOME")
    return (Path(home) if home else Path.home() / ".config" / "chutian") / "config.toml"


def read(file: Path) -> dict[str, Any]:
    """The file's content: `{"current": name, "profiles": {name: {field: text}}}`; empty where there is none.

    Raises ProfileError.
    """
    try:
        found = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {"current": DEFAULT_NAME, "profiles": {}}
    except (OSError, ValueError) as error:
        raise ProfileError(file, str(error)) from error
    profiles = found.get("profiles", {})
    if not isinstance(profiles, dict) or not all(isinstance(entry, dict) for entry in profiles.values()):
        raise ProfileError(file, "profiles")
    return {"current": str(found.get("current", DEFAULT_NAME)), "profiles": profiles}


def resolve(environ: Mapping[str, str], name: str | None = None, server: str | None = None, ca: str | None = None) -> Profile:
    """The profile to use: options, then environment, then the file.

    A token of the file goes only to the server that the same profile names: another, by option or environment, doesn't get it.
    Raises ProfileError.
    """
    content = read(path(environ))
    named = name or environ.get("CHUTIAN_PROFILE")
    wanted = named or content["current"]
    stored = content["profiles"].get(wanted, {})
    home = stored.get("server") or DEFAULT_SERVER
    chosen = (server or environ.get("CHUTIAN_SERVER") or home).rstrip("/")
    same = chosen == home.rstrip("/")
    return Profile(
        name=wanted,
        server=chosen,
        ca=ca or environ.get("CHUTIAN_CA") or (stored.get("ca") if same else None) or None,
        token=environ.get("CHUTIAN_TOKEN", "").strip() or (stored.get("token") if same else None) or None,
        missing=bool(named) and wanted not in content["profiles"],
    )


def save(file: Path, profile: Profile) -> None:
    """Write the profile and make it the current one."""
    content = read(file)
    entry = {field: getattr(profile, field) for field in FIELDS if getattr(profile, field)}
    _replace(file, _toml(profile.name, {**content["profiles"], profile.name: entry}))


def _toml(current: str, profiles: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [f"current = {_quoted(current)}"]
    for name in sorted(profiles):
        lines += ["", f"[profiles.{_quoted(name)}]"]
        lines += [f"{_quoted(key)} = {_quoted(str(value))}" for key, value in profiles[name].items()]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML basic string: JSON's escapes are a subset of TOML's, except that TOML also wants DEL escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _replace(file: Path, text: str) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".config-")  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
