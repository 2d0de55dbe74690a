"""The cloud-init seed of a virtual machine.

In: an InstanceSpec. Out: a NoCloud ISO image. Invariant: the instance id that the guest sees changes with every build but the first, so
that cloud-init runs again on a rebuilt disk.
"""

from __future__ import annotations

from drivers import seed
from drivers.base import InstanceSpec


def files(spec: InstanceSpec) -> dict[str, bytes]:
    """The seed's files by name."""
    instance = spec.instance_id if spec.build == 1 else f"{spec.instance_id}-{spec.build}"
    return seed.files(instance, spec.name, spec.ssh_keys, spec.user_data)


def image(spec: InstanceSpec) -> bytes:
    """The seed's bytes."""
    return seed.image(files(spec))
