"""metal_keep: keep what a playbook found, as JSON in a file that its owner alone may read."""

import json
from pathlib import Path

from drivers.bare_metal.action import Action, Params, Result
from drivers.bare_metal.attempt import write


class ActionModule(Action):
    arguments = {"file": {"type": "path", "required": True}, "result": {"type": "dict", "required": True}}

    def act(self, params: Params) -> Result:
        write(Path(params["file"]), json.dumps(params["result"]))
        return {"changed": True}
