"""metal_image: check an image of the controller's store, and have the depot serve it to an attempt, packed."""

from dataclasses import asdict
from pathlib import Path

from drivers.bare_metal.action import ATTEMPT, WITHIN, Action, Params, Result, attempt_of
from drivers.bare_metal.depot_image import FORMATS, provide

IMAGE = {
    "file": {"type": "path", "required": True},
    "format": {"type": "str", "choices": list(FORMATS), "required": True},
    "sha256": {"type": "str", "required": True},  # of the file
}


class ActionModule(Action):
    arguments = {**ATTEMPT, **IMAGE, **WITHIN}
    would = {"changed": True, "packed": {}}

    def act(self, params: Params) -> Result:
        folder, image = Path(params["depot_folder"]), Path(params["file"])
        packed = provide(folder, attempt_of(params), image, params["format"], params["sha256"].lower(), params["within_s"])
        return {"changed": True, "packed": asdict(packed)}
