"""The installed program as a shell sees it: a terminal, completion, the controller's own commands, and how quickly it answers."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ID = "019abf3c-1d20-7c3a-9f51-0c6b5f2f8a11"
TOKEN = "ct_secret-of-the-test"  # noqa: S105


@pytest.fixture
def shell_env(environ: dict[str, str | None]) -> dict[str, str]:
    return {
        **os.environ,
        **{key: value for key, value in environ.items() if value is not None},
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm",
        "COLUMNS": "120",
    }


def _run(env: dict[str, str], *args: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "console.cli", *args], env=env, capture_output=True, text=True, timeout=30, check=False, **more
    )


def _terminal(env: dict[str, str], keys: str, *args: str) -> tuple[int, str]:
    """Run with a terminal, type `keys` when something is asked; the exit code and all that was on screen."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "console.cli", *args], env=env, stdin=slave, stdout=slave, stderr=slave, close_fds=True
    )
    os.close(slave)
    screen, typed, deadline = b"", not keys, time.monotonic() + 30
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.1)[0]:
            try:
                screen += os.read(master, 4096)
            except OSError:
                break
        if not typed and (b"[y/N]" in screen or b"Token" in screen):
            os.write(master, keys.encode())
            typed = True
    os.close(master)
    return process.wait(10), screen.decode(errors="replace")


@pytest.mark.parametrize(("keys", "code", "deleted"), [("y\n", 0, True), ("n\n", 1, False), ("\n", 1, False)])
def test_a_terminal_is_asked_before_something_is_deleted(
    keys: str, code: int, deleted: bool, server: Any, shell_env: dict[str, str]
) -> None:
    server.on(f"DELETE /v1/instances/{ID}", (202, {"id": ID, "name": "web"}))
    ended, screen = _terminal(shell_env, keys, "instance", "delete", ID)
    assert "Delete instance" in screen
    assert ended == code, screen
    assert bool(server.seen) == deleted


def test_yes_asks_nothing(server: Any, shell_env: dict[str, str]) -> None:
    server.on("DELETE /v1/flavors/small", {})
    code, screen = _terminal(shell_env, "", "flavor", "delete", "small", "--yes")
    assert code == 0
    assert "[y/N]" not in screen


def test_a_terminal_draws_colours_and_a_waiting_table(server: Any, shell_env: dict[str, str]) -> None:
    one = {"id": ID, "name": "web[red]", "state": "building", "generation": 1, "observed_generation": 0, "reason": None}
    server.on(f"GET /v1/instances/{ID}", one, {**one, "state": "active", "observed_generation": 1})
    server.on("GET /v1/instances", {"items": [{**one, "state": "error"}], "next": None})
    code, screen = _terminal(shell_env, "", "instance", "wait", ID)
    assert code == 0, screen
    assert "building" in screen
    code, screen = _terminal(shell_env, "", "instance", "list")
    assert "\x1b[31merror" in screen
    assert "web[red]" in screen


def test_a_terminal_is_not_steered_by_what_a_command_in_a_container_says(server: Any, shell_env: dict[str, str]) -> None:
    done = {"exit_code": 3, "stdout": "out\x1b[2J\x1b]0;owned\x07\n", "stderr": "err\x1b[31m\n", "truncated": False}
    server.on(f"POST /v1/instances/{ID}/exec", done, done)
    code, screen = _terminal(shell_env, "", "instance", "exec", ID, "--", "cat", "/etc/motd")
    assert (code, screen.split()) == (3, ["out", "err"])
    piped = _run(shell_env, "instance", "exec", ID, "--output", "table", "--", "cat", "/etc/motd")
    assert (piped.stdout, piped.stderr) == (done["stdout"], done["stderr"]), "a pipe gets every character"


def test_the_token_is_typed_without_being_shown(server: Any, shell_env: dict[str, str]) -> None:
    server.on("GET /v1/whoami", {"user": {"name": "zhang"}, "roles": []})
    code, screen = _terminal({**shell_env, "CHUTIAN_TOKEN": ""}, TOKEN + "\n", "login", "--server", server.url)
    assert code == 0, screen
    assert "zhang" in screen
    assert TOKEN not in screen


def test_a_reader_that_goes_away_is_no_error_message(server: Any, shell_env: dict[str, str]) -> None:
    server.on("GET /v1/flavors", {"items": [{"name": f"f{number}" * 50} for number in range(5000)], "next": None})
    command = f"{sys.executable} -m console.cli flavor list --limit 500 | head -1"
    ran = subprocess.run(["bash", "-c", command], env=shell_env, capture_output=True, text=True, timeout=30, check=False)
    assert "Traceback" not in ran.stderr
    assert "Error" not in ran.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_every_shell(shell: str, shell_env: dict[str, str]) -> None:
    ran = _run(shell_env, "completion", shell)
    assert ran.returncode == 0, ran.stderr
    assert "_CHUTIAN_COMPLETE" in ran.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("chutian ins", ["instance"]),
        ("chutian instance st", ["start", "stop"]),
        ("chutian instance list --st", ["--state"]),
        ("chutian quota ", ["set", "show"]),
    ],
)
def test_completion_completes(words: str, expected: list[str], shell_env: dict[str, str]) -> None:
    env = {**shell_env, "_CHUTIAN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    ran = _run(env)
    assert sorted(line.split(",")[-1] for line in ran.stdout.splitlines()) == expected


@pytest.mark.parametrize("command", ["serve", "migrate", "bootstrap", "stop-database"])
def test_the_controllers_own_commands_become_the_controller_with_all_their_arguments(
    command: str, shell_env: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "controller").mkdir()
    (tmp_path / "controller" / "__init__.py").touch()
    (tmp_path / "controller" / "__main__.py").write_text(
        "import os, sys\nprint(sys.argv[1:], os.environ.get('CHUTIAN_LANG'))\nsys.exit(9)\n"
    )
    ran = _run(
        {**shell_env, "PYTHONPATH": f"{tmp_path}:{ROOT}"}, "--lang", "zh", command, "--listen", "x:1", "--help", "--", "-v", cwd=tmp_path
    )
    assert ran.returncode == 9, ran.stderr
    assert ran.stdout.strip() == f"{[command, '--listen', 'x:1', '--help', '--', '-v']} zh"


def test_help_and_completion_import_neither_the_http_client_nor_rich(shell_env: dict[str, str]) -> None:
    for args in (["--help"], ["instance", "create", "--help"]):
        ran = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "console.cli", *args],
            env=shell_env,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
        assert "console.verbs" in loaded
        assert not {"httpx2", "rich", "yaml", "ssl", "asyncio"} & loaded


def test_the_console_never_imports_the_controller(shell_env: dict[str, str]) -> None:
    code = "import pkgutil, importlib, sys, console\n"
    code += "for m in pkgutil.walk_packages(console.__path__, 'console.'): importlib.import_module(m.name)\n"
    code += (
        "print({name.split('.')[0] for name in sys.modules} & {'controller', 'scheduler', 'drivers', 'quotas', 'sqlalchemy', 'fastapi'})"
    )
    ran = subprocess.run([sys.executable, "-c", code], env=shell_env, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "set()"


def test_the_version_is_told(shell_env: dict[str, str]) -> None:
    assert _run(shell_env, "version").stdout.startswith("chutian ")
