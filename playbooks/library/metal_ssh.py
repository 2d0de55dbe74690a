"""metal_ssh: wait until a system answers by ssh with the host key that it was given. Nobody logs in."""

from ansible.module_utils.metal import WITHIN, Result, run

from drivers.bare_metal.remote import prove

WHERE = {
    "address": {"type": "str", "required": True},
    "user": {"type": "str", "required": True},
    "host_key": {"type": "str", "required": True, "no_log": False},  # the public half
}


def act(params: dict) -> Result:
    return {"changed": False, "seconds": prove(params["address"], params["user"], params["host_key"], params["within_s"])}


def look(params: dict) -> Result:
    return {"changed": False, "seconds": 0}


if __name__ == "__main__":
    run({**WHERE, **WITHIN}, act, look=look)
