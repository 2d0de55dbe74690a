"""The cloud-init seed: a NoCloud ISO image, built in memory.

In: an InstanceSpec. Out: its bytes. Invariants: user data goes in verbatim, and the instance id that the guest sees changes with every
build but the first, so that cloud-init runs again on a rebuilt disk. The meta data is JSON, which is YAML too: no quoting of ours can go
wrong.
"""

from __future__ import annotations

import io
import json

import pycdlib

from drivers.base import InstanceSpec

NO_USER_DATA = "#cloud-config\n{}\n"


def files(spec: InstanceSpec) -> dict[str, bytes]:
    """The seed's files by name."""
    instance = spec.instance_id if spec.build == 1 else f"{spec.instance_id}-{spec.build}"
    meta = {"instance-id": instance, "local-hostname": spec.name, "public-keys": list(spec.ssh_keys)}
    return {
        "meta-data": (json.dumps(meta, indent=1, ensure_ascii=False) + "\n").encode(),
        "user-data": (spec.user_data or NO_USER_DATA).encode(),
    }


def image(spec: InstanceSpec) -> bytes:
    """The ISO 9660 image (Joliet and Rock Ridge), labelled `cidata`."""
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for number, (name, content) in enumerate(files(spec).items()):
        iso.add_fp(io.BytesIO(content), len(content), f"/SEED{number}.;1", rr_name=name, joliet_path=f"/{name}")
    out = io.BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()
