"""From a spec to what nova is sent: pure.

User data goes as it is where no keys are asked for. Nova knows one key pair for a server, kept with the user whose quota of them is small;
so keys travel in a part of their own (MIME multipart), which cloud-init adds to what the user's own part says. Nova takes 65,535 characters
of base64; what is longer is sent compressed, which cloud-init undoes.
"""

from __future__ import annotations

import base64
import email
import gzip
import json
from collections.abc import Sequence
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from typing import Any, Final

from drivers.base import CANONICAL_UUID, HOST_NAME, InstanceSpec, Power
from drivers.errors import InvalidSpec, NotSupported
from drivers.image import FORMATS
from drivers.openstack.names import Mark, instance_tag, owner_tag

MOST_USER_DATA: Final = 65_535  # characters of base64 (nova.api.validation.parameter_types / schemas.servers: maxLength)
_LONGEST_VALUE: Final = 255  # of metadata
_BOUNDARY: Final = "==chutian-part=="
_MERGE: Final = "list(append)+dict(recurse_array)+str()"
Json = dict[str, Any]


def refuse(spec: InstanceSpec) -> None:
    """Raises InvalidSpec or NotSupported for what can't be in any region. Ids and digests become names, so their form is checked, too."""
    if not CANONICAL_UUID.fullmatch(spec.instance_id):
        raise InvalidSpec(detail=f"{spec.instance_id!r} is not a UUID in canonical form")
    if not HOST_NAME.fullmatch(spec.name):
        raise InvalidSpec(detail=f"{spec.name!r} can't be a hostname")
    for what, text in (("project", spec.project_id), ("host", spec.host)):
        if not text or len(text) > _LONGEST_VALUE or not text.isprintable():
            raise InvalidSpec(detail=f"{text!r} can't be the name of a {what}")
    image = spec.image if spec.adopted else spec.boots_from
    if image and (image.format not in FORMATS or len(image.sha256) != 64 or not set(image.sha256) <= set("0123456789abcdef")):
        raise InvalidSpec(detail=f"image {image.id} is not one of {', '.join(FORMATS)} with a SHA-256 digest")
    if min(spec.vcpus, spec.memory_mib, spec.disk_gib) < 1:
        raise InvalidSpec(detail="an instance needs vcpus, memory and disk")
    if spec.kind != "vm" or spec.gpus or spec.binding:
        raise NotSupported(detail=f"{spec.kind} with {spec.gpus} GPUs {spec.binding}".rstrip())


def first_mark(spec: InstanceSpec, owner: str, name: str | None = None, power: Power | None = Power.RUNNING) -> Mark:
    """What a server bears from its first moment, which is on as soon as it is made; or from the one in which it is adopted, called so and
    on or off as that says. If that is all that the spec wants, the whole spec holds.
    """
    return Mark(
        owner=owner,
        instance=spec.instance_id,
        project=spec.project_id,
        host=spec.host,
        name=spec.name if name is None else name,
        image=spec.image.sha256 if spec.image else "",
        generation=spec.generation if power is spec.power else None,
        asked=spec.generation,
        build=spec.build,
        reboots=spec.reboots,
    )


def creation(spec: InstanceSpec, owner: str, image: str, flavor: str, network: str, zone: str | None) -> Json:
    """The body of POST /servers. `image`, `flavor`, `network`: ids (no network: empty). `zone`: None: `spec.host` is the hypervisor."""
    server: Json = {
        "name": spec.name,
        "imageRef": image,
        "flavorRef": flavor,
        "config_drive": True,
        "min_count": 1,
        "max_count": 1,
        "networks": [{"uuid": network}] if network else "none",
        "tags": [owner_tag(owner), instance_tag(spec.instance_id)],
        "metadata": first_mark(spec, owner).written(),
    }
    if data := user_data(spec.user_data, spec.ssh_keys):
        server["user_data"] = data
    if zone is None:
        server["hypervisor_hostname"] = spec.host
    elif zone:
        server["availability_zone"] = zone
    return {"server": server}


def called(spec: InstanceSpec, mark: Mark) -> str:
    """How its server is called: what was adopted keeps its name."""
    return mark.name if spec.adopted and mark.name else spec.name


def rebuilding(spec: InstanceSpec, mark: Mark, image: str) -> Json:
    """The body of the action `rebuild`. The metadata are replaced in the moment in which nova takes it: build and count are the spec's."""
    new = Mark(
        owner=mark.owner,
        instance=mark.instance,
        project=spec.project_id,
        host=mark.host,
        name=called(spec, mark),
        image=spec.boots_from.sha256,
        generation=mark.generation,
        asked=spec.generation,
        build=spec.build,
        reboots=spec.reboots,
    )
    return {"rebuild": {"imageRef": image, "metadata": new.written(), "user_data": user_data(spec.user_data, spec.ssh_keys) or None}}


def user_data(text: str, keys: Sequence[str]) -> str:
    """As nova takes it; empty where there is none. Raises InvalidSpec where it is too long even compressed."""
    plain = _with_keys(text, keys)
    if not plain:
        return ""
    encoded = base64.b64encode(plain).decode()
    if len(encoded) > MOST_USER_DATA:
        encoded = base64.b64encode(gzip.compress(plain, mtime=0)).decode()
    if len(encoded) > MOST_USER_DATA:
        raise InvalidSpec(
            detail=f"the user data is too long for nova: {len(plain)} bytes, {len(encoded)} characters of {MOST_USER_DATA} compressed"
        )
    return encoded


def _with_keys(text: str, keys: Sequence[str]) -> bytes:
    if not keys:
        return text.encode()
    ours = "#cloud-config\n" + json.dumps({"ssh_authorized_keys": list(keys), "merge_how": _MERGE}, ensure_ascii=False) + "\n"
    if not text:
        return ours.encode()
    whole = MIMEMultipart(boundary=_BOUNDARY)
    whole.attach(_part("cloud-config", ours))
    whole.attach(_users_part(text))
    return whole.as_bytes()


def _users_part(text: str) -> Message:
    """cloud-init tells what plain text is by its first line; a MIME message stays what it is."""
    if text.startswith(("Content-Type:", "MIME-Version:")):
        return email.message_from_string(text)
    return _part("plain", text)


def _part(kind: str, text: str) -> Message:
    part = MIMENonMultipart("text", kind, charset="utf-8")
    part["Content-Transfer-Encoding"] = "base64"
    part.set_payload(base64.encodebytes(text.encode()).decode())
    return part
