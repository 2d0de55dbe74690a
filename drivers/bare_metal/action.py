"""What the steps of playbooks for bare metal have in common: their arguments, the BMC, an attempt's folder, and failures that say why.

In: a table of arguments and what to do with them. Out: an action of Ansible, whose failure carries `reason: {code, params}` next to `msg`,
as drivers.errors have it. Actions run in the worker that Ansible forks for a task: on the controller, with its Python, all imported
already, so that a step takes hundredths of a second where a module, which is a Python process of its own, takes half of one. In check mode
those that act on a machine do nothing and say that they would.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final

from ansible.plugins.action import ActionBase

from drivers.bare_metal.attempt import Attempt, found
from drivers.bare_metal.bmc import Bmc, open_bmc
from drivers.errors import DriverError, InvalidSpec

Params = dict[str, Any]
Result = dict[str, Any]

_BMC: Final = {
    "uri": {"type": "str", "required": True},
    "options": {"type": "dict", "default": {}},
    "credentials": {"type": "str", "required": True, "no_log": True},
}
BMC: Final = {"bmc": {"type": "dict", "required": True, "options": _BMC}}
ATTEMPT: Final = {"depot_folder": {"type": "path", "required": True}, "attempt": {"type": "str", "required": True}}
WITHIN: Final = {"within_s": {"type": "float", "required": True}}
TEXT: Final = {"type": "str", "default": ""}
SOURCE: Final = {"source": {"type": "str", "choices": ["network", "cd", "disk"], "required": True}}


class Action(ActionBase):  # type: ignore[misc]  # Ansible has no types
    """One kind of step. `arguments` as Ansible's modules declare them, the parameters that are handed on are plain JSON; `would`: what is
    said in check mode."""

    arguments: ClassVar[Mapping[str, Any]]
    would: ClassVar[Result] = {"changed": True}
    _requires_connection = False

    @abstractmethod
    def act(self, params: Params) -> Result:
        """Do it. Raises DriverError."""

    def look(self, params: Params) -> Result:  # noqa: ARG002
        """What it would do, in check mode."""
        return self.would

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        params = _plain(self.validate_argument_spec(argument_spec=self.arguments)[1])
        try:
            result |= self.look(params) if self._task.check_mode else self.act(params)
        except DriverError as error:
            result |= failed(error)
        return result | {"failed": "reason" in result, "warnings": result.get("left", [])}


def failed(error: DriverError) -> Result:
    """The result of a step that met that."""
    return {"msg": str(error), "reason": {"code": error.reason.code, "params": dict(error.reason.params)}}


@contextmanager
def bmc_of(params: Params) -> Iterator[Bmc]:
    """The machine's BMC."""
    given = params["bmc"]
    opened = open_bmc(given["uri"], {**{name: str(value) for name, value in given["options"].items()}, "credentials": given["credentials"]})
    try:
        yield opened
    finally:
        opened.close()


def attempt_of(params: Params) -> Attempt:
    """The attempt that the play began. Raises InvalidSpec where it has ended."""
    attempt = found(Path(params["depot_folder"]), params["attempt"])
    if attempt is None:
        raise InvalidSpec(detail=f"there is no attempt {params['attempt']} in {params['depot_folder']} (any more)")
    return attempt


def _plain(value: Any) -> Any:
    """Without what Ansible remembers of a value (where it is from, that it is safe)."""
    if isinstance(value, Mapping):
        return {_plain(name): _plain(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    return str.__str__(value) if isinstance(value, str) else value
