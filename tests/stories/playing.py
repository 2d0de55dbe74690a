"""ansible-playbook by hand, as an operator runs it: a machine of the lab, a controller, and what the recap says.

In: a system that can be logged into, a controller. Out: the output of a run, and how many tasks changed something.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.api.outside import Cloud
from tests.lab.metal.installed import Installed
from tests.lab.needs import CHECKOUT

RUN_S = 1200
ENDED = re.compile(r"^\S+ +: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)


@dataclass(frozen=True)
class Played:
    """One run."""

    output: str
    code: int

    @property
    def changed(self) -> int:
        """How many tasks changed something. Raises AssertionError where the run failed."""
        found = ENDED.search(self.output)
        assert self.code == 0, self.output[-4000:]
        assert found is not None, self.output[-4000:]
        assert found[2] == found[3] == "0"
        return int(found[1])


@dataclass(frozen=True)
class Desk:
    """From where playbooks are run. The token lies in a file that nobody else reads."""

    folder: Path
    cloud: Cloud
    system: Installed

    def play(self, playbook: str, *arguments: str, **variables: object) -> Played:
        known = self.folder / "known_hosts"
        known.write_text(f"{self.system.server.address} {self.system.host_key}\n")
        inventory = self.folder / "inventory.json"
        here = {
            "ansible_host": self.system.server.address,
            "ansible_user": "root",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": str(self.system.key),
            "ansible_ssh_common_args": f"-F none -o UserKnownHostsFile={known}",
        }
        inventory.write_text(json.dumps({"all": {"hosts": {self.system.server.name: here}}}))
        given = self.folder / "variables.json"
        with os.fdopen(os.open(given, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"chutian_url": self.cloud.url, "chutian_token": self.cloud.admin.token, **variables}, file)
        line = [
            sys.executable,
            "-m",
            "ansible",
            "playbook",
            "-i",
            inventory,
            "-e",
            f"@{given}",
            CHECKOUT / "playbooks" / playbook,
            *arguments,
        ]
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": str(self.folder / "ansible"), "ANSIBLE_FORCE_COLOR": "0"}
        done = subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment, check=False, timeout=RUN_S)
        assert str(self.cloud.admin.token) not in done.stdout + done.stderr, "the token was printed"
        return Played(done.stdout + done.stderr, done.returncode)
