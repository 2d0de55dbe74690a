"""The cloud-init seed: a NoCloud ISO image, built in memory, for machines virtual and bare.

In: who the machine is and what its user wants of it. Out: the files of a seed, and the image with them. Invariant: user data goes in
verbatim; what is ours goes into the meta data, or into the vendor data, which cloud-init puts beneath the user's. The meta data is JSON,
which is YAML too: no quoting of ours can go wrong.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pycdlib

NO_USER_DATA = "#cloud-config\n{}\n"


def files(instance: str, hostname: str, ssh_keys: Sequence[str], user_data: str, **more: Any) -> dict[str, bytes]:
    """The seed's files by name. cloud-init starts afresh for an `instance` that it hasn't seen. `more`: further meta data."""
    meta = {"instance-id": instance, "local-hostname": hostname, "public-keys": list(ssh_keys), **more}
    return {
        "meta-data": (json.dumps(meta, indent=1, ensure_ascii=False) + "\n").encode(),
        "user-data": (user_data or NO_USER_DATA).encode(),
    }


def vendor_data(private: str, public: str, *, root_login: bool = False) -> dict[str, bytes]:
    """The file that makes an OpenSSH ed25519 key the machine's host key, and the only one: whoever made it knows the machine by it.

    `root_login`: who may log in as the image's default user may as root.
    """
    lines = "".join(f"    {line}\n" for line in private.splitlines())
    root = "disable_root: false\n" if root_login else ""
    return {"vendor-data": f"#cloud-config\n{root}ssh_keys:\n  ed25519_private: |\n{lines}  ed25519_public: {public}\n".encode()}


def image(content: Mapping[str, bytes]) -> bytes:
    """The ISO 9660 image (Joliet and Rock Ridge) of those files, labelled `cidata`."""
    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for number, (name, text) in enumerate(content.items()):
        iso.add_fp(io.BytesIO(text), len(text), f"/SEED{number}.;1", rr_name=name, joliet_path=f"/{name}")
    out = io.BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()
