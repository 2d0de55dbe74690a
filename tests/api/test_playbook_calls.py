"""The module by which playbooks call the API, as Ansible runs it: what it changes, what it says when refused, and that its token stays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.api.outside import Caller, Cloud, fresh

LIBRARY = Path(__file__).parents[2] / "playbooks" / "library"


def call(cloud: Cloud, caller: Caller, folder: Path, *arguments: str, **given: Any) -> dict[str, Any]:
    """The module's answer, of one call on this machine with as much said as Ansible can."""
    answer = folder / "answer.json"
    (folder / "given.json").write_text(json.dumps({"given": {"server": cloud.url, "token": caller.token, **given}}))
    asks = {"name": "Ask", "chutian_call": "{{ given }}", "register": "answer", "ignore_errors": True}
    keeps = {"name": "Keep", "ansible.builtin.copy": {"content": "{{ answer | to_json }}", "dest": str(answer)}, "check_mode": False}
    (folder / "play.json").write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [asks, keeps]}]))
    line = [sys.executable, "-m", "ansible", "playbook", "-vvv", "-i", "localhost,", "-c", "local", "-e", f"@{folder}/given.json"]
    told = {"ANSIBLE_LIBRARY": str(LIBRARY), "ANSIBLE_HOME": str(folder), "ANSIBLE_PYTHON_INTERPRETER": sys.executable}
    done = subprocess.run(
        [*line, *arguments, folder / "play.json"],
        capture_output=True,
        text=True,
        env=os.environ | told,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(caller.token) not in done.stdout + done.stderr + answer.read_text()
    found: dict[str, Any] = json.loads(answer.read_text())
    return found


def test_reading_changes_nothing(cloud: Cloud, operator: Caller, tmp_path: Path) -> None:
    seen = call(cloud, operator, tmp_path, path="/v1/pools/general")
    assert (seen["changed"], seen["found"], seen["answer"]["name"]) == (False, True, "general")


def test_a_verb_is_done_and_told_and_in_check_mode_neither(cloud: Cloud, operator: Caller, tmp_path: Path) -> None:
    name = fresh("pool")
    given = {"method": "POST", "path": "/v1/pools", "body": {"name": name, "zone": "z"}}
    assert call(cloud, operator, tmp_path, "--check", **given)["changed"]
    operator.refused(404, "not_found", f"GET /v1/pools/{name}")
    assert call(cloud, operator, tmp_path, **given)["answer"]["name"] == name
    changed = call(cloud, operator, tmp_path, method="PATCH", path=f"/v1/pools/{name}", body={"site": "武汉"})
    assert (changed["changed"], operator.ask(f"GET /v1/pools/{name}")["site"]) == (True, "武汉")
    operator.ask(f"DELETE /v1/pools/{name}")


def test_a_refusal_fails_in_the_controllers_words(cloud: Cloud, operator: Caller, tmp_path: Path) -> None:
    refused = call(cloud, operator, tmp_path, path="/v1/pools/nowhere", language="zh")
    spoken = operator.call("GET /v1/pools/nowhere", headers={"Accept-Language": "zh"}).json()["error"]
    assert (refused["failed"], refused["msg"], refused["code"]) == (True, spoken["message"], "not_found")
    absent = call(cloud, operator, tmp_path, path="/v1/pools/nowhere", may_be_absent=True)
    assert (absent["changed"], absent["found"]) == (False, False)


def test_a_controller_that_is_not_there_is_a_failure_in_words(cloud: Cloud, operator: Caller, tmp_path: Path) -> None:
    refused = call(cloud, operator, tmp_path, server="http://127.0.0.1:9", path="/v1/pools", may_be_absent=True)
    assert refused["failed"]
    assert "127.0.0.1:9" in refused["msg"]
