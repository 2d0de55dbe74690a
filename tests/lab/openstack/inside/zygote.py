"""Starts nova's conductor, scheduler and computes as forks of one process that has imported everything.

Each then starts in a fraction of the time and shares most of its memory with the others. Called with a socket and nova.conf; for a line
of JSON with `service`, `arguments` and `log` it answers the process id of a new process that leads a session of its own.
"""

import gc
import importlib
import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

from nova import monkey_patch

SERVICES = ("compute", "conductor", "scheduler")
IMPORTS = (
    *(f"nova.{name}.manager" for name in SERVICES),
    "chutian_lab_hypervisor",
    "nova.db.api.models",
    "nova.db.main.models",
    "nova.image.glance",
    "nova.network.neutron",
    "nova.scheduler.weights.cpu",
    "openstack.compute.v2._proxy",
    "oslo_messaging._drivers.impl_rabbit",
    "oslo_service.backend._threading.service",
    "pymysql",
)


def prepare(settings):
    """Import what any of them will need; how each of them is called."""
    monkey_patch.patch(backend="threading")  # before anything that would import eventlet
    from nova import config

    # periodic intervals are read while the managers are imported: the settings have to be known before
    config.parse_args(["nova", "--config-file", settings], configure_db=False, init_rpc=False)
    commands = {name: importlib.import_module(f"nova.cmd.{name}") for name in SERVICES}
    for name in IMPORTS:
        importlib.import_module(name)
    sys.modules["nova.virt.chutian_lab_hypervisor"] = sys.modules["chutian_lab_hypervisor"]  # nova looks in its own package only
    from nova import objects

    objects.register_all()
    gc.collect()
    gc.freeze()  # else the first collection would copy every page
    return commands


def become(command, asked):
    """Be that service, in the child, until it ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = [f"nova-{asked['service']}", *asked["arguments"]]
    try:
        sys.modules["nova.conf"].CONF.clear()
        command.main()
    except BaseException:  # noqa: BLE001 # whatever it is, it must not reach the zygote's loop
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(1)


def serve(path, commands):
    Path(path).unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    while True:
        line, _ = listening.accept()
        asked = json.loads(line.makefile().readline())
        if os.fork() == 0:
            listening.close()
            os.setsid()
            line.sendall(f"{os.getpid()}\n".encode())
            line.close()
            become(commands[asked["service"]], asked)
        line.close()


if __name__ == "__main__":
    where, settings_file = sys.argv[1:]
    sys.argv = ["nova"]
    serve(where, prepare(settings_file))
