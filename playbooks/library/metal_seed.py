"""metal_seed: give the system on a disk its cloud-init seed, with a host key made for it, by which it is known from its first start on."""

import hashlib

from ansible.module_utils.metal import ATTEMPT, WITHIN, Result, attempt_of, run
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drivers import seed
from drivers.bare_metal.attempt import openssh_private, openssh_public
from drivers.bare_metal.remote import ramdisk_of

SEED = {
    "disk": {"type": "str", "required": True},
    "instance_id": {"type": "str", "required": True},
    "hostname": {"type": "str", "required": True},
    "ssh_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},  # public ones
    "user_data": {"type": "str", "default": "", "no_log": True},
    "meta_data": {"type": "dict", "default": {}},  # more of it
}


def act(params: dict) -> Result:
    attempt, key = attempt_of(params), Ed25519PrivateKey.generate()
    content = seed.files(params["instance_id"], params["hostname"], params["ssh_keys"], params["user_data"], **params["meta_data"])
    volume = seed.image(content | seed.host_key(openssh_private(key), openssh_public(key)))
    digest = hashlib.sha256(volume).hexdigest()
    ramdisk_of(attempt).metal("seed", digest, f"/dev/{params['disk']}", within_s=params["within_s"], given=volume)
    return {"changed": True, "host_key": openssh_public(key)}


def look(params: dict) -> Result:
    return {"changed": True, "host_key": ""}


if __name__ == "__main__":
    run({**ATTEMPT, **SEED, **WITHIN}, act, look=look)
