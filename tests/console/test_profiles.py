"""Profiles: who wins, and how the file is kept."""

from __future__ import annotations

import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from console import profiles
from console.profiles import Profile

TOKEN = "ct_secret-of-the-test"  # noqa: S105


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment with two profiles, `prod` being current."""
    environ = {"CHUTIAN_CONFIG_HOME": str(tmp_path / "config")}
    file = profiles.path(environ)
    profiles.save(file, Profile("test", "https://test:8443", None, "ct_test"))
    profiles.save(file, Profile("prod", "https://prod:8443", '/ca "quoted"\\.pem', "ct_prod"))
    return environ


def test_what_is_saved_is_read_again(home: dict[str, str]) -> None:
    assert profiles.resolve(home) == Profile("prod", "https://prod:8443", '/ca "quoted"\\.pem', "ct_prod")
    assert profiles.resolve(home, "test") == Profile("test", "https://test:8443", None, "ct_test")


def test_the_file_and_its_folder_are_for_their_owner_alone(home: dict[str, str]) -> None:
    file = profiles.path(home)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in file.parent.iterdir()] == ["config.toml"]


def test_the_environment_wins_over_the_file_and_options_over_both(home: dict[str, str]) -> None:
    environ = {**home, "CHUTIAN_SERVER": "https://env:1", "CHUTIAN_TOKEN": "ct_env", "CHUTIAN_CA": "/env.pem"}
    assert profiles.resolve(environ) == Profile("prod", "https://env:1", "/env.pem", "ct_env")
    assert profiles.resolve(environ, server="https://opt:1", ca="/opt.pem") == Profile("prod", "https://opt:1", "/opt.pem", "ct_env")


def test_a_stored_token_goes_to_its_own_server_only(home: dict[str, str]) -> None:
    assert profiles.resolve(home, server="https://elsewhere:8443").token is None
    assert profiles.resolve(home, server="https://prod:8443/").token == "ct_prod"  # noqa: S105


def test_without_a_file_the_server_is_on_this_machine(tmp_path: Path) -> None:
    assert profiles.resolve({"CHUTIAN_CONFIG_HOME": str(tmp_path)}) == Profile("default", profiles.DEFAULT_SERVER)


def test_a_profile_that_isnt_there_is_told(chutian: Callable[..., Any]) -> None:
    ran = chutian("whoami", "--profile", "nowhere")
    assert ran.code == 2
    assert "chutian login --profile nowhere" in ran.err


def test_a_broken_file_is_told_with_its_path(chutian: Callable[..., Any], environ: dict[str, str]) -> None:
    file = profiles.path(environ)
    file.parent.mkdir()
    file.write_text("current = ")
    ran = chutian("whoami")
    assert ran.code == 2
    assert str(file) in ran.err


def test_a_token_is_not_in_a_profiles_repr() -> None:
    assert "ct_x" not in repr(Profile("p", token="ct_x"))  # noqa: S106


def _who(server: Any) -> None:
    server.on(
        "GET /v1/whoami", {"user": {"id": "1", "name": "zhang"}, "roles": [{"project": "hubei", "role": "admin"}], "token": {"id": "t"}}
    )


@pytest.mark.parametrize("how", ["file", "stdin"])
def test_login_checks_the_token_keeps_it_and_never_shows_it(
    how: str, chutian: Callable[..., Any], server: Any, environ: dict[str, str], tmp_path: Path
) -> None:
    _who(server)
    (tmp_path / "token").write_text(TOKEN + "\n")
    args = ["--token-file", str(tmp_path / "token")] if how == "file" else []
    ran = chutian(
        "login", "--server", server.url, "--profile", "new", *args, stdin="" if how == "file" else TOKEN + "\n", CHUTIAN_TOKEN=None
    )
    assert ran.code == 0, ran.err
    assert "zhang" in ran.out
    assert TOKEN not in ran.out + ran.err
    kept = tomllib.loads(profiles.path(environ).read_text())
    assert kept == {"current": "new", "profiles": {"new": {"server": server.url, "token": TOKEN}}}
    assert chutian("whoami", CHUTIAN_TOKEN=None, CHUTIAN_SERVER=None).code == 0


def test_a_token_that_the_server_refuses_is_not_kept(chutian: Callable[..., Any], server: Any, environ: dict[str, str]) -> None:
    server.on("GET /v1/whoami", (401, {"error": {"code": "unauthenticated", "message": "bad token", "details": {}}}))
    ran = chutian("login", "--server", server.url, stdin="ct_wrong\n")
    assert ran.code == 3
    assert not profiles.path(environ).exists()


@pytest.mark.parametrize("text", ["", "two words\n"])
def test_login_wants_one_token(text: str, chutian: Callable[..., Any]) -> None:
    assert chutian("login", stdin=text).code == 2


def test_no_option_takes_a_token(chutian: Callable[..., Any]) -> None:
    ran = chutian("login", "--token", TOKEN)
    assert ran.code == 2
    assert TOKEN not in ran.out + ran.err


def test_whoami_shows_name_and_roles(chutian: Callable[..., Any], server: Any) -> None:
    _who(server)
    ran = chutian("whoami")
    assert "zhang" in ran.out
    assert "hubei    admin" in ran.out
    assert server.seen[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_whoever_is_not_logged_in_is_told_so_before_anything_is_sent(chutian: Callable[..., Any], server: Any, tmp_path: Path) -> None:
    away = {"CHUTIAN_CONFIG_HOME": str(tmp_path / "nothing"), "CHUTIAN_TOKEN": ""}
    ran = chutian("instance", "list", **away)
    assert ran.code == 3
    assert f"You are not logged in to {server.url}." in ran.err
    assert "chutian login" in ran.err
    assert "尚未登录" in chutian("instance", "list", "--lang", "zh", **away).err
    assert server.seen == []
