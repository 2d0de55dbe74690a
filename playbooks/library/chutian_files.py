"""Ansible module: folders and small text files as they shall be, all in one call, since each call to a machine takes its time.

A file is replaced as a whole, so that nobody ever reads half of one. With `block` only the lines between our two markers are ours; the rest
of the file stays as it is. Runs on the machine, where nothing but Python and Ansible is.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: chutian_files
short_description: Folders and text files as they shall be
description: Makes what is missing and mends what differs. In check mode it only says what that is.
options:
  folders:
    description: In order.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: Where., type: path, required: true}
      mode: {description: "Such as C(0755).", type: str, required: true}
  files:
    description: In order, after the folders.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: Where., type: path, required: true}
      mode: {description: "Such as C(0644).", type: str, default: "0644"}
      content: {description: All of it; or the lines that are ours., type: str, required: true}
      block: {description: Whether only the lines between our markers are meant., type: bool, default: false}
author: Chutian
"""
EXAMPLES = """
- name: Write two files
  chutian_files:
    folders: [{path: /etc/pki/CA, mode: "0755"}]
    files: [{path: /etc/pki/CA/cacert.pem, content: "{{ trusted }}"}]
"""
RETURN = """
written: {description: What was made or mended., type: list, returned: always}
"""

BEGIN, END = "# BEGIN CHUTIAN", "# END CHUTIAN"
FOLDER: dict[str, Any] = {"path": {"type": "path", "required": True}, "mode": {"type": "str", "required": True}}
FILE: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "mode": {"type": "str", "default": "0644"},
    "content": {"type": "str", "required": True},
    "block": {"type": "bool", "default": False},
}
ARGUMENTS: dict[str, Any] = {
    "folders": {"type": "list", "elements": "dict", "default": [], "options": FOLDER},
    "files": {"type": "list", "elements": "dict", "default": [], "options": FILE},
}


def with_block(text: str, block: str) -> str:
    """The text with our lines in their place, or at its end where it has none of ours."""
    ours = [BEGIN, *block.strip("\n").split("\n"), END]
    lines = text.splitlines()
    if BEGIN in lines and END in lines[lines.index(BEGIN) :]:
        first = lines.index(BEGIN)
        lines[first : lines.index(END, first) + 1] = ours
    else:
        lines += ours
    return "\n".join(lines) + "\n"


def put_folder(path: Path, mode: int, check: bool) -> bool:
    """Whether it was not so."""
    if path.is_dir() and path.stat().st_mode & 0o7777 == mode:
        return False
    if not check:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
    return True


def put_file(path: Path, mode: int, content: str, check: bool) -> bool:
    """Whether it was not so."""
    if path.is_file() and path.stat().st_mode & 0o7777 == mode and path.read_text() == content:
        return False
    if not check:
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w") as file:
            file.write(content)
        Path(partial).chmod(mode)
        Path(partial).replace(path)
    return True


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    written = []
    for folder in module.params["folders"]:
        if put_folder(Path(folder["path"]), int(folder["mode"], 8), module.check_mode):
            written.append(folder["path"])
    for file in module.params["files"]:
        path, content = Path(file["path"]), file["content"]
        if file["block"]:
            content = with_block(path.read_text() if path.exists() else "", content)
        if put_file(path, int(file["mode"], 8), content, module.check_mode):
            written.append(file["path"])
    module.exit_json(changed=bool(written), written=written)


if __name__ == "__main__":
    main()
