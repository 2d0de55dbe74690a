"""What the modules for bare metal have in common: their arguments, the BMC, the folder of an attempt, and failures that say why.

In: a table of arguments and what to do with them. Out: a module, whose failure carries `reason: {code, params}` next to `msg`, as
drivers.errors have it. Modules run on the controller, with its Python. In check mode those that act on a machine do nothing and say that
they would.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from drivers.bare_metal.attempt import Attempt, found
from drivers.bare_metal.bmc import Bmc, open_bmc
from drivers.errors import DriverError, InvalidSpec

Result = dict[str, Any]

_BMC = {
    "uri": {"type": "str", "required": True},
    "options": {"type": "dict", "default": {}},
    "credentials": {"type": "str", "required": True, "no_log": True},
}
BMC = {"bmc": {"type": "dict", "required": True, "options": _BMC}}
ATTEMPT = {"depot_folder": {"type": "path", "required": True}, "attempt": {"type": "str", "required": True}}
WITHIN = {"within_s": {"type": "float", "required": True}}
TEXT = {"type": "str", "default": ""}
SOURCE = {"source": {"type": "str", "choices": ["network", "cd", "disk"], "required": True}}


def run(
    arguments: dict[str, Any], act: Callable[[dict[str, Any]], Result], *, look: Callable[[dict[str, Any]], Result] | None = None
) -> None:
    """Be that module: `act` does it, `look` says in check mode what would change (by default: all of it)."""
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    try:
        result = act(module.params) if not module.check_mode else look(module.params) if look else {"changed": True}
    except DriverError as error:
        result = failed(error)
    for warning in result.get("left", ()):
        module.warn(warning)
    if "reason" in result:
        module.fail_json(**result)
    module.exit_json(**result)


def failed(error: DriverError) -> Result:
    """The result of a module that met that."""
    return {"msg": str(error), "reason": {"code": error.reason.code, "params": dict(error.reason.params)}}


@contextmanager
def bmc_of(params: dict[str, Any]) -> Iterator[Bmc]:
    """The machine's BMC."""
    given = params["bmc"]
    opened = open_bmc(given["uri"], {**{name: str(value) for name, value in given["options"].items()}, "credentials": given["credentials"]})
    try:
        yield opened
    finally:
        opened.close()


def attempt_of(params: dict[str, Any]) -> Attempt:
    """The attempt that the play began. Raises InvalidSpec where it has ended."""
    attempt = found(Path(params["depot_folder"]), params["attempt"])
    if attempt is None:
        raise InvalidSpec(detail=f"there is no attempt {params['attempt']} in {params['depot_folder']} (any more)")
    return attempt
