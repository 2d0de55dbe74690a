"""metal_write: have the ramdisk write the served image to the machine's disk and read it back."""

from pathlib import Path

from drivers.bare_metal.action import ATTEMPT, TEXT, WITHIN, Action, Params, Result, attempt_of
from drivers.bare_metal.depot_image import NAME, Packed, forget
from drivers.bare_metal.inspection import root_disk
from drivers.bare_metal.remote import ramdisk_of
from drivers.errors import ChecksumMismatch

SEED_ROOM = 4 << 20  # the seed's partition behind the image, and the copy of the partition table behind that
IMAGE = {
    "packed": {"type": "dict", "required": True},  # what metal_image returned
    "format": {"type": "str", "required": True},
    "sha256": {"type": "str", "required": True},
    "disk": TEXT,  # name or serial number; empty: the smallest that has room
}


class ActionModule(Action):
    arguments = {**ATTEMPT, **IMAGE, **WITHIN}
    would = {"changed": True, "disk": "", "written_bytes": 0, "sha256": "", "seconds": 0}

    def act(self, params: Params) -> Result:
        attempt, packed = attempt_of(params), Packed(**params["packed"])
        disk = root_disk(attempt.alive or {}, params["disk"], packed.bytes + SEED_ROOM)
        command = ("write", attempt.url_of(NAME), packed.served, f"/dev/{disk}", str(packed.bytes), packed.sha256)
        try:
            done = ramdisk_of(attempt).metal(*command, within_s=params["within_s"])
        except ChecksumMismatch:
            forget(Path(params["depot_folder"]), params["format"], params["sha256"].lower())
            raise
        return {"changed": True, "disk": disk, "written_bytes": packed.bytes, "sha256": done["read_back"], "seconds": done["seconds"]}
