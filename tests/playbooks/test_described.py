"""The playbooks' description is theirs: they can be read with the example inventory, and README.md names every variable and its default."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.playbooks.played import PLAYBOOKS

OURS = ("inspect.yml", "provision.yml", "wipe.yml")
ROLES = ("ramdisk", "inspect", "provision", "wipe")
README = (PLAYBOOKS / "README.md").read_text()
GIVEN = re.compile(r"\{\{ (?:lookup\()?([a-z_0-9]+)")
INTERNAL = re.compile(r"ansible_.*|inventory_hostname|(ramdisk|inspect|provision|wipe)_(?!.*_s$|methods$).*")


@pytest.mark.parametrize("playbook", OURS)
def test_a_playbook_can_be_read_with_the_example_inventory(tmp_path: Path, playbook: str) -> None:
    call = [sys.executable, "-m", "ansible", "playbook", "--syntax-check", "-i", PLAYBOOKS / "inventory.example.yml", PLAYBOOKS / playbook]
    done = subprocess.run(call, capture_output=True, text=True, check=False, env={"ANSIBLE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_every_variable_is_described() -> None:
    tasks = [path.read_text() for role in ROLES for path in (PLAYBOOKS / "roles" / role).rglob("*.yml")]
    used = {name for text in tasks for name in GIVEN.findall(text)} | {"result_file"}
    missing = sorted(name for name in used if not INTERNAL.fullmatch(name) and f"`{name}`" not in README)
    assert not missing
    example = (PLAYBOOKS / "inventory.example.yml").read_text()
    for name in re.findall(r"^ +([a-z_]+):", example, re.MULTILINE):
        assert name in {"vars", "hosts"} or f"`{name}`" in README, name


def test_every_deadline_is_described_with_its_default() -> None:
    for role in ROLES:
        path = PLAYBOOKS / "roles" / role / "defaults/main.yml"
        defaults = yaml.safe_load(path.read_text()) if path.exists() else {}
        for name, value in defaults.items():
            assert not name.endswith("_s") or f"`{name}` {value}" in README.replace("\n", " "), name


def test_every_action_and_role_is_used() -> None:
    text = "".join(path.read_text() for path in PLAYBOOKS.rglob("*.yml"))
    for path in (PLAYBOOKS / "action_plugins").glob("*.py"):
        assert f"{path.stem}:" in text, path
        assert path.read_text().startswith(f'"""{path.stem}: ')
    for role in ROLES:
        assert f"name: {role}\n" in text
