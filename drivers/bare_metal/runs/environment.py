"""The environment of a run: what Ansible needs, and nothing of the user's who started the controller."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from drivers.bare_metal.runs.folder import MARK

ROOT: Final = Path(__file__).parents[3]  # modules import this code and no other
_SSH: Final = "-F /dev/null -o ControlMaster=auto -o ControlPersist=60s -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
_PLUGINS: Final = ("ACTION", "CALLBACK", "CONNECTION", "FILTER", "LOOKUP", "TEST")


def bare() -> dict[str, str]:
    """For the run's own process: where programs and our code are."""
    programs = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": programs, "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def environment(private: Path, playbooks: Path, number: int) -> dict[str, str]:
    """For Ansible: `number` comes back with each of its events. All that Ansible leaves lying about is in the private folder."""
    plugins = {f"ANSIBLE_{kind}_PLUGINS": str(playbooks / f"{kind.lower()}_plugins") for kind in _PLUGINS}
    return {
        **bare(),
        **plugins,
        MARK: str(private),
        "JOB_ID": str(number),
        "MAX_EVENT_RES": "200000",  # what a result may be long, in an event
        "HOME": str(private / "home"),
        "TMPDIR": str(private / "tmp"),
        "ANSIBLE_CONFIG": str(private / "ansible.cfg"),
        "ANSIBLE_HOME": str(private / "home" / ".ansible"),
        "ANSIBLE_LOCAL_TEMP": str(private / "tmp"),
        "ANSIBLE_ROLES_PATH": str(playbooks / "roles"),
        "ANSIBLE_LIBRARY": str(playbooks / "library"),
        "ANSIBLE_MODULE_UTILS": str(playbooks / "module_utils"),
        "ANSIBLE_COLLECTIONS_PATH": str(playbooks / "collections"),
        "ANSIBLE_INVENTORY_ENABLED": "yaml",
        "ANSIBLE_CACHE_PLUGIN": "memory",
        "ANSIBLE_SSH_ARGS": _SSH,
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(private / "cp"),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_HOST_KEY_CHECKING": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_NO_TARGET_SYSLOG": "1",  # modules tell a machine's log what they were called with
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
    }
