"""The kinds of fields that enter the API: every text has a bound, nothing holds a NUL, what is no number is none."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, StringConstraints
from pydantic_core import PydanticCustomError, PydanticKnownError

from controller.model.naming import LABEL_PATTERN

Kind = Literal["vm", "container", "bare_metal"]
Priority = Literal["batch", "normal", "critical"]
Resource = Literal["instances", "vcpus", "memory_mib", "disk_gib", "gpus"]
_MOST = 10**12


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain a NUL character")
    return text


def moment(given: object) -> object:
    """A moment in RFC 3339's words, which name a time zone."""
    try:
        at = datetime.fromisoformat(given) if isinstance(given, str) and len(given) > len("2026-12-01") else None
    except ValueError:
        at = None
    if given is not None and (at is None or at.tzinfo is None):
        raise PydanticCustomError("moment", "must be a moment with its time zone, as 2026-12-01T08:00:00+08:00")
    return at


def _whole(value: object) -> object:
    if isinstance(value, str | bool):  # "2" and true are no numbers, whatever Python makes of them
        raise PydanticKnownError("int_type")
    return value


def _number(value: object) -> object:
    if isinstance(value, str | bool):
        raise PydanticKnownError("float_type")
    return value


storable = AfterValidator(_storable)
Label = Annotated[str, StringConstraints(max_length=63, pattern=LABEL_PATTERN)]
Prefix = Annotated[str, StringConstraints(max_length=58, pattern=LABEL_PATTERN)]
Name = Annotated[str, StringConstraints(max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Trait = Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=512), storable]
Line = Annotated[str, StringConstraints(max_length=500), storable]
Credentials = Annotated[str, StringConstraints(min_length=1, max_length=65536), storable]
UserData = Annotated[str, StringConstraints(max_length=65536), storable]
SshKey = Annotated[str, StringConstraints(max_length=4096, pattern=r"^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\r\n\x00]*)?$")]
Hex64 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Url = Annotated[str, StringConstraints(max_length=2048, pattern=r"^https?://[^\s\x00]+$")]
Int = Annotated[int, BeforeValidator(_whole)]
Number = Annotated[float, BeforeValidator(_number)]
Flag = Annotated[bool, Strict()]
Amount = Annotated[Int, Field(ge=0, le=_MOST)]
Level = Annotated[Int, Field(ge=0, le=5)]
Spare = Annotated[
    Int, Field(ge=0, le=5, description="N+k: nothing is placed that would leave the pool unable to restart what so many of its hosts run.")
]
Order = Annotated[Int, Field(ge=0, le=100, description="Pools of a lower number are filled first.")]
Licences = Annotated[
    list[Trait], Field(max_length=32, description="Traits of all its hosts that were paid for: left to who asks for them.")
]
Wakes = Annotated[
    Flag, Field(description="Hosts that are off are capacity: who is placed there waits until somebody switches the host on.")
]
Wipe = Annotated[
    str,
    StringConstraints(max_length=64, pattern=r"^((secure|discard|overwrite|ends)( (secure|discard|overwrite|ends))*( whole)?)?$"),
    Field(
        description="How disks of its bare machines are cleared, where their endpoints don't say otherwise: the first method that works and"
        " reads back as zeros (samples of it, or, with `whole` last, all of it); empty: `secure discard overwrite`."
    ),
]
Options = Annotated[dict[Name, Line], Field(max_length=32)]
HypervisorOptions = Annotated[
    Options, Field(description="Options of the endpoints that machines become which are made its hypervisors; all of them anew.")
]
Bridge = Annotated[
    str,
    StringConstraints(max_length=15, pattern=r"^([a-z][a-z0-9-]*)?$"),
    Field(description="Machines that are made its hypervisors get this bridge over the NIC of their default route: their guests' network."),
]
Watts = Annotated[Int, Field(ge=0, le=100_000)]
HostPower = Literal["on", "off", "unknown"]


class In(BaseModel):
    """What enters: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
