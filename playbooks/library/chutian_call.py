"""Ansible module: one call to the controller's API, where the playbook runs.

Its token shows in no output, and a refusal fails in the controller's own words, with `code` and `details` for programs.
GET changes nothing; in check mode nothing else is sent.
"""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from console.client import Client
from console.errors import ApiError

DOCUMENTATION = """
module: chutian_call
short_description: One call to the API of a Chutian controller
description: See docs/api.md. To be delegated to where the playbook runs, with the Python that ansible-playbook runs in.
options:
  server: {description: "The controller's URL.", type: str, required: true}
  token: {description: A token of an operator., type: str, required: true}
  ca: {description: "File with who signed the controller's certificate; empty for the system's authorities.", type: path}
  language: {description: In which refusals are told., type: str, choices: [en, zh], default: en}
  method: {description: How it is asked., type: str, choices: [GET, POST, PATCH], default: GET}
  path: {description: "What is asked for, such as C(/v1/hosts/kvm-01).", type: str, required: true}
  body: {description: What is sent., type: dict}
  may_be_absent: {description: "That there is none is an answer, too: C(found) is false then.", type: bool, default: false}
  timeout_s: {description: How long the answer may take., type: float, default: 60}
author: Chutian
"""
EXAMPLES = """
- name: Look at a host
  chutian_call:
    server: https://controller:8443
    token: "{{ chutian_token }}"
    path: /v1/hosts/kvm-01
  delegate_to: localhost
"""
RETURN = """
answer: {description: The body of the answer., type: dict, returned: success}
found: {description: Whether there is one., type: bool, returned: success}
code: {description: The kind of the refusal., type: str, returned: failure}
details: {description: What the refusal names., type: dict, returned: failure}
"""

ARGUMENTS: dict[str, Any] = {
    "server": {"type": "str", "required": True},
    "token": {"type": "str", "required": True, "no_log": True},
    "ca": {"type": "path"},
    "language": {"type": "str", "choices": ["en", "zh"], "default": "en"},
    "method": {"type": "str", "choices": ["GET", "POST", "PATCH"], "default": "GET"},
    "path": {"type": "str", "required": True},
    "body": {"type": "dict"},
    "may_be_absent": {"type": "bool", "default": False},
    "timeout_s": {"type": "float", "default": 60},
}


def main() -> None:
    """Run as a module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    method, path, body = given["method"], given["path"], given["body"]
    changes = method != "GET"
    if changes and module.check_mode:
        module.exit_json(changed=True, found=True, answer={})
    try:
        with Client(given["server"], given["token"], given["ca"] or None, given["language"], timeout_s=given["timeout_s"]) as client:
            ways = {
                "GET": lambda: client.get(path),
                "POST": lambda: client.post(path, body),
                "PATCH": lambda: client.patch(path, body or {}),
            }
            answer = ways[method]()
    except ApiError as error:
        if given["may_be_absent"] and error.status == 404:
            module.exit_json(changed=False, found=False, answer={})
        module.fail_json(msg=error.message, code=error.code, details=error.details)
    module.exit_json(changed=changes, found=True, answer=answer)


if __name__ == "__main__":
    main()
