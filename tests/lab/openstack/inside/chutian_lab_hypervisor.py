"""A simulated hypervisor for nova-compute: nova's own fake driver, with guests that outlive it, sizes of our choice, and builds that fail.

In, read anew whenever it matters, from the compute's folder: `host.json` (`tests.lab.openstack.compute` writes it) with `vcpus`,
`memory_mb`, `local_gb`, `fault` (error, abort, slow: for each build on this host) and `slow_s`; and `guests.json`, which guests there are
and whether they run. A build's own fault stands in the server's metadata (`lab:fault`) or is its flavor's name.
Out: `guests.json` after every change.
"""

import json
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import nova.conf
from nova import exception
from nova.compute import power_state
from nova.virt import fake

CONF = nova.conf.CONF


class Hypervisor(fake.FakeDriverWithoutFakeNodes):
    """Every change goes through the file first read: who edits it behind nova's back is a guest's own doing. One change after the other, as
    nova has several threads.
    """

    def __init__(self, virtapi, read_only=False):
        self._lab_folder = Path(CONF.state_path)
        self._lab_lock = threading.RLock()
        super().__init__(virtapi, read_only)
        self._lab_read()

    def _lab_host(self):
        host = json.loads((self._lab_folder / "host.json").read_text())
        for size in ("vcpus", "memory_mb", "local_gb"):
            setattr(self, size, host[size])
            setattr(self.resources, size, host[size])
        return host

    def _lab_read(self):
        try:
            kept = json.loads((self._lab_folder / "guests.json").read_text())
        except FileNotFoundError:
            kept = {}
        self.instances = {uuid: fake.FakeInstance(one["name"], one["state"], uuid) for uuid, one in kept.items()}

    @contextmanager
    def _lab_changing(self):
        with self._lab_lock:
            self._lab_read()
            yield
            self._lab_write()

    def _lab_write(self):
        part = self._lab_folder / "guests.part"
        part.write_text(json.dumps({uuid: {"name": one.name, "state": one.state} for uuid, one in self.instances.items()}))
        part.rename(self._lab_folder / "guests.json")

    def spawn(self, context, instance, *args, **kwargs):
        host = self._lab_host()
        fault = host.get("fault") or instance.metadata.get("lab:fault") or instance.flavor.name
        if fault == "error":
            raise exception.NovaException(f"lab: the build failed on {CONF.host}")
        if fault == "abort":
            raise exception.BuildAbortException(instance_uuid=instance.uuid, reason=f"lab: the build was aborted on {CONF.host}")
        if fault == "slow":
            time.sleep(host["slow_s"])
        with self._lab_changing():
            super().spawn(context, instance, *args, **kwargs)

    def destroy(self, *args, **kwargs):
        with self._lab_changing():
            super().destroy(*args, **kwargs)

    def power_off(self, instance, *args, **kwargs):
        with self._lab_changing():
            if instance.uuid in self.instances:
                super().power_off(instance, *args, **kwargs)

    def power_on(self, context, instance, *args, **kwargs):
        with self._lab_changing():
            self.instances[instance.uuid] = fake.FakeInstance(instance.name, power_state.RUNNING, instance.uuid)

    def finish_migration(self, context, migration, instance, *args, **kwargs):
        super().finish_migration(context, migration, instance, *args, **kwargs)
        self.power_on(context, instance)

    def finish_revert_migration(self, *args, **kwargs):
        with self._lab_changing():
            super().finish_revert_migration(*args, **kwargs)

    def list_instances(self):
        with self._lab_lock:
            self._lab_read()
            return super().list_instances()

    def get_info(self, instance, use_cache=True):
        with self._lab_lock:
            self._lab_read()
            return super().get_info(instance, use_cache)

    def get_num_instances(self):
        return len(self.list_instances())

    def get_available_resource(self, nodename):
        self._lab_host()
        return super().get_available_resource(nodename)

    def update_provider_tree(self, *args, **kwargs):
        self._lab_host()
        return super().update_provider_tree(*args, **kwargs)

    def get_console_output(self, context, instance):
        return f"lab: console of {instance.uuid} on {CONF.host}\nready\n"

    def get_host_uptime(self):
        """Asked of every compute, by a message, at each list of hypervisors with details."""
        return " 00:00:00 up 1 day,  0:00,  0 users,  load average: 0.00, 0.00, 0.00"
