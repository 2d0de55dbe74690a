"""metal_seed: give the system on a disk its cloud-init seed, with a host key made for it, by which it is known from its first start on."""

import hashlib

from drivers import openssh, seed
from drivers.bare_metal.action import ATTEMPT, WITHIN, Action, Params, Result, attempt_of
from drivers.bare_metal.remote import ramdisk_of

SEED = {
    "disk": {"type": "str", "required": True},
    "instance_id": {"type": "str", "required": True},
    "hostname": {"type": "str", "required": True},
    "ssh_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},  # public ones
    "user_data": {"type": "str", "default": "", "no_log": True},
    "meta_data": {"type": "dict", "default": {}},  # more of it
    "root_login": {"type": "bool", "default": False},  # with the same keys
}


class ActionModule(Action):
    arguments = {**ATTEMPT, **SEED, **WITHIN}
    would = {"changed": True, "host_key": ""}

    def act(self, params: Params) -> Result:
        attempt, (private, public) = attempt_of(params), openssh.new_key()
        content = seed.files(params["instance_id"], params["hostname"], params["ssh_keys"], params["user_data"], **params["meta_data"])
        volume = seed.image(content | seed.vendor_data(private, public, root_login=params["root_login"]))
        digest = hashlib.sha256(volume).hexdigest()
        ramdisk_of(attempt).metal("seed", digest, f"/dev/{params['disk']}", within_s=params["within_s"], given=volume)
        return {"changed": True, "host_key": public}
